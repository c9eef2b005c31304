//! One server with a table of customers, and sessions on it.

use std::future::Future;

use gateway::sql::compile::{
    Column, Compiled, Declared, KeyOf, Plan, Role, Shows, Subject, Table, compile, setup,
};
use model::catalogue::Kind;
use model::{DataClass, UnixSeconds};
use postgres_protocol::password::scram_sha_256;
use testkit::Postgres;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
use transform::pseudonym::derive_bytes;
use zeroize::Zeroizing;

/// The root of all pseudonyms.
pub(crate) const ROOT: [u8; 32] = [9; 32];
pub(crate) const EPOCH: u32 = 12;

/// Rows of three people, of whom the grant is for `p0`: rows 3, 6, 9 and so on.
const CUSTOMERS: &str = "
    create role data_owner nologin;
    create schema raw authorization data_owner;
    set role data_owner;
    create table raw.customers (id int primary key, sub text not null, email text, country text, salary int, note text);
    insert into raw.customers select i, 'p' || (i % 3), 'user' || i || '@corp.example', case when i % 3 = 0 then 'IE' else 'FI' end,
      30000 + i, 'secret note ' || i from generate_series(1, 1000) i;
    analyze raw.customers;
    reset role";

pub(crate) fn run<T>(doing: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(doing)
}

pub(crate) fn role() -> Role {
    Role::of(&[0xa1; 12])
}

pub(crate) fn column(name: &str, shows: Shows) -> Column {
    Column { name: name.into(), shows }
}

pub(crate) fn token(kind: Kind) -> Shows {
    Shows::Token { class: DataClass::Allowable, kind }
}

/// The grant for `p0`'s customers.
pub(crate) fn plan() -> Plan {
    plan_of(vec![Table {
        schema: "raw".into(),
        relation: "customers".into(),
        view: "customers".into(),
        columns: vec![
            column("id", Shows::Plain),
            column("email", token(Kind::Email)),
            column("country", Shows::Plain),
            column("salary", Shows::Plain),
            column("note", Shows::Withheld),
        ],
        subject: Some(Subject { column: "sub".into(), only: Some("p0".into()) }),
    }])
}

pub(crate) fn plan_of(tables: Vec<Table>) -> Plan {
    let key = derive_bytes(&ROOT, "lab", "research", DataClass::Allowable.word(), EPOCH);
    Plan {
        role: role(),
        until: UnixSeconds(4_000_000_000),
        tables,
        keys: vec![KeyOf { class: DataClass::Allowable, epoch: EPOCH, key }],
        statement_timeout_ms: 20_000,
        connections_max: 15,
        temp_bytes_max: 64 << 20,
        verifier: Zeroizing::new(scram_sha_256(b"a password")),
    }
}

pub(crate) fn declared(tables: &[Table]) -> Vec<Declared> {
    let of = |table: &Table| {
        let columns = table.columns.iter().filter(|c| c.shows != Shows::Withheld).map(|c| c.name.clone());
        let subject = table.subject.iter().map(|s| s.column.clone());
        Declared {
            schema: table.schema.clone(),
            relation: table.relation.clone(),
            columns: columns.chain(subject).collect(),
        }
    };
    tables.iter().map(of).collect()
}

/// A server whose database is set up, with customers in it.
pub(crate) struct Site {
    pub(crate) server: Postgres,
}

impl Site {
    pub(crate) fn start() -> Self {
        let server = Postgres::start().unwrap();
        server.sql(CUSTOMERS).unwrap();
        server.sql(&setup(&declared(&plan().tables))).unwrap();
        Self { server }
    }

    /// One with the grant compiled.
    pub(crate) fn compiled() -> (Self, Compiled) {
        let site = Self::start();
        let compiled = run(async { compile(&mut site.gateway().await.client, &plan()).await.unwrap() });
        (site, compiled)
    }

    pub(crate) fn address(&self, user: &str, database: &str) -> String {
        let own = self.server.address();
        own.replace("user=clover", &format!("user={user}"))
            .replace("dbname=clover", &format!("dbname={database}"))
    }

    pub(crate) async fn session(&self, user: &str, database: &str) -> Session {
        loop {
            match tokio_postgres::connect(&self.address(user, database), NoTls).await {
                Ok((client, connection)) => {
                    let driver = tokio::spawn(async move {
                        let _ = connection.await;
                    });
                    return Session { client, _driver: driver };
                }
                // The session before is still ending.
                Err(e) if e.code().is_some_and(|c| c.code() == "53300") => tokio::task::yield_now().await,
                Err(e) => panic!("{user} cannot connect: {e:?}"),
            }
        }
    }

    pub(crate) async fn gateway(&self) -> Session {
        self.session("clover_gateway", "clover").await
    }

    /// A session of the grant, as PostgreSQL has it: no gate between.
    pub(crate) async fn grant(&self) -> Session {
        self.session(role().as_str(), "clover").await
    }
}

pub(crate) struct Session {
    pub(crate) client: Client,
    _driver: JoinHandle<()>,
}

impl Session {
    /// What statements end as: `!` and a code, or rows of text, parted by `;`, of values parted by `|`.
    pub(crate) async fn ask(&self, statements: &str) -> (String, String) {
        match self.client.simple_query(statements).await {
            Ok(messages) => {
                let rows: Vec<String> = messages.iter().filter_map(row).collect();
                (rows.join(";"), rows.join("\n"))
            }
            // With all that the server says of it.
            Err(e) => (format!("!{}", e.code().map_or("gone", |c| c.code())), format!("{e:?}")),
        }
    }
}

fn row(message: &SimpleQueryMessage) -> Option<String> {
    let SimpleQueryMessage::Row(row) = message else { return None };
    Some((0..row.len()).map(|i| row.get(i).unwrap_or("NULL")).collect::<Vec<_>>().join("|"))
}
