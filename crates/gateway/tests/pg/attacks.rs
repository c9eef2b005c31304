//! What was tried on PostgreSQL, asked as a compiled role: each ends as is written here.
//!
//! Some end well only since the gate refuses the statement before: [`Gate::Closes`] says so, and what PostgreSQL alone does stands beside.

use super::support::{Site, run};

/// Whether privileges alone hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    /// They do.
    Held,
    /// The server does it, or tells something; the gate refuses its kind.
    Closes,
    /// The server tells it, and policy does not count it as secret.
    Accepted,
}

use Gate::{Accepted, Closes, Held};

type Case = (&'static str, Gate, &'static str, &'static str);

/// Name, who holds, statements, how they end. `S` is the grant's schema.
const CASES: &[Case] = &[
    ("A1 raw table", Held, "select * from raw.customers limit 1", "!42501"),
    ("A2 pg_stats", Held, "select count(*) from pg_stats where tablename = 'customers'", "!42501"),
    ("A2 pg_statistic", Held, "select count(*) from pg_statistic", "!42501"),
];

#[test]
fn every_attack_of_the_list_ends_as_it_says() {
    let (site, compiled) = Site::compiled();
    let schema = compiled.role().as_str();
    run(async {
        let mut wrong = Vec::new();
        for (name, gate, statements, expected) in CASES {
            let session = site.grant().await;
            let (ended, said) = session.ask(&statements.replace("S.", &format!("{schema}."))).await;
            let leaks = said.contains("@corp.example") || said.contains("secret note");
            if ended != *expected || leaks {
                wrong.push(format!("{name} ({gate:?}): {ended:?} ({said}), expected {expected:?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}
