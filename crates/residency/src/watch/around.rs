//! What is around a server: Patroni and etcd, and on the same machine its sockets, the firewall's rules and where its
//! files lie. None of it is asked through PostgreSQL.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use super::declared::Node;
use super::postgres::hashed;
use super::{Fact, Seen};
use crate::connect::Web;

/// States of sockets that lead nowhere: one that listens, and one that is closed.
const NO_PEER: [&str; 2] = ["0A", "07"];

/// Looks at what is around a node.
pub async fn look(node: &Node, web: &Web, data_directory: Option<&Path>) -> Seen {
    let mut seen = Seen::default();
    if let Some(address) = &node.patroni {
        patroni(web, address, &mut seen).await;
    }
    if let Some(address) = &node.etcd {
        etcd(web, address, &mut seen).await;
    }
    if let Some(user) = &node.system_user {
        peers(user, node, &mut seen);
        nftables("nft", web.patience, &mut seen).await;
        if let Some(folder) = data_directory {
            storage(folder, &mut seen);
        }
    }
    seen
}

async fn patroni(web: &Web, address: &str, seen: &mut Seen) {
    match json(web, &format!("{address}/cluster"), None).await {
        Err(why) => seen.blind("patroni-member", why),
        Ok(cluster) => {
            let members = cluster.get("members").and_then(Value::as_array);
            for member in members.into_iter().flatten() {
                let word = |key: &str| member.get(key).map(plain).unwrap_or_default();
                let text = format!("{} {}:{}", word("name"), word("host"), word("port"));
                seen.facts.insert(Fact::new("patroni-member", text));
                if word("role") == "standby_leader" {
                    seen.facts.insert(Fact::new("patroni-standby-cluster", word("name")));
                }
            }
            if members.is_none() {
                seen.blind("patroni-member", "the answer names no members");
            }
        }
    }
    match json(web, &format!("{address}/config"), None).await {
        Err(why) => seen.blind("patroni-config", why),
        Ok(config) => {
            if let Some(standby) = config.get("standby_cluster").filter(|s| !s.is_null()) {
                seen.facts.insert(Fact::new("patroni-standby-cluster", hashed(&sorted(standby))));
            }
            seen.facts.insert(Fact::new("patroni-config", hashed(&sorted(&config))));
        }
    }
}

async fn etcd(web: &Web, address: &str, seen: &mut Seen) {
    match json(web, &format!("{address}/v3/cluster/member_list"), Some("{}")).await {
        Err(why) => seen.blind("etcd-member", why),
        Ok(answer) => match answer.get("members").and_then(Value::as_array) {
            None => seen.blind("etcd-member", "the answer names no members"),
            Some(members) => {
                for member in members {
                    let urls = member.get("peerURLs").and_then(Value::as_array).into_iter().flatten();
                    let mut urls: Vec<String> = urls.map(plain).collect();
                    urls.sort();
                    let name = member.get("name").map(plain).unwrap_or_default();
                    let learner = if member.get("isLearner").and_then(Value::as_bool) == Some(true) {
                        " learner"
                    } else {
                        ""
                    };
                    seen.facts
                        .insert(Fact::new("etcd-member", format!("{name} {}{learner}", urls.join(","))));
                }
            }
        },
    }
}

async fn json(web: &Web, address: &str, body: Option<&str>) -> Result<Value, String> {
    let body = web.ask(address, body).await.map_err(|e| format!("{address}: {e}"))?;
    serde_json::from_slice(&body).map_err(|_| format!("{address}: the answer is no JSON"))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A text that does not depend on the order of keys.
fn sorted(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.iter().collect();
            keys.sort_by_key(|(key, _)| key.as_str());
            let inner: Vec<String> = keys.into_iter().map(|(k, v)| format!("{k:?}:{}", sorted(v))).collect();
            format!("{{{}}}", inner.join(","))
        }
        Value::Array(list) => format!("[{}]", list.iter().map(sorted).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

/// Addresses that sockets of the server's user are connected with, except those of declared networks.
fn peers(user: &str, node: &Node, seen: &mut Seen) {
    let uid = std::fs::read_to_string("/etc/passwd").ok().and_then(|users| uid(&users, user));
    let Some(uid) = uid else { return seen.blind("peer", format!("there is no user `{user}` here")) };
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        match std::fs::read_to_string(table) {
            // Without IPv6 the second is not there.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && table.ends_with('6') => {}
            Err(e) => seen.blind("peer", format!("{table}: {e}")),
            Ok(text) => {
                for address in
                    connected(&text, uid).into_iter().filter(|a| !node.peers.iter().any(|n| n.contains(a)))
                {
                    seen.facts.insert(Fact::new("peer", address.to_string()));
                }
            }
        }
    }
}

fn uid(users: &str, name: &str) -> Option<u32> {
    users.lines().map(|l| l.split(':').collect::<Vec<_>>()).find_map(|l| match l.as_slice() {
        [user, _, uid, ..] if *user == name => uid.parse().ok(),
        _ => None,
    })
}

/// The far ends of a user's sockets, from a table of the kernel.
fn connected(table: &str, uid: u32) -> Vec<IpAddr> {
    let line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (remote, state, owner) = (fields.get(2)?, fields.get(3)?, fields.get(7)?);
        if NO_PEER.contains(state) || owner.parse() != Ok(uid) {
            return None;
        }
        address(remote.split_once(':')?.0)
    };
    let mut found: Vec<IpAddr> = table.lines().skip(1).filter_map(line).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Words of four bytes as the processor keeps them, in hexadecimal.
fn address(hex: &str) -> Option<IpAddr> {
    let words: Option<Vec<[u8; 4]>> = hex
        .as_bytes()
        .chunks(8)
        .map(|w| u32::from_str_radix(std::str::from_utf8(w).ok()?, 16).ok().map(u32::to_ne_bytes))
        .collect();
    let bytes = words?.concat();
    if let Ok(four) = <[u8; 4]>::try_from(bytes.as_slice()) {
        return Some(IpAddr::V4(Ipv4Addr::from(four)));
    }
    let sixteen = <[u8; 16]>::try_from(bytes.as_slice()).ok()?;
    Some(Ipv6Addr::from(sixteen).to_canonical())
}

/// The rules for what may go out, as the system has them now.
async fn nftables(program: &str, patience: Duration, seen: &mut Seen) {
    let mut command = tokio::process::Command::new(program);
    command.args(["-s", "list", "ruleset"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    match tokio::time::timeout(patience, command.kill_on_drop(true).output()).await {
        Err(_) => seen.blind("nftables", "`nft` did not answer in time"),
        Ok(Err(e)) => seen.blind("nftables", format!("`nft` cannot be run: {e}")),
        Ok(Ok(output)) if !output.status.success() => seen.blind("nftables", "`nft` may not list the rules"),
        Ok(Ok(output)) => {
            let rules = String::from_utf8_lossy(&output.stdout);
            let text = if rules.trim().is_empty() { "no rules".to_owned() } else { hashed(&rules) };
            seen.facts.insert(Fact::new("nftables", text));
        }
    }
}

/// Which file system the data is on, and links that lead out of its folder.
fn storage(folder: &Path, seen: &mut Seen) {
    match std::fs::read_to_string("/proc/self/mountinfo") {
        Err(e) => seen.blind("storage", format!("mounts: {e}")),
        Ok(mounts) => match mounted(&mounts, folder) {
            Some(on) => drop(seen.facts.insert(Fact::new("storage", format!("data on {on}")))),
            None => seen.blind("storage", "no mount holds the data"),
        },
    }
    let mut link = |path: &Path, name: &str| match std::fs::symlink_metadata(path) {
        Err(e) => seen.blind("storage", format!("{name}: {e}")),
        Ok(m) if m.is_symlink() => {
            let target = std::fs::read_link(path).map(|t| t.display().to_string());
            let target = target.unwrap_or_else(|e| format!("somewhere that cannot be read: {e}"));
            seen.facts.insert(Fact::new("storage", format!("{name} leads to {target}")));
        }
        Ok(_) => {}
    };
    link(&folder.join("pg_wal"), "pg_wal");
    let spaces = std::fs::read_dir(folder.join("pg_tblspc")).map(|d| d.flatten().collect::<Vec<_>>());
    for space in spaces.into_iter().flatten() {
        link(&space.path(), &format!("pg_tblspc/{}", space.file_name().to_string_lossy()));
    }
}

fn mounted(mounts: &str, folder: &Path) -> Option<String> {
    let mount = |line: &str| {
        let (own, kind) = line.split_once(" - ")?;
        let point = own.split(' ').nth(4)?.to_owned();
        let mut kind = kind.split(' ');
        folder.starts_with(&point).then_some((point.len(), format!("{} {}", kind.next()?, kind.next()?)))
    };
    // The last of equal points lies over the others.
    mounts.lines().filter_map(mount).max_by_key(|(length, _)| *length).map(|(_, what)| what)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use super::*;

    fn node() -> Node {
        toml::from_str("name = \"n\"\naddress = \"host=/tmp\"\npeers = [\"10.0.0.0/8\"]").unwrap()
    }

    /// Answers each request by its path until nobody asks any more.
    fn answering(answers: Vec<(&'static str, &'static str)>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut first = String::new();
                let mut reader = BufReader::new(&stream);
                reader.read_line(&mut first).unwrap();
                let body =
                    answers.iter().find(|(path, _)| first.contains(path)).map_or("", |(_, body)| *body);
                let status = if body.is_empty() { "503 Service Unavailable" } else { "200 OK" };
                write!(
                    &stream,
                    "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                )
                .unwrap();
            }
        });
        address
    }

    fn seen(node: &Node) -> Seen {
        let web = Web { tls: None, patience: Duration::from_secs(5) };
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(look(node, &web, None))
    }

    fn texts<'a>(seen: &'a Seen, kind: &str) -> Vec<&'a str> {
        seen.facts.iter().filter(|f| f.kind == kind).map(|f| f.text.as_str()).collect()
    }

    #[test]
    fn members_and_a_standby_cluster_of_patroni_and_learners_of_etcd_are_seen() {
        let cluster = r#"{"members":[{"name":"a","role":"leader","host":"10.0.0.1","port":5432,"lag":0},{"name":"b","role":"replica","host":"203.0.113.9","port":5432}]}"#;
        let config = r#"{"ttl":20,"standby_cluster":{"host":"203.0.113.9"}}"#;
        let members = r#"{"members":[{"ID":"1","name":"e1","peerURLs":["http://10.0.0.1:2380"]},{"ID":"2","name":"e2","peerURLs":["http://203.0.113.9:2380"],"isLearner":true}]}"#;
        let mut node = node();
        node.patroni = Some(answering(vec![("/cluster", cluster), ("/config", config)]));
        node.etcd = Some(answering(vec![("/v3/cluster/member_list", members)]));
        let seen = seen(&node);
        assert_eq!(texts(&seen, "patroni-member"), ["a 10.0.0.1:5432", "b 203.0.113.9:5432"]);
        assert_eq!(
            texts(&seen, "etcd-member"),
            ["e1 http://10.0.0.1:2380", "e2 http://203.0.113.9:2380 learner"]
        );
        assert_eq!(texts(&seen, "patroni-standby-cluster").len(), 1);
        assert!(seen.blind.is_empty());
        let value = |text: &str| sorted(&serde_json::from_str(text).unwrap());
        assert_eq!(value(r#"{"a":1,"b":[{"d":2,"c":3}]}"#), value(r#"{"b":[{"c":3,"d":2}],"a":1}"#));
    }

    #[test]
    fn what_does_not_answer_is_told() {
        let mut node = node();
        node.patroni = Some(answering(vec![("/cluster", "[]")]));
        node.etcd = Some("http://203.0.113.9:2379".to_owned());
        let kinds: Vec<String> = seen(&node).blind.into_iter().map(|f| f.kind).collect();
        assert_eq!(kinds, ["etcd-member", "patroni-config", "patroni-member"]);
    }

    #[test]
    fn far_ends_of_a_users_sockets_are_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000   105        0 1\n\
            1: 0100007F:1538 097100CB:C350 01 00000000:00000000 00:00000000 00000000   105        0 2\n\
            2: 0100007F:1538 0100000A:C350 01 00000000:00000000 00:00000000 00000000     0        0 3\n\
            3: 0000000000000000FFFF00000100007F:1538 0000000000000000FFFF0000097100CB:C350 02 0:0 0:0 0 105 0 4\n";
        let far: IpAddr = "203.0.113.9".parse().unwrap();
        assert_eq!(connected(table, 105), [far]);
        assert_eq!(uid("root:x:0:0::/:\npostgres:x:105:113::/:\n", "postgres"), Some(105));
    }

    #[test]
    fn an_own_connection_is_seen_unless_its_network_is_declared() {
        let users = std::fs::read_to_string("/etc/passwd").unwrap();
        let own = rustix::process::geteuid().as_raw();
        let Some(name) = users
            .lines()
            .find(|l| l.split(':').nth(2) == Some(&own.to_string()))
            .and_then(|l| l.split(':').next())
        else {
            panic!("this test's user has no name");
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _connection = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut node, mut seen) = (node(), Seen::default());
        peers(name, &node, &mut seen);
        assert!(texts(&seen, "peer").contains(&"127.0.0.1"));
        node.peers = vec!["127.0.0.0/8".parse().unwrap()];
        let mut quiet = Seen::default();
        peers(name, &node, &mut quiet);
        assert!(!texts(&quiet, "peer").contains(&"127.0.0.1"));
        peers("nobody-of-this-name", &node, &mut quiet);
        assert_eq!(quiet.blind.len(), 1);
    }

    #[test]
    fn rules_that_cannot_be_listed_are_told_and_never_taken_for_good() {
        let listed = |program: &str| {
            let mut seen = Seen::default();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(nftables(program, Duration::from_secs(5), &mut seen));
            seen
        };
        for program in ["/nowhere/nft", "false"] {
            assert_eq!(listed(program).blind.len(), 1, "{program}");
        }
        assert_eq!(texts(&listed("true"), "nftables"), ["no rules"]);
        assert!(texts(&listed("echo"), "nftables").iter().all(|t| t.starts_with("sha256:")));
    }

    #[test]
    fn a_mount_and_links_out_of_the_data_are_seen() {
        let mounts = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:5 / /srv/pg rw - nfs far:/pg rw\n";
        assert_eq!(mounted(mounts, Path::new("/srv/pg/data")).as_deref(), Some("nfs far:/pg"));
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("pg_tblspc")).unwrap();
        for (link, to) in [("pg_wal", "/mnt/far"), ("pg_tblspc/16384", "/mnt/usb")] {
            std::os::unix::fs::symlink(to, dir.path().join(link)).unwrap();
        }
        let mut seen = Seen::default();
        storage(dir.path(), &mut seen);
        assert_eq!(texts(&seen, "storage").iter().filter(|t| t.contains("leads to /mnt/")).count(), 2);
    }
}
