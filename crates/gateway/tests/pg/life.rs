//! Grants begin, are compiled by two at a time, are changed, and end with all that they had.

use std::collections::BTreeSet;

use gateway::sql::compile::{CompileError, Drift, PlanError, Role, Shows, compile, drop_ended};

use super::support::{Site, plan, role, run, token};

#[test]
fn two_gateways_compile_one_plan_and_the_second_changes_nothing() {
    let site = Site::start();
    run(async {
        let (mut one, mut other) = (site.gateway().await, site.gateway().await);
        let (plan_of_one, plan_of_other) = (plan(), plan());
        let both =
            tokio::join!(compile(&mut one.client, &plan_of_one), compile(&mut other.client, &plan_of_other));
        let (first, second) = (both.0.unwrap(), both.1.unwrap());
        assert_eq!(first, second);
        let session = site.grant().await;
        session.ask("begin; declare c cursor for select id from customers order by id").await;
        let again = compile(&mut one.client, &plan()).await.unwrap();
        assert_eq!(again, first);
        // Nobody was sent away for it.
        assert_eq!(session.ask("fetch 1 from c").await.0, "3");
        let drift = Drift::prepare(&other.client).await.unwrap();
        assert_eq!(drift.look(&other.client, &[first]).await.unwrap(), []);
    });
}

#[test]
fn a_changed_plan_ends_the_sessions_that_began_before_it() {
    let (site, compiled) = Site::compiled();
    run(async {
        let mut gateway = site.gateway().await;
        let before = site.grant().await;
        let statement = before.client.prepare("select salary from customers where id = 3").await.unwrap();
        before.ask("begin; declare c cursor for select salary from customers").await;
        let mut changed = plan();
        changed.tables[0].columns[3].shows = Shows::Generalised { kind: model::catalogue::Kind::Count };
        changed.tables[0].columns[0].shows = token(model::catalogue::Kind::Id);
        let after = compile(&mut gateway.client, &changed).await.unwrap();
        assert_ne!(after, compiled);
        assert!(before.client.query_one(&statement, &[]).await.is_err());
        assert_eq!(before.ask("fetch 1 from c").await.0, "!gone");
        assert_eq!(site.grant().await.ask("select distinct salary from customers").await.0, "30000");
        // Without its key there are no tokens, and no role is left half made.
        changed.keys.clear();
        let refused = compile(&mut gateway.client, &changed).await.unwrap_err();
        assert!(matches!(refused, CompileError::Plan(PlanError::Key(_))), "{refused}");
        assert_eq!(site.grant().await.ask("select count(*) from customers").await.0, "333");
        let mut missing = plan();
        missing.role = Role::of(&[0xc3; 12]);
        missing.tables[0].columns[0].name = "nothing".into();
        let refused = compile(&mut gateway.client, &missing).await.unwrap_err();
        assert!(matches!(refused, CompileError::NoColumn(_)), "{refused}");
        missing.tables[0].columns.clear();
        missing.tables[0].columns.push(super::support::column("note", Shows::Plain));
        let refused = compile(&mut gateway.client, &missing).await.unwrap_err();
        assert!(matches!(refused, CompileError::NotDeclared(_)), "{refused}");
        let left = site
            .server
            .sql(&format!("select count(*) from pg_roles where rolname = '{}'", missing.role))
            .unwrap();
        assert_eq!(left, ["0"]);
    });
}

#[test]
fn a_role_has_the_limits_of_its_plan_and_its_password_as_a_verifier() {
    let site = Site::start();
    let mut plan = plan();
    (plan.connections_max, plan.statement_timeout_ms) = (1, 200);
    run(async {
        compile(&mut site.gateway().await.client, &plan).await.unwrap();
        let session = site.grant().await;
        let slow = session.ask("select count(*) from generate_series(1, 1000000000)").await.0;
        assert_eq!(slow, "!57014");
        let more =
            tokio_postgres::connect(&site.address(role().as_str(), "clover"), tokio_postgres::NoTls).await;
        assert_eq!(more.err().unwrap().code().unwrap().code(), "53300");
    });
    let kept = format!(
        "select rolpassword, rolvaliduntil = 'epoch'::timestamptz + interval '4000000000 s' from pg_authid where rolname = '{}'",
        role()
    );
    assert_eq!(site.server.sql(&kept).unwrap(), [format!("{}|t", *plan.verifier)]);
}

#[test]
fn an_ended_grant_goes_with_its_sessions_views_and_keys_and_leaves_the_others() {
    let (site, _) = Site::compiled();
    let mut other = plan();
    other.role = Role::of(&[0xb2; 12]);
    run(async {
        let mut gateway = site.gateway().await;
        compile(&mut gateway.client, &other).await.unwrap();
        let (ended, lives) = (site.grant().await, site.session(other.role.as_str(), "clover").await);
        ended.ask("begin; declare c cursor for select email from customers").await;
        let live = BTreeSet::from([other.role.clone()]);
        assert_eq!(drop_ended(&mut gateway.client, &live).await.unwrap(), [role()]);
        assert_eq!(ended.ask("fetch 1 from c").await.0, "!gone");
        assert_eq!(lives.ask("select count(*) from customers").await.0, "333");
        let left = |role: &Role| {
            let left = format!(
                "select (select count(*) from pg_roles where rolname = '{role}'), (select count(*) from pg_namespace where nspname = '{role}'),
                 (select count(*) from clover.keys where \"grant\" = '{role}'), (select count(*) from clover.grants where \"grant\" = '{role}')"
            );
            site.server.sql(&left).unwrap()
        };
        assert_eq!(
            (left(&role()), left(&other.role)),
            (vec!["0|0|0|0".to_owned()], vec!["1|1|1|1".to_owned()])
        );
        assert_eq!(drop_ended(&mut gateway.client, &live).await.unwrap(), []);
        // Whoever was cut off after any step goes on.
        for step in [
            "alter role R nologin",
            "drop schema R cascade",
            "drop schema R cascade; drop role R",
            "delete from clover.keys; delete from clover.grants",
        ] {
            compile(&mut gateway.client, &plan()).await.unwrap();
            site.server.sql(&step.replace('R', role().as_str())).unwrap();
            assert_eq!(drop_ended(&mut gateway.client, &live).await.unwrap(), [role()], "{step}");
            assert_eq!(left(&role()), ["0|0|0|0"], "{step}");
            compile(&mut gateway.client, &other).await.unwrap();
        }
    });
}
