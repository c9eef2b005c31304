//! The entries of a gateway's log: what each says ([`Looker`]), and how it follows from those before it
//! ([`Follower`]).

use std::{collections::BTreeSet, io, sync::Arc};

use crate::{
    bundle::ENTRY_BYTES_MAX,
    claims::{Claim, ClaimReader},
    codes::{Kind, REASON_ASSESSMENT, REASON_POLICY, Treatment},
    decide::{Memo, Question},
    declared,
    facts::{Evidence, Facts, PrincipalKind},
    flows::Flows,
    grants::{Grants, OpenTaken, Taken, Totals},
    hash::{Hash, sha256},
    header::{Header, HeaderError, Subjects},
    inside::Within,
    invariants, measured,
    noise::Learned,
    orders::{Said, Standing},
    report::{Report, Rule},
    rulebook::{Rulebook, Rulebooks},
    runs::{Sorted, Sorter},
    streams::Streams,
    tags::TagLists,
    tree::{Inventory, hex_of},
    walk::{Follow, Look, check_place, readable},
};

/// How far a clock may be set back between two entries, and be wrong against the site's rounds.
pub(crate) const TIME_BACK_SECONDS_MAX: u64 = 300;
const NO_RULEBOOK: Hash = [0; 32];
/// Rulebooks that are remembered as activated before.
const ACTIVATED_MAX: usize = 10_000;

/// For how long after a rulebook was replaced the minutes are summed up that began under it.
const SUMMED_UP_SECONDS_MAX: u64 = 120;

/// What is wrong with an entry.
pub(crate) type Problem = (Rule, String);

/// Looks at each entry alone.
pub(crate) struct Looker<'t> {
    pub(crate) rulebooks: &'t Rulebooks<'t>,
    pub(crate) tags: &'t TagLists<'t>,
    pub(crate) memo: &'t Memo,
    pub(crate) redecide: bool,
    /// What the site log has of requests; absent where there is no site log.
    pub(crate) grants: Option<&'t Grants>,
}

/// What is known of an entry from itself alone.
pub(crate) struct Seen {
    header: Result<Header, HeaderError>,
    behind: Behind,
}

/// What is known of an entry whose header is good.
#[derive(Default)]
struct Behind {
    /// The file that is wrong with its rulebook, and what is.
    rulebook: Option<(String, String)>,
    problems: Vec<Problem>,
    rows_max: Option<u64>,
    /// What a released crossing takes of its grant's amount.
    taken: Option<Taken>,
    /// What a count with noise takes of privacy budgets.
    learned: Option<Learned>,
    decided: bool,
    /// What a signed text says, or what is wrong with it.
    said: Option<Result<Said, String>>,
    /// When the minute began that it sums up.
    summed_from: Option<u64>,
}

impl Look for Looker<'_> {
    type Seen = Seen;
    const LEAF_BYTES_MAX: usize = ENTRY_BYTES_MAX;
    const BUNDLES_AT_ONCE: u64 = 16;

    fn look(&self, _index: u64, entry: &[u8]) -> Seen {
        let mut behind = Behind::default();
        let header = Header::parse(entry).map(|(header, facts)| {
            self.look_behind(&header, facts, &mut behind);
            header
        });
        Seen { header, behind }
    }
}

impl Looker<'_> {
    fn look_behind(&self, header: &Header, bytes: &[u8], seen: &mut Behind) {
        if let Subjects::List(root) = &header.subjects
            && let Err(text) = self.tags.check(root, header.count)
        {
            seen.problems.push((Rule::TagList, text));
        }
        let rulebook = self.rulebook(header, seen);
        if header.kind.is_signed() {
            let said = Said::check(header.kind, bytes, self.rulebooks.signers());
            seen.said = Some(said.and_then(|said| said.placed(rulebook.as_deref())));
            return;
        }
        if header.kind == Kind::Inside {
            let problems = match Within::decode(bytes) {
                Ok(within) => {
                    seen.summed_from = Some(within.from);
                    within.check(header, rulebook.as_deref())
                }
                Err(error) => vec![(Rule::Facts, format!("its facts are refused: {error}"))],
            };
            seen.problems.extend(problems);
            return;
        }
        let facts = match decode(header, bytes) {
            Ok(Some(facts)) => facts,
            Ok(None) => return,
            Err(text) => return seen.problems.push((Rule::Facts, text)),
        };
        seen.rows_max = Some(facts.rows);
        check_agreement(header, &facts, &mut seen.problems);
        let Some(rulebook) = rulebook else { return };
        seen.problems.extend(declared::check(&rulebook, header, &facts));
        measured::check(&rulebook.lanes, header, &facts, &mut seen.problems);
        let counting = rulebook.lanes.noise.get(facts.dataset);
        seen.learned = Learned::of(header, &facts, counting, &mut seen.problems);
        if header.kind.is_release() {
            seen.problems.extend(invariants::check(&rulebook.programme, &facts));
            seen.taken = Taken::of(header, &facts);
            if let Some(grants) = self.grants {
                let procedures = Some(&rulebook.procedures);
                grants.check(header, &facts, &rulebook.programme, procedures, &mut seen.problems);
            }
        }
        if let Some(question) = question(header).filter(|_| self.redecide) {
            seen.decided = true;
            let answer = self.memo.decide(question, &header.rulebook, &rulebook, &facts);
            seen.problems.extend(answer.iter().cloned());
        }
    }

    /// The rulebook that the entry names, if it is valid.
    fn rulebook(&self, header: &Header, seen: &mut Behind) -> Option<Arc<Rulebook>> {
        if header.rulebook == NO_RULEBOOK {
            return None;
        }
        let found = self.rulebooks.find(&header.rulebook);
        if found.is_err() && (header.kind.is_release() || header.kind == Kind::Import) {
            let text = "its rulebook is not valid, which refuses everything";
            seen.problems.push((Rule::Release, text.into()));
        }
        found.map_err(|problem| seen.rulebook = Some(problem)).ok()
    }
}

/// When the site's rounds counted the entries of this log.
struct Timeline {
    claims: ClaimReader,
    /// The newest round that does not count the entry at hand.
    before: Option<Claim>,
}

/// An activation: index, time, digest.
pub(crate) type Activated = (u64, u64, Hash);

/// What is carried from entry to entry.
pub(crate) struct Follower<'s> {
    log: u16,
    gateway: [u8; 8],
    pub(crate) time: Option<u64>,
    pub(crate) newest: u64,
    flows: &'s mut Flows,
    /// The rulebook that was activated last, and all before it.
    active: Option<Hash>,
    activated: BTreeSet<Hash>,
    pub(crate) activations: Vec<Activated>,
    /// Rulebooks that were named, the bad ones of which are reported.
    named: BTreeSet<Hash>,
    tag_lists: Sorter<32>,
    pub(crate) streams: Streams,
    totals: &'s mut Totals,
    open_taken: OpenTaken,
    origin: String,
    standing: Standing,
    timeline: Option<Timeline>,
}

impl<'s> Follower<'s> {
    /// Follows the log of this origin, which has the number `log` among the flows.
    pub(crate) fn new(
        origin: &str,
        log: u16,
        flows: &'s mut Flows,
        totals: &'s mut Totals,
        rounds: Option<ClaimReader>,
        records_max: usize,
    ) -> Self {
        Self {
            log,
            gateway: short_id(origin),
            origin: origin.to_owned(),
            standing: Standing::default(),
            time: None,
            newest: 0,
            flows,
            active: None,
            activated: BTreeSet::new(),
            activations: Vec::new(),
            named: BTreeSet::new(),
            tag_lists: Sorter::new(records_max),
            streams: Streams::default(),
            totals,
            open_taken: OpenTaken::default(),
            timeline: rounds.map(|claims| Timeline { claims, before: None }),
        }
    }

    /// Reports what the tree holds and no entry names, and the streams that are not closed by `newest`.
    pub(crate) fn finish(self, inventory: Inventory, newest: u64, report: &mut Report) -> io::Result<()> {
        self.streams.finish(newest.max(self.newest), report);
        report.rulebooks = self.named.len() as u64;
        for digest in inventory.rulebooks.iter().filter(|digest| !self.named.contains(*digest)) {
            report.file(Rule::Extra, format!("rulebook/{}", hex_of(digest)), "no entry names it");
        }
        unnamed_lists(self.tag_lists.finish()?, inventory.tag_lists.finish()?, report)
    }

    fn check_place(&mut self, index: u64, header: &Header, report: &mut Report) -> io::Result<()> {
        check_place(index, self.gateway, header.gateway, header.sequence, report);
        check_time(index, self.time, header.time, report);
        self.time = Some(header.time);
        self.newest = self.newest.max(header.time);
        self.flows.entry(self.log, index, header)?;
        if let Subjects::List(root) = &header.subjects {
            self.tag_lists.push(*root)?;
        }
        if index == 0 && header.kind != Kind::Activation {
            report.entry(Rule::First, index, "it does not activate a rulebook");
        }
        self.check_rounds(index, header.time, report)
    }

    /// Compares the entry's time with the rounds between which it was written.
    fn check_rounds(&mut self, index: u64, time: u64, report: &mut Report) -> io::Result<()> {
        let Some(timeline) = &mut self.timeline else { return Ok(()) };
        while let Some(claim) = timeline.claims.next_up_to(index)? {
            timeline.before = Some(claim);
        }
        if let Some(before) = &timeline.before {
            let late = before.last.saturating_sub(time);
            if late > TIME_BACK_SECONDS_MAX {
                let text = format!(
                    "the log was without it {late} s after its time, as round {} shows",
                    before.place
                );
                report.entry(Rule::Late, index, text);
            }
        }
        if let Some(after) = timeline.claims.peek()? {
            let early = time.saturating_sub(after.first);
            if early > TIME_BACK_SECONDS_MAX {
                let text =
                    format!("its time is {early} s after the round that counts it first, {}", after.place);
                report.entry(Rule::Late, index, text);
            }
        }
        Ok(())
    }

    fn check_rulebook(
        &mut self,
        index: u64,
        header: &Header,
        (bad, summed_from): (Option<(String, String)>, Option<u64>),
        report: &mut Report,
    ) {
        let digest = &header.rulebook;
        if *digest == NO_RULEBOOK {
            if !matches!(header.kind, Kind::Refusal | Kind::Border) {
                report.entry(Rule::Activation, index, "it names no rulebook");
            }
            return;
        }
        if header.kind == Kind::Activation {
            if self.active != Some(*digest) && self.activated.contains(digest) {
                let text =
                    "it puts a rulebook in force again that was replaced: what both signed since is undone";
                report.entry(Rule::Activation, index, text);
            }
            self.active = Some(*digest);
            if self.activated.len() < ACTIVATED_MAX {
                self.activated.insert(*digest);
                self.activations.push((index, header.time, *digest));
            }
        } else if self.active != Some(*digest)
            && !header.kind.continues()
            && !self.summed_up(header, summed_from)
        {
            let known = self.activated.contains(digest);
            let text =
                if known { "its rulebook was replaced before" } else { "its rulebook was never activated" };
            report.entry(Rule::Activation, index, text);
        }
        let new = self.named.len() < ACTIVATED_MAX && self.named.insert(*digest);
        if let Some((path, text)) = bad.filter(|_| new) {
            report.file(Rule::Rulebook, path, text);
        }
    }
}

impl Follower<'_> {
    /// Whether it sums up a minute that began under a rulebook which was replaced meanwhile.
    fn summed_up(&self, header: &Header, from: Option<u64>) -> bool {
        let replaced = self.activations.iter().rev().take_while(|(_, _, digest)| *digest != header.rulebook);
        let known = self.activated.contains(&header.rulebook);
        let replaced = replaced.last().map(|(_, time, _)| *time);
        header.kind == Kind::Inside
            && known
            && replaced.zip(from).is_some_and(|(time, from)| {
                from <= time && header.time.saturating_sub(time) <= SUMMED_UP_SECONDS_MAX
            })
    }
}

impl Follow<Seen> for Follower<'_> {
    fn follow(&mut self, index: u64, seen: Seen, report: &mut Report) -> io::Result<()> {
        let Some(header) = readable(index, seen.header, report) else { return Ok(()) };
        report.refusals += u64::from(header.kind == Kind::Refusal);
        let seen = seen.behind;
        report.decisions += u64::from(seen.decided);
        self.check_place(index, &header, report)?;
        self.check_rulebook(index, &header, (seen.rulebook, seen.summed_from), report);
        for (rule, text) in seen.problems {
            report.entry(rule, index, text);
        }
        if let Some(taken) = self.open_taken.follow(index, &header, seen.taken) {
            self.totals.add(index, &taken, report);
        }
        if let Some(learned) = seen.learned {
            self.totals.noise.add(self.log, index, learned);
        }
        if let Some(country) = self.standing.suspensions.broken_by(&header) {
            let text = format!("it releases to or in `{country}`, where crossings are suspended");
            report.entry(Rule::Suspended, index, text);
        }
        if let Some(said) = seen.said {
            let rule = match header.kind {
                Kind::Demand => Rule::Demand,
                Kind::Migration => Rule::Migration,
                _ => Rule::SuspensionOrder,
            };
            let taken = said.and_then(|said| self.standing.take(&self.origin, &header, &said));
            if let Err(text) = taken {
                report.entry(rule, index, text);
            }
        }
        self.streams.follow(index, &header, seen.rows_max, report);
        Ok(())
    }
}

/// First 8 bytes of SHA-256 of an origin.
pub(crate) fn short_id(origin: &str) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = sha256(origin.as_bytes());
    [a, b, c, d, e, f, g, h]
}

/// Reports a time that goes back further than a clock may be set back.
pub(crate) fn check_time(index: u64, before: Option<u64>, time: u64, report: &mut Report) {
    let back = before.map_or(0, |before| before.saturating_sub(time));
    if back > TIME_BACK_SECONDS_MAX {
        report.entry(Rule::Time, index, format!("its time is {back} s before that of the entry before it"));
    }
}

/// Compares the lists that entries name with those that are there, and counts the first.
fn unnamed_lists(named: Sorted<32>, present: Sorted<32>, report: &mut Report) -> io::Result<()> {
    let mut named = named.peekable();
    let mut last = None;
    let mut advance = |until: Option<&Hash>, report: &mut Report| -> io::Result<bool> {
        let mut met = false;
        while let Some(root) = named.next_if(|root| match (root, until) {
            (Ok(root), Some(until)) => root <= until,
            _ => true,
        }) {
            let root = root?;
            report.tag_lists += u64::from(last.replace(root) != Some(root));
            met |= until == Some(&root);
        }
        Ok(met)
    };
    for root in present {
        let root = root?;
        if !advance(Some(&root), report)? {
            report.file(Rule::Extra, format!("tags/{}", hex_of(&root)), "no entry names it");
        }
    }
    advance(None, report).map(|_| ())
}

/// What is to be asked again of an entry.
pub(crate) fn question(header: &Header) -> Option<Question> {
    match header.kind {
        Kind::Answer | Kind::Open => Some(Question::Released),
        Kind::Refusal if header.reason == REASON_POLICY => Some(Question::RefusedForPolicy),
        Kind::Refusal if header.reason == REASON_ASSESSMENT => Some(Question::RefusedForAssessment),
        _ => None,
    }
}

/// Reads the facts that an entry of this kind must or may have, or says what is wrong with them.
pub(crate) fn decode<'e>(header: &Header, bytes: &'e [u8]) -> Result<Option<Facts<'e>>, String> {
    let needed = match header.kind {
        Kind::Answer | Kind::Import | Kind::Open => true,
        Kind::Refusal => matches!(header.reason, REASON_POLICY | REASON_ASSESSMENT),
        // Read elsewhere: what stands there is no facts.
        Kind::Suspension | Kind::Demand | Kind::Migration | Kind::Inside => return Ok(None),
        Kind::Activation | Kind::Border | Kind::Extend | Kind::Close | Kind::Erasure | Kind::Home => {
            return if bytes.is_empty() { Ok(None) } else { Err("an entry of its kind has no facts".into()) };
        }
    };
    match bytes {
        [] if needed => Err("its facts are absent".into()),
        [] => Ok(None),
        bytes => Facts::decode(bytes).map(Some).map_err(|error| format!("its facts are refused: {error}")),
    }
}

fn check_agreement(header: &Header, facts: &Facts<'_>, problems: &mut Vec<Problem>) {
    let mut differ = |same: bool, what: &str| {
        if !same {
            problems.push((Rule::Agreement, format!("header and facts differ in {what}")));
        }
    };
    let country = facts.principal.country.as_bytes();
    differ(header.actor == facts.principal.tag, "the actor");
    differ(header.time == facts.now, "the time");
    differ(header.purpose == facts.purpose, "the purpose");
    differ(header.place == *country, "the place");
    let operator = facts.principal.kind == PrincipalKind::Operator;
    differ(header.kind != Kind::Import || operator, "the kind of actor");
    match (&facts.evidence, facts.principal.kind) {
        (Some(Evidence::Flow(flow)), PrincipalKind::Service) => {
            differ(header.destination == *flow.destination.as_bytes(), "the destination");
        }
        (_, PrincipalKind::Employee | PrincipalKind::Subject) => {
            differ(header.destination == *country, "the destination");
        }
        _ => {}
    }
    if header.kind.is_release() && facts.principal.kind != PrincipalKind::Subject {
        let outcomes =
            || facts.groups.iter().filter_map(|group| group.outcome.map(|outcome| (group, outcome)));
        let classes = outcomes().fold(0, |bits, (group, _)| bits | group.class.bit());
        let treatments = outcomes().fold(0, |bits, (_, outcome)| bits | outcome.bit());
        differ(header.classes == classes, "the classes");
        differ(header.treatments == treatments, "the treatments");
    }
    if header.kind.is_release() {
        check_bounds(header, facts, problems);
    }
}

/// The most that one release with noise may take, in millionths of epsilon and in 10^-18 of delta.
const EPSILON_MAX: u64 = 1_000_000;
const DELTA_MAX: u64 = 1_000_000_000;

fn check_bounds(header: &Header, facts: &Facts<'_>, problems: &mut Vec<Problem>) {
    let mut found = |text: String| problems.push((Rule::Bounds, text));
    if u64::from(header.rows) > facts.rows {
        found(format!("it released {} rows of at most {}", header.rows, facts.rows));
    }
    if u64::from(header.count) > facts.subjects {
        found(format!("it names {} people of at most {}", header.count, facts.subjects));
    }
    if let Some(spent) = &facts.spent {
        if header.treatments != Treatment::Aggregate.bit() {
            found("it took of privacy budgets, and is no count".into());
        }
        if spent.epsilon > EPSILON_MAX || spent.delta > DELTA_MAX {
            found(format!("it took {} millionths of epsilon, of at most {EPSILON_MAX}", spent.epsilon));
        }
    }
    let others = match (&header.subjects, &facts.subject) {
        (_, None) | (Subjects::None, _) => false,
        (Subjects::Inline(tags), Some(subject)) => tags.iter().any(|tag| tag != subject),
        (Subjects::List(_) | Subjects::Everyone, Some(_)) => true,
    };
    if others {
        found("the request was pinned to one person, and it names others".into());
    }
}
