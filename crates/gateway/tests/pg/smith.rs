//! Statements that `sqlsmith` makes up from the catalogues, as a compiled role sees them.

use std::collections::BTreeMap;
use std::process::Command;

use super::support::{Site, run};

const STATEMENTS: &str = "200";

#[test]
fn no_statement_that_is_made_up_shows_what_is_hidden_or_stops_the_server() {
    let (site, compiled) = Site::compiled();
    let role = compiled.role().as_str();
    let target = format!("--target={}", site.address(role, "clover"));
    let made = Command::new("sqlsmith")
        .args(["--dry-run", "--seed=7", &format!("--max-queries={STATEMENTS}"), &target])
        .output();
    let Ok(made) = made else {
        println!("not run: Debian's `sqlsmith` is not installed; `./scripts/test` installs it");
        return;
    };
    let text = String::from_utf8_lossy(&made.stdout);
    let statements: Vec<&str> = text.split(";\n").map(str::trim).filter(|s| !s.is_empty()).collect();
    assert!(statements.len() > 100, "{}", String::from_utf8_lossy(&made.stderr));
    let started = site.server.sql("select pg_postmaster_start_time()").unwrap();
    run(async {
        let session = site.grant().await;
        session.ask("set statement_timeout = 300").await;
        let (mut ran, mut ends) = (0, BTreeMap::<String, u32>::new());
        for statement in statements {
            let (ended, said) = session.ask(statement).await;
            assert!(!said.contains("@corp.example") && !said.contains("secret note"), "{statement}: {said}");
            assert_ne!(ended, "!gone", "{statement}");
            ran += u32::from(!ended.starts_with('!'));
            if ended.starts_with('!') {
                *ends.entry(ended).or_default() += 1;
            }
        }
        assert!(ran > 5, "none of them asked anything: {ends:?}");
    });
    // No session of the server died: then all are started anew.
    assert_eq!(site.server.sql("select pg_postmaster_start_time()").unwrap(), started);
}
