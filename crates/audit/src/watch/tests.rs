//! A small site that grows entry by entry, and what the watch says of it.

use std::{collections::BTreeSet, fs, path::Path};

use ciborium::{Value, cbor};
use tempfile::TempDir;

use super::*;
use crate::{
    cosign::{KeyKind, SigningKey},
    hash::sha256,
    testsite::{SITE, checkpoint, publish, round, site_leaf, vkey},
    tree::hex_of,
};

const START: u64 = 1_900_000_800;
const GATEWAY: &str = "ledger.t/s/a";
const KEYS: &str = "keys.t/s";

fn signer(name: &str, seed: u8) -> SigningKey {
    SigningKey::from_seed(name, KeyKind::Auditor, &[seed; 32]).unwrap()
}

/// What differs from a harmless answer to somebody inside the region.
#[derive(Clone)]
pub(crate) struct Small {
    pub(crate) kind: u8,
    pub(crate) time: u64,
    pub(crate) flow: u8,
    pub(crate) rows: u32,
    pub(crate) bytes: u64,
    pub(crate) actor: u8,
    pub(crate) country: &'static str,
    pub(crate) class: u8,
    pub(crate) person: bool,
    pub(crate) open: u64,
    pub(crate) lease: u64,
}

pub(crate) fn answer(time: u64) -> Small {
    let (rows, bytes, country) = (1, 100, "IE");
    Small {
        kind: 1,
        time,
        flow: 0,
        rows,
        bytes,
        actor: 0x11,
        country,
        class: 1,
        person: false,
        open: 0,
        lease: 0,
    }
}

pub(crate) fn refusal(time: u64) -> Small {
    Small { kind: 2, rows: 0, bytes: 0, ..answer(time) }
}

pub(crate) struct World {
    folder: TempDir,
    rulebook: Hash,
    gateway: Vec<Vec<u8>>,
    keys: Vec<Vec<u8>>,
    site: Vec<Vec<u8>>,
    pub(crate) time: u64,
    feed: bool,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let rulebook = write_rulebook(&folder.path().join("mirror/gw"));
        let (gateway, keys, site) = (Vec::new(), Vec::new(), Vec::new());
        let mut world = Self { folder, rulebook, gateway, keys, site, time: START, feed: false };
        world.write_config("");
        let logs = [(KEYS, 2, "keys"), (GATEWAY, 1, "gw")];
        let line = |(origin, role, prefix): (&str, u8, &str)| {
            cbor!([origin, crate::testsite::key(origin).vkey(), role, prefix]).unwrap()
        };
        let body = Value::Map(vec![(Value::from(0), Value::Array(logs.map(line).to_vec()))]);
        world.leaf(2, &body);
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write_config(&self, limits: &str) {
        let write = |name: &str, text: String| fs::write(self.path(name), text).unwrap();
        write("operator.vkey", signer("operator.test", 2).vkey());
        write("auditor.vkey", signer("auditor.test", 3).vkey());
        let seed = self.path("watch.seed");
        if !seed.exists() {
            crate::keygen::keygen("watch.test", KeyKind::Auditor, &seed).unwrap();
        }
        let watch = SigningKey::read("watch.test", KeyKind::Auditor, &seed).unwrap();
        let party = |name: &str, company: &str, vkey: String| {
            format!("[[party]]\nname = \"{name}\"\ncompany = \"{company}\"\nvkey = \"{vkey}\"\n")
        };
        let operator = party("operator", "Example Ltd", signer("operator.test", 2).vkey());
        write("parties.toml", operator + &party("auditor", "Checks Ltd", watch.vkey()));
        write(
            "watch.toml",
            format!(
                "folder = \"own\"\noperator_vkey = \"operator.vkey\"\nauditor_vkey = \"auditor.vkey\"\n\
                 [incidents]\nseed = \"watch.seed\"\nname = \"watch.test\"\nparties = \"parties.toml\"\n\
                 [limits]\n{limits}\n"
            ),
        );
    }

    pub(crate) fn leaf(&mut self, kind: u8, body: &Value) {
        let leaf = site_leaf(kind, self.site.len() as u64, self.time, body);
        self.site.push(leaf);
        let tree = self.path("mirror/site");
        let root = publish(&tree, &self.site);
        fs::write(tree.join("checkpoint"), checkpoint(SITE, self.site.len(), &root)).unwrap();
    }

    /// A round `seconds` after the newest entry of the site log.
    pub(crate) fn round(&mut self, seconds: u64) {
        self.time += seconds;
        let line = |origin: &'static str, prefix: &str, leaves: &[Vec<u8>]| {
            let tree = self.path(&format!("mirror/{prefix}"));
            fs::create_dir_all(&tree).unwrap();
            let root = publish(&tree, leaves);
            fs::write(tree.join("checkpoint"), checkpoint(origin, leaves.len(), &root)).unwrap();
            (origin, leaves.len() as u64, root)
        };
        let body = round(&[line(KEYS, "keys", &self.keys), line(GATEWAY, "gw", &self.gateway)]);
        self.leaf(1, &body);
    }

    /// Rounds each second, so that nothing looks like a gap.
    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds.div_ceil(50) {
            self.round(50);
        }
    }

    pub(crate) fn entry(&mut self, small: &Small) -> u64 {
        let index = self.gateway.len() as u64;
        let released = small.kind != 2;
        let mut bytes = b"CLV1\x01".to_vec();
        bytes.extend([small.kind, 1, if released { 1 } else { 2 }]);
        bytes.extend(&sha256(GATEWAY.as_bytes())[..8]);
        bytes.extend(index.to_be_bytes());
        bytes.extend(small.time.to_be_bytes());
        bytes.extend(if small.flow == 0 { u128::from(index + 1000).to_be_bytes() } else { [small.flow; 16] });
        bytes.extend(self.rulebook);
        bytes.extend([0, 1]);
        bytes.extend(small.country.repeat(2).as_bytes());
        bytes.extend(if released { [small.class, 1] } else { [0, 0] });
        bytes.extend([0, if released { 0 } else { 5 }, 0, 0]);
        bytes.extend(u32::from(small.person).to_be_bytes());
        bytes.extend(small.bytes.to_be_bytes());
        bytes.extend(small.rows.to_be_bytes());
        bytes.extend([0; 32]);
        bytes.extend([small.actor; 16]);
        bytes.extend([u8::from(small.person), u8::from(small.person), 0, 0]);
        bytes.extend([if small.person { 0x55 } else { 0 }; 16]);
        bytes.resize(224, 0);
        bytes.extend(&sha256(b"read")[..8]);
        bytes.extend(small.open.to_be_bytes());
        bytes.extend(small.lease.to_be_bytes());
        bytes.push(u8::from(small.kind == 8));
        bytes.resize(256, 0);
        if matches!(small.kind, 1 | 6) {
            ciborium::into_writer(&facts(small), &mut bytes).unwrap();
        }
        self.gateway.push(bytes);
        index
    }

    fn entries(&mut self, count: usize, small: &Small) {
        for _ in 0..count {
            self.entry(small);
        }
    }

    pub(crate) fn release(&mut self, flow: u8, time: u64) {
        let mut leaf = vec![0; 160];
        leaf[..8].copy_from_slice(b"CLVK\x01\x01\x01\x01");
        leaf[8..16].copy_from_slice(&sha256(KEYS.as_bytes())[..8]);
        leaf[16..24].copy_from_slice(&(self.keys.len() as u64).to_be_bytes());
        leaf[24..32].copy_from_slice(&time.to_be_bytes());
        leaf[32..48].copy_from_slice(&[flow; 16]);
        leaf[81] = 1;
        leaf[87] = 1;
        leaf[88..104].copy_from_slice(&[0x55; 16]);
        self.keys.push(leaf);
    }

    fn watch(&self) -> Watch {
        self.try_watch().unwrap()
    }

    fn try_watch(&self) -> Result<Watch, WatchError> {
        Watch::open(WatchOptions {
            mirror: self.path("mirror"),
            site: vkey(SITE),
            config: WatchConfig::read(&self.path("watch.toml")).unwrap(),
            egress: self.feed.then(|| self.path("egress.ndjson")),
        })
    }

    /// What a watch finds that begins now or goes on.
    pub(crate) fn findings(&self) -> Vec<WatchFinding> {
        self.watch().step(self.time, 0, None).unwrap()
    }

    fn rules(&self) -> BTreeSet<&'static str> {
        self.findings().iter().map(|finding| finding.rule.code()).collect()
    }
}

fn facts(small: &Small) -> Value {
    cbor!({
        0 => 1,
        1 => {
            0 => 1, 1 => Value::Bytes(vec![small.actor; 16]), 2 => small.country, 3 => "employer", 4 => "IE", 5 => true,
            6 => ["t"], 7 => true, 8 => true, 9 => true,
        },
        2 => small.time, 3 => 1, 4 => "video", 5 => 10_000, 6 => 1, 8 => 0, 10 => [1], 11 => [[small.class, [], 4, 1]],
    })
    .unwrap()
}

fn write_rulebook(tree: &Path) -> Hash {
    let files = [
        ("10-guardrails.cedar", include_str!("../../tests/audit/rulebook/10-guardrails.cedar")),
        ("20-permits.cedar", include_str!("../../tests/audit/rulebook/20-permits.cedar")),
        ("access.toml", include_str!("../../tests/audit/rulebook/access.toml")),
        ("assessments.toml", include_str!("../../tests/audit/rulebook/assessments.toml")),
        ("catalogue.toml", include_str!("../../tests/audit/rulebook/catalogue.toml")),
        ("clover.cedarschema", include_str!("../../tests/audit/rulebook/clover.cedarschema")),
        ("lanes.toml", include_str!("../../tests/audit/rulebook/lanes.toml")),
        ("programme.toml", include_str!("../../tests/audit/rulebook/programme.toml")),
    ];
    let lines = files.map(|(name, text)| format!("{} {name}\n", hex_of(&sha256(text.as_bytes()))));
    let manifest = format!("clover-rulebook/v1\n{}", lines.concat());
    let digest = sha256(manifest.as_bytes());
    let folder = tree.join(format!("rulebook/{}", hex_of(&digest)));
    fs::create_dir_all(&folder).unwrap();
    let lines = [signer("operator.test", 2), signer("auditor.test", 3)].map(|key| key.line(&manifest, 0));
    fs::write(folder.join("manifest.note"), format!("{manifest}\n{}", lines.concat())).unwrap();
    for (name, text) in files {
        fs::write(folder.join(name), text).unwrap();
    }
    digest
}

#[test]
fn an_honest_site_raises_nothing() {
    let mut world = World::new();
    for number in 0..30 {
        world.entry(&Small { person: number % 2 == 0, flow: number + 1, ..answer(world.time) });
        if number % 2 == 0 {
            world.release(number + 1, world.time);
        }
        world.entry(&Small { kind: 6, lease: world.time + 60, ..answer(world.time) });
        let open = world.gateway.len() as u64 - 1;
        world.entry(&Small { kind: 8, open, ..answer(world.time + 1) });
        world.entry(&refusal(world.time + 1));
        world.round(5);
    }
    world.pass(400);
    assert_eq!(world.findings(), []);
}

#[test]
fn an_actor_who_is_given_unusually_much_in_an_hour_is_found_once() {
    let mut world = World::new();
    world.write_config("actor_rows_per_hour = 100\nexport_rows = 1000");
    world.entries(11, &Small { rows: 10, ..answer(world.time) });
    world.entries(5, &Small { rows: 10, actor: 0x22, ..answer(world.time) });
    world.round(1);
    let found = world.findings();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (found[0].rule, &*found[0].about),
        (WatchRule::ActorVolume, "rows 11111111111111111111111111111111")
    );
    assert_eq!(found[0].entries[0].index, 10);
}

#[test]
fn what_is_usual_at_this_hour_is_no_finding_and_more_is() {
    for (last, expected) in [(300, BTreeSet::new()), (900, BTreeSet::from(["WATCH-02", "WATCH-03"]))] {
        let mut world = World::new();
        world.write_config(
            "purpose_rows_per_hour = 100\ndestination_rows_per_hour = 100\nexport_rows = 5000\nsite_gap_seconds = 90000",
        );
        for _ in 0..5 {
            world.entry(&Small { rows: 280, ..answer(world.time) });
            world.round(86_400);
        }
        // The first days are more than the floor and have nothing to be compared with.
        world.findings();
        world.entry(&Small { rows: last, ..answer(world.time) });
        world.round(1);
        assert_eq!(world.rules(), expected, "{last}");
    }
}

#[test]
fn the_same_export_again_and_again_is_found() {
    let mut world = World::new();
    world.write_config("exports_per_hour = 4\nexport_rows = 50");
    world.entries(20, &Small { rows: 49, ..answer(world.time) });
    world.entries(3, &Small { rows: 50, ..answer(world.time) });
    world.entries(3, &Small { rows: 50, country: "NO", ..answer(world.time) });
    world.round(1);
    assert_eq!(world.rules(), BTreeSet::new());
    world.entries(3, &Small { rows: 50, ..answer(world.time) });
    world.round(1);
    let found = world.findings();
    assert_eq!(found.iter().map(|one| one.rule).collect::<Vec<_>>(), [WatchRule::RepeatedExport]);
}

/// Scenario (f): spreadsheets of people, every second week.
#[test]
fn the_third_fortnightly_export_to_a_person_is_found() {
    let mut world = World::new();
    world.write_config("recurring_rows = 50\nsite_gap_seconds = 9000000");
    for n in 0..3 {
        world.entry(&Small { rows: 60, country: "CN", ..answer(world.time) });
        world.entry(&Small { rows: 49, country: "NO", ..answer(world.time) });
        world.round(1);
        let found = world.rules().contains(WatchRule::RecurringExport.code());
        assert_eq!(found, n == 2, "export {n}");
        world.round(14 * 86_400);
    }
}

#[test]
fn a_burst_of_refusals_is_found_and_the_same_number_over_time_is_not() {
    let mut world = World::new();
    world.write_config("actor_refusals_per_minute = 10");
    for _ in 0..20 {
        world.entries(9, &refusal(world.time));
        world.round(60);
    }
    assert_eq!(world.rules(), BTreeSet::new());
    world.entries(10, &refusal(world.time));
    world.round(1);
    let found = world.findings();
    assert_eq!(found.len(), 1);
    assert!(found[0].rule == WatchRule::DeniedBurst && found[0].about.starts_with("actor 1111"));
}

#[test]
fn a_stream_that_nobody_closes_is_an_orphan() {
    let mut world = World::new();
    let lease = world.time + 60;
    let open = world.entry(&Small { kind: 6, lease, ..answer(world.time) });
    world.entry(&Small { kind: 7, open, lease: lease + 100, ..answer(world.time + 50) });
    world.round(50);
    world.pass(150);
    assert_eq!(world.rules(), BTreeSet::new(), "its lease was extended");
    world.pass(100);
    let found = world.findings();
    assert_eq!((found[0].rule, found[0].entries[0].index), (WatchRule::OrphanStream, open));
    assert!(found[0].incident.is_some());
}

#[test]
fn a_key_without_an_entry_and_an_entry_without_a_key_are_found() {
    let mut world = World::new();
    world.release(7, world.time);
    world.entry(&Small { person: true, flow: 9, ..answer(world.time) });
    world.round(1);
    world.pass(100);
    assert_eq!(world.rules(), BTreeSet::new(), "they may still come");
    world.pass(100);
    let found = world.findings();
    let rules: BTreeSet<_> = found.iter().map(|one| one.rule.code()).collect();
    assert_eq!(rules, BTreeSet::from(["WATCH-07", "WATCH-08"]));
    let stray = found.iter().find(|one| one.rule == WatchRule::StrayRelease).unwrap();
    assert_eq!((&*stray.cause, &*stray.entries[0].origin), ("keys:keys.t/s", KEYS));
    // The refusal that a gateway writes at its next start belongs to the release that was reported.
    world.entry(&Small { person: true, flow: 7, ..refusal(world.time) });
    world.pass(300);
    assert_eq!(world.rules(), BTreeSet::new());
}

#[test]
fn every_override_is_an_incident() {
    let mut world = World::new();
    let note =
        format!("clover border override v1\n{SITE}\n{}\n100 1900\nfire-1\n\n— a AAAAAAAA\n", "0a".repeat(16));
    let body = Value::Map(vec![(Value::from(0), Value::from(note))]);
    world.round(1);
    world.leaf(5, &body);
    let found = world.findings();
    assert_eq!(found.iter().map(|one| one.rule).collect::<Vec<_>>(), [WatchRule::Override]);
    assert!(found[0].text.contains("fire-1") && found[0].incident.is_some());
}

#[test]
fn clocks_that_jump_are_found() {
    let check = |change: &dyn Fn(&mut World), expected: &str| {
        let mut world = World::new();
        world.entry(&answer(world.time));
        world.round(1);
        change(&mut world);
        world.round(1);
        let found = world.findings();
        assert_eq!(
            found.iter().map(|one| one.rule).collect::<Vec<_>>(),
            [WatchRule::ClockJump],
            "{expected}"
        );
        assert!(found[0].text.contains(expected), "{}", found[0].text);
    };
    check(&|world| world.entries(1, &answer(world.time - 40)), "before that of the entry before it");
    check(&|world| world.entries(1, &answer(world.time + 90)), "after that of the round");
    check(&|world| world.time += 100, "stood still");
    check(&|world| world.time -= 100, "before that of the entry before it");
}

#[test]
fn coverage_that_is_red_for_long_is_found_once_and_again_after_it_was_green() {
    let mut world = World::new();
    world.round(1);
    let mut watch = world.watch();
    let red = vec!["`ledger.t/s/a` cannot be followed".to_owned()];
    let mut step = |seconds: u64, red: &[String]| {
        let found = watch.step(world.time + seconds, 1, Some(red)).unwrap();
        found.into_iter().map(|one| one.rule.code()).collect::<Vec<_>>()
    };
    assert!(step(0, &red).is_empty());
    assert!(step(30, &[]).is_empty());
    assert!(step(40, &red).is_empty());
    assert!(step(59, &red).is_empty());
    assert_eq!(step(101, &red), ["WATCH-11"]);
    assert!(step(140, &red).is_empty());
}

#[test]
fn a_release_that_breaks_an_invariant_opens_one_incident_which_the_clock_escalates() {
    let mut world = World::new();
    world.entry(&Small { country: "US", class: 4, ..answer(world.time) });
    world.entry(&Small { country: "CN", class: 1, ..answer(world.time) });
    world.round(1);
    let found = world.findings();
    assert_eq!(
        found.iter().map(|one| one.rule).collect::<BTreeSet<_>>(),
        BTreeSet::from([WatchRule::Invariant])
    );
    let ids: BTreeSet<_> = found.iter().map(|one| one.incident.clone().unwrap()).collect();
    assert_eq!((found.len(), ids.len()), (2, 1));
    let parties = crate::incident::Parties::read(&world.path("parties.toml")).unwrap();
    let incidents = Incidents::at(&world.path("own"), parties).unwrap();
    let opened = incidents.list().unwrap();
    assert_eq!((opened.len(), opened[0].state), (1, IncidentState::Open));
    assert_eq!(opened[0].opening.cause, format!("gateway:{GATEWAY}"));
    world.time += 72 * 3600;
    world.findings();
    assert_eq!(incidents.find(&opened[0].id).unwrap().state, IncidentState::Escalated);
}

#[test]
fn an_entry_that_cannot_be_read_is_found() {
    let mut world = World::new();
    world.gateway.push(vec![1; 256]);
    world.round(1);
    assert_eq!(world.rules(), BTreeSet::from(["WATCH-16"]));
}

#[test]
fn bytes_on_the_wire_must_add_up() {
    let window = |from: u64, to: u64, bytes: u64| {
        format!("{{\"gateway\":\"{GATEWAY}\",\"from\":{from},\"to\":{to},\"bytes\":{bytes}}}\n")
    };
    let check = |lines: &dyn Fn(u64) -> String, expected: &[&str]| {
        let mut world = World::new();
        world.feed = true;
        let start = world.time;
        world.entry(&Small { bytes: 1_000_000, ..answer(start + 30) });
        world.round(40);
        world.pass(100);
        fs::write(world.path("egress.ndjson"), lines(start)).unwrap();
        assert_eq!(world.rules(), expected.iter().copied().collect(), "{}", lines(start));
    };
    check(&|start| window(start, start + 60, 1_050_000), &[]);
    check(&|start| window(start, start + 60, 1_000_000 + 50_000 + 4096 + 65_536), &[]);
    check(&|start| window(start, start + 60, 1_000_000 + 50_000 + 4096 + 65_537), &["WATCH-12"]);
    check(&|start| window(start, start + 60, 400_000), &["WATCH-13"]);
    check(&|start| window(start + 60, start + 80, 70_000), &["WATCH-12"]);
    check(&|start| window(start, start + 5, 0) + &window(start + 6, start + 10, 0), &["WATCH-14"]);
    check(&|start| window(start, start + 60, 2_000_000).replace("s/a", "s/b"), &["WATCH-12"]);
    check(&|_| "no line\n".into(), &["WATCH-14"]);
    check(&|start| window(start + 100, start + 180, u64::MAX), &[]);
    check(&|start| window(start, start + 60, u64::MAX).trim_end().into(), &[]);
}

#[test]
fn the_watch_goes_on_where_it_stood_and_says_nothing_twice() {
    let mut world = World::new();
    world.entry(&Small { country: "US", class: 4, ..answer(world.time) });
    world.round(1);
    let state = world.path("own/watch/state.json");
    assert_eq!(world.findings().len(), 1);
    // As if it had been killed after the finding was written and before its state was.
    fs::remove_file(&state).unwrap();
    assert_eq!(world.findings(), []);
    fs::remove_file(&state).ok();
    let findings = world.path("own/findings.ndjson");
    let whole = fs::read(&findings).unwrap();
    assert_eq!(whole.split_inclusive(|byte| *byte == b'\n').count(), 1);
    // And a line that was half written is written again.
    fs::write(&findings, &whole[..whole.len() - 5]).unwrap();
    assert_eq!(world.findings().len(), 1);
    assert_eq!(fs::read(&findings).unwrap().len(), whole.len());
    let list = fs::read_dir(world.path("own/incidents")).unwrap();
    assert_eq!(list.filter(|item| item.as_ref().unwrap().path().join("actions.ndjson").exists()).count(), 1);
}

#[test]
fn a_mirror_that_is_behind_a_round_is_waited_for() {
    let mut world = World::new();
    world.entry(&answer(world.time));
    world.round(1);
    let bundle = world.path("mirror/gw/tile/entries");
    let away = world.path("away");
    fs::rename(&bundle, &away).unwrap();
    let mut watch = world.watch();
    watch.step(world.time, 1, None).unwrap();
    assert_eq!(watch.position(), 1);
    fs::rename(&away, &bundle).unwrap();
    watch.step(world.time, 1, None).unwrap();
    assert_eq!(watch.position(), 2);
}

#[test]
fn one_watch_at_a_time_and_no_state_that_is_no_good() {
    let mut world = World::new();
    world.round(1);
    let mut watch = world.watch();
    assert!(matches!(world.try_watch(), Err(WatchError::Locked(_))));
    watch.step(world.time, 1, None).unwrap();
    watch.save().unwrap();
    drop(watch);
    world.site.truncate(1);
    let root = publish(&world.path("mirror/site"), &world.site);
    fs::write(world.path("mirror/site/checkpoint"), checkpoint(SITE, 1, &root)).unwrap();
    let shrunk = world.watch().step(world.time, 1, None);
    assert!(matches!(shrunk, Err(WatchError::Shrunk { size: 1, seen: 2 })));
    fs::write(world.path("own/watch/state.json"), "{}").unwrap();
    assert!(matches!(world.try_watch(), Err(WatchError::State { .. })));
}

#[test]
fn a_configuration_with_an_unknown_word_or_a_zero_is_refused() {
    let world = World::new();
    for (limits, zero) in [("no_such = 5", false), ("volume_k = 0", true), ("volume_k = -1", false)] {
        world.write_config(limits);
        let error = WatchConfig::read(&world.path("watch.toml")).unwrap_err();
        assert_eq!(matches!(error, WatchConfigError::Zero("volume_k")), zero, "{limits}");
    }
}
