//! What a person sees of the demo.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::Result;
use xtask::accounts;
use xtask::story::Crossing;
use xtask::world::{World, at};

/// Prints the demo.
pub(crate) struct Show {
    started: Instant,
}

pub(crate) fn line(text: &str) {
    // A closed pipe is the reader's choice.
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Prints an error with its causes.
pub(crate) fn error(e: &anyhow::Error) {
    let _ = writeln!(std::io::stderr().lock(), "error: {e:#}");
}

impl Show {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now() }
    }

    pub(crate) fn step(&self, text: &str) {
        line(&format!("  · {text}"));
    }

    pub(crate) fn chapter(&self, text: &str) {
        line(&format!("\n{text}"));
    }

    pub(crate) fn crossing(&self, c: &Crossing) {
        let mark = if c.as_expected { "ok  " } else { "FAIL" };
        let entry = c.entry.map_or(String::new(), |e| format!("  [entry {e}]"));
        line(&format!(
            "  {mark} {}\n         expected {}; happened: {}{entry}",
            c.what, c.expected, c.happened
        ));
    }

    pub(crate) fn dialogue(&self, user: &str, statement: &str, seen: &str) {
        let seen = seen.replace('\n', "\n    ");
        line(&format!("\n    $ psql \"dbname=video user={user} …\"\n    video=> {statement};\n    {seen}"));
    }

    pub(crate) fn summary(&self, crossings: &[Crossing], world: &World) {
        let right = crossings.iter().filter(|c| c.as_expected).count();
        let recorded = crossings.iter().filter(|c| c.entry.is_some()).count();
        line(&format!(
            "\n{right} of {} as expected; {recorded} of them are on the ledger, each before a byte was released.\n\
             The public tree is in `{}`. It is not independently witnessed: one machine proves nothing about itself.\n\
             {:.1} s.",
            crossings.len(),
            world.ledger().display(),
            self.started.elapsed().as_secs_f64()
        ));
    }

    pub(crate) fn try_it(&self, world: &World) -> Result<()> {
        let root = world.layout.root().display().to_string();
        let curl = format!("curl -s --cacert {root}/tls/ca.pem");
        let with =
            |name: &str| format!("--cert {root}/credentials/{name}.pem --key {root}/credentials/{name}.key");
        let gateway = format!("https://localhost:{}", world.gateway.port());
        let subject = world.subject(0)?;
        line(&format!(
            "\nThe enclave is running; end it with Ctrl-C. Try, in another terminal:\n\n\
             # the Dublin agent's grant, from Dublin (127.0.1.10), and the same from Beijing (127.0.44.10)\n\
             {curl} {} --interface {} -H 'clover-purpose: support' -H 'clover-grant: G-1' \\\n  \
               -d '{{\"dataset\":\"export\",\"subject\":\"{subject}\",\"fields\":[\"profile.emailAddress\"]}}' {gateway}/v1/read\n\n\
             # public videos, asked for in China, whose assessment names counts only\n\
             {curl} {} --interface {} -H 'clover-purpose: research' {gateway}/lanes/public-videos\n\n\
             # the person's own list, with proofs\n\
             {curl} {} --interface {} {gateway}/v1/me/crossings\n\n\
             # status and metrics of the site\n\
             curl -s http://{}/status ; curl -s http://{}/metrics",
            with("employee-ana-IE"),
            at::DUBLIN,
            with("employee-li-CN"),
            at::BEIJING,
            with(&format!("subject-{subject}-IE")),
            at::DUBLIN,
            world.control,
            world.control,
        ));
        Ok(())
    }

    /// Gives everybody of the story an account, and says where each signs in and with what.
    pub(crate) async fn console(&self, world: &World, auditor: SocketAddr) -> Result<()> {
        line(
            "\nThe console, in a browser. Its certificate is of the enclave's own authority: a browser asks whether to go on.\n",
        );
        let here = world.console.port();
        let abroad = accounts::seat(world.console, at::SINGAPORE).await?.port();
        let cast = [
            ("operates the enclave", "oona", "IE", at::DUBLIN, here),
            ("support agent in Dublin", "ana", "IE", at::DUBLIN, here),
            ("approves cases and grants", "aoife", "IE", at::DUBLIN, here),
            ("engineer, as if in Singapore", "mei", "SG", at::SINGAPORE, abroad),
        ];
        let mut all = Vec::new();
        for (role, id, country, from, port) in cast {
            all.push((role, port, "local", accounts::employee(world, id, country, from).await?));
        }
        all.push(("a person, and their data", here, "person", accounts::person(world, 0).await?));
        for (role, port, way, account) in &all {
            line(&format!(
                "  {role:<30} https://localhost:{port}/signin/{way:<7} {:<24} secret {}",
                account.name, account.secret
            ));
        }
        line(&format!("  {:<30} https://localhost:{here}/public", "everybody"));
        line(&format!("  {:<30} http://{auditor}/", "the auditor, from the mirror"));
        line(&format!(
            "\n  The passphrase of all: {}\n  The six digits: {} code SECRET (or put the secret into an authenticator)",
            accounts::PASSPHRASE,
            std::env::current_exe()?.display()
        ));
        Ok(())
    }
}
