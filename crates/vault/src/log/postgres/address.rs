//! Which servers there are, how they are reached, and how many of them must confirm.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use super::connection::{PostgresError, Timeouts};

/// Most servers of one database.
const SERVERS_MAX: usize = 8;
/// How long a silent server is waited for before it is asked whether it is there, and between two such questions.
const PROBE: Duration = Duration::from_secs(2);

/// Where the database is, and how it is reached.
#[derive(Clone, Default)]
pub struct Database {
    /// A connection string or URL of libpq's form, which names a server, or several with one history, and has no
    /// password. Of several the one that takes writes is used.
    pub address: String,
    /// The user's password, if the server asks for one.
    pub password: Option<String>,
    /// Whom to trust, and who we are: then nothing is said in the clear. Without it only a socket or a loopback
    /// address will do.
    pub tls: Option<Arc<ClientConfig>>,
    /// Limits.
    pub timeouts: Timeouts,
    /// How many other servers must confirm a commit, by the server's `synchronous_standby_names`; 0 for none.
    pub quorum: u32,
}

/// The servers, checked.
#[derive(Clone)]
pub(crate) struct Address {
    /// Each as the only one of a configuration.
    pub(super) servers: Vec<Config>,
    pub(super) tls: Option<Arc<ClientConfig>>,
    pub(super) timeouts: Timeouts,
    pub(super) quorum: u32,
    /// Nothing is written there, and the server need not take writes.
    pub(super) reads: bool,
}

impl Address {
    /// One server that only reads, and that nobody waits for longer than this.
    pub(crate) fn reading(server: &Database, wait: Duration) -> Result<Self, PostgresError> {
        let mut address = Self::new(server)?;
        if address.servers.len() != 1 {
            return Err(PostgresError::Servers(1));
        }
        let (connect, statement) = (address.timeouts.connect.min(wait), address.timeouts.statement.min(wait));
        (address.timeouts, address.quorum, address.reads) = (Timeouts { connect, statement }, 0, true);
        Ok(address)
    }

    pub(crate) fn new(server: &Database) -> Result<Self, PostgresError> {
        let mut config: Config = server.address.parse().map_err(PostgresError::Address)?;
        if config.get_password().is_some() {
            return Err(PostgresError::Password);
        }
        if let Some(password) = &server.password {
            config.password(password);
        }
        let mut servers = apart(&config)?;
        let several = servers.len() > 1;
        if several && server.quorum == 0 {
            return Err(PostgresError::NoQuorum);
        }
        for one in &mut servers {
            // What the string says of TLS is not asked: with certificates to trust it is demanded.
            if server.tls.is_some() {
                if !matches!(one.get_hosts().first(), Some(Host::Tcp(_))) {
                    return Err(PostgresError::Nameless);
                }
                one.ssl_mode(SslMode::Require);
            } else {
                local(one)?;
                one.ssl_mode(SslMode::Disable);
            }
            if several {
                one.target_session_attrs(TargetSessionAttrs::ReadWrite);
            }
            one.connect_timeout(server.timeouts.connect).application_name("clover");
            // A site that is cut off says nothing: what was sent to it, or is awaited from it, is given up.
            one.tcp_user_timeout(server.timeouts.connect).keepalives_idle(PROBE).keepalives_interval(PROBE);
        }
        Ok(Self {
            servers,
            tls: server.tls.clone(),
            timeouts: server.timeouts,
            quorum: server.quorum,
            reads: false,
        })
    }
}

/// The servers of a list as lists of one: so each has a time of its own to answer, its handshake included.
fn apart(all: &Config) -> Result<Vec<Config>, PostgresError> {
    let (hosts, addresses, ports) = (all.get_hosts(), all.get_hostaddrs(), all.get_ports());
    let count = hosts.len().max(addresses.len());
    let fits = |length: usize| length == 0 || length == count;
    if !(1..=SERVERS_MAX).contains(&count)
        || !fits(hosts.len())
        || !fits(addresses.len())
        || !(fits(ports.len()) || ports.len() == 1)
    {
        return Err(PostgresError::Servers(SERVERS_MAX));
    }
    let one = |place: usize| {
        let mut one = Config::new();
        match hosts.get(place) {
            Some(Host::Tcp(name)) => drop(one.host(name)),
            #[cfg(unix)]
            Some(Host::Unix(path)) => drop(one.host_path(path)),
            None => {}
        }
        if let Some(address) = addresses.get(place) {
            one.hostaddr(*address);
        }
        if let Some(port) = ports.get(place).or_else(|| ports.first()) {
            one.port(*port);
        }
        if let Some(user) = all.get_user() {
            one.user(user);
        }
        if let Some(password) = all.get_password() {
            one.password(password);
        }
        if let Some(name) = all.get_dbname() {
            one.dbname(name);
        }
        if let Some(options) = all.get_options() {
            one.options(options);
        }
        one.channel_binding(all.get_channel_binding());
        one
    };
    Ok((0..count).map(one).collect())
}

/// That the server is on this machine.
fn local(config: &Config) -> Result<(), PostgresError> {
    let (hosts, addresses) = (config.get_hosts(), config.get_hostaddrs());
    let far = |address: &IpAddr| !address.is_loopback();
    if let Some(address) = addresses.iter().find(|a| far(a)) {
        return Err(PostgresError::NotLocal(address.to_string()));
    }
    if let Some(Host::Tcp(name)) = hosts.first()
            && addresses.is_empty()
            // A name may lead anywhere by the time that it is looked up.
            && name.parse().map_or(true, |address| far(&address))
    {
        return Err(PostgresError::NotLocal(name.clone()));
    }
    Ok(())
}

/// How many other servers confirm a commit by these `synchronous_standby_names`: `ANY 2 (..)`, `FIRST 2 (..)`, `2 (..)`,
/// or a list, of which one does.
pub(super) fn confirming(names: &str) -> u32 {
    let names = names.trim();
    if names.is_empty() {
        return 0;
    }
    let Some((head, _)) = names.split_once('(') else { return 1 };
    let head = head.trim().to_ascii_lowercase();
    let number = head.strip_prefix("any").or_else(|| head.strip_prefix("first")).unwrap_or(&head);
    // What is not understood counts as the least.
    number.trim().parse().unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demanding(address: &str, tls: bool, quorum: u32) -> Result<Address, PostgresError> {
        let trusting = || {
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
            let roots = rustls::RootCertStore::empty();
            Arc::new(builder.unwrap().with_root_certificates(roots).with_no_client_auth())
        };
        Address::new(&Database {
            address: address.to_owned(),
            tls: tls.then(trusting),
            quorum,
            ..Database::default()
        })
    }

    fn address(address: &str, tls: bool) -> Result<Address, PostgresError> {
        demanding(address, tls, 0)
    }

    #[test]
    fn in_the_clear_only_servers_on_this_machine_are_taken() {
        for good in [
            "host=/run/postgresql user=clover dbname=clover",
            "postgresql://clover@127.0.0.1:5433/clover?sslmode=require",
            "postgresql://clover@[::1]/clover",
            "host=db.example hostaddr=127.0.0.1 user=clover",
        ] {
            assert!(address(good, false).is_ok(), "{good}");
        }
        for far in [
            "host=db.example user=clover",
            "host=db.example user=clover sslmode=require",
            "host=localhost user=clover",
            "host=10.0.0.1 user=clover",
            "host=127.0.0.1 hostaddr=10.0.0.1 user=clover",
            "host=127.0.0.1,10.0.0.1 user=clover",
        ] {
            let refused = demanding(far, false, 1).err();
            assert!(matches!(refused, Some(PostgresError::NotLocal(_))), "{far}: {refused:?}");
        }
    }

    #[test]
    fn over_tls_servers_with_names_are_taken_and_nothing_is_said_in_the_clear() {
        for good in ["host=db.example user=clover", "host=10.0.0.1,b.example user=clover sslmode=disable"] {
            for one in demanding(good, true, 1).unwrap().servers {
                assert_eq!(one.get_ssl_mode(), SslMode::Require, "{good}");
            }
        }
        for nameless in ["host=/run/postgresql user=clover", "hostaddr=10.0.0.1 user=clover"] {
            assert!(matches!(address(nameless, true).err(), Some(PostgresError::Nameless)), "{nameless}");
        }
    }

    #[test]
    fn each_of_several_servers_is_asked_alone_and_must_take_writes() {
        let list = "host=a,b hostaddr=10.0.0.1,10.0.0.2 port=5432,5433 user=clover dbname=d options=-cx=y";
        let servers = demanding(list, true, 2).unwrap().servers;
        let told: Vec<_> =
            servers.iter().map(|s| (s.get_hosts(), s.get_hostaddrs(), s.get_ports())).collect();
        let host = |name: &str| Host::Tcp(name.to_owned());
        assert_eq!(told[1], (&[host("b")][..], &["10.0.0.2".parse().unwrap()][..], &[5433][..]));
        for one in servers {
            assert_eq!(one.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
            assert_eq!((one.get_user(), one.get_dbname()), (Some("clover"), Some("d")));
            assert_eq!(one.get_options(), Some("-cx=y"));
        }
        let refused = demanding(list, true, 0).err();
        assert!(matches!(refused, Some(PostgresError::NoQuorum)), "two histories: {refused:?}");
    }

    #[test]
    fn lists_that_do_not_fit_a_password_and_what_is_no_connection_string_are_refused() {
        for tls in [false, true] {
            for list in [
                "user=clover",
                "host=a,b hostaddr=127.0.0.1 user=clover",
                "host=a,b,c port=1,2 user=clover",
                "host=a,a,a,a,a,a,a,a,a user=clover",
            ] {
                assert!(matches!(demanding(list, tls, 1).err(), Some(PostgresError::Servers(_))), "{list}");
            }
            let told = address("host=127.0.0.1 user=clover password=secret", tls).err();
            assert!(matches!(told, Some(PostgresError::Password)));
            assert!(matches!(address("host", tls).err(), Some(PostgresError::Address(_))));
        }
    }

    #[test]
    fn the_number_of_servers_that_confirm_is_read_from_every_form() {
        for (names, count) in [
            ("", 0),
            (" ", 0),
            ("*", 1),
            ("hamar, kouvola", 1),
            ("ANY 2 (\"dublin-2\",hamar,kouvola)", 2),
            ("any 3(a,b,c)", 3),
            ("FIRST 2 (a, b)", 2),
            ("2 (a, b)", 2),
            ("ANY None (*)", 1),
        ] {
            assert_eq!(confirming(names), count, "{names}");
        }
    }
}
