//! An enclave on one machine: made by the real command line, served by a real process.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clover::layout::Layout;
use clover::sample;
use model::SubjectId;

use crate::client::Client;
use crate::services::{self, Arrived, People};

/// Longest wait for a signature of the witnesses.
const WITNESSED: Duration = Duration::from_secs(6);
/// How long a process may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where callers sit, by the starter programme's table of networks.
pub mod at {
    use std::net::{IpAddr, Ipv4Addr};

    /// An office in Dublin.
    pub const DUBLIN: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 1, 10));
    /// An office in Singapore.
    pub const SINGAPORE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 33, 10));
    /// An office in Beijing.
    pub const BEIJING: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 44, 10));
    /// A data centre in the United States.
    pub const OREGON: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 55, 10));
    /// An address that no table knows.
    pub const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 99, 10));
}

/// An enclave with its neighbours.
pub struct World {
    /// Its folder.
    pub layout: Layout,
    /// The gateway.
    pub gateway: SocketAddr,
    /// The control API.
    pub control: SocketAddr,
    /// The site's logs, as auditors fetch them.
    pub logs: SocketAddr,
    /// The local mirror.
    pub mirror: SocketAddr,
    /// The console, for people with a session.
    pub console: SocketAddr,
    /// The video service, for those who try to reach it directly.
    pub video: SocketAddr,
    /// What reached the safety desk.
    pub arrived: Arrived,
    /// People of the sample, with their handles.
    pub people: People,
    credentials: PathBuf,
    enclave: Option<Child>,
}

/// The folder of this build's programs.
///
/// # Errors
/// When it cannot be found.
pub fn programs() -> Result<PathBuf> {
    let mut folder = std::env::current_exe()?;
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    Ok(folder)
}

/// Runs `clover` on an enclave's folder.
///
/// # Errors
/// When it fails; the error holds what it said.
pub fn clover(layout: &Layout, arguments: &[&str]) -> Result<String> {
    let output = clover_raw(layout, arguments)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`clover {}` ended with {}: {said}", arguments.join(" "), output.status);
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Runs `clover` and returns whatever came of it.
///
/// # Errors
/// When it cannot be started.
pub fn clover_raw(layout: &Layout, arguments: &[&str]) -> Result<Output> {
    let program = programs()?.join("clover");
    let run =
        Command::new(&program).arg("--dir").arg(layout.root()).args(arguments).stdin(Stdio::null()).output();
    run.with_context(|| {
        format!("cannot run `{}`; build it with `cargo build --workspace`", program.display())
    })
}

/// Runs `clover` so that a person sees its progress bar.
fn watched(layout: &Layout, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(programs()?.join("clover"));
    command.arg("--dir").arg(layout.root()).args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    let status = command.status()?;
    if status.success() { Ok(()) } else { bail!("`clover {}` ended with {status}", arguments.join(" ")) }
}

/// A port that is free now, below those that systems hand out by themselves, so that nobody takes it before it
/// is used.
pub(crate) fn free_port() -> Result<SocketAddr> {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    for _ in 0..1000 {
        let n = std::process::id().wrapping_mul(31).wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed));
        let address = SocketAddr::from(([127, 0, 0, 1], 10_000 + u16::try_from(n % 20_000)?));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no port is free")
}

impl World {
    /// Makes a programme in an empty folder, with people in its vault and its neighbours running.
    ///
    /// # Errors
    /// When a step fails.
    pub async fn create(folder: &Path, people: u64, seed: u64, mut step: impl FnMut(&str)) -> Result<Self> {
        Self::prepare(folder, people, seed, &mut step)?;
        Self::open(folder, people, seed, step).await
    }

    /// Makes a programme in an empty folder, with people in its vault and everybody of the story on record. The
    /// folder may be copied and each copy opened.
    ///
    /// # Errors
    /// When a step fails.
    pub fn prepare(folder: &Path, people: u64, seed: u64, step: impl FnMut(&str)) -> Result<()> {
        Self::prepare_with(folder, people, seed, &[], step)
    }

    /// The same, with arguments of `clover init`.
    ///
    /// # Errors
    /// When a step fails.
    pub fn prepare_with(
        folder: &Path,
        people: u64,
        seed: u64,
        init: &[&str],
        mut step: impl FnMut(&str),
    ) -> Result<()> {
        let layout = Layout::new(folder);
        step("creating the programme: region, site, keys, rulebook signed by operator and auditor");
        clover(&layout, &[&["init"], init].concat())?;
        step("writing a sample of people from the region's countries");
        let sample = folder.join("sample");
        let (count, number) = (people.to_string(), seed.to_string());
        let target = sample.display().to_string();
        watched(&layout, &["sample", "--people", &count, "--seed", &number, "--out", &target])?;
        step("importing them: one file, one person; one entry a batch");
        watched(&layout, &["import", &target])?;
        staff(&layout)
    }

    /// Starts an enclave that was prepared with these people, and its neighbours.
    ///
    /// # Errors
    /// When a step fails.
    pub async fn open(folder: &Path, people: u64, seed: u64, mut step: impl FnMut(&str)) -> Result<Self> {
        let layout = Layout::new(folder);
        let people = known(&layout, people.min(60), seed)?;
        step("starting the services behind the gateway and a destination outside");
        let video = services::video_service(Arc::clone(&people)).await?;
        let (desk, arrived) = services::safety_desk(&layout, layout.tls().join("desk")).await?;
        let (gateway, control) = (free_port()?, free_port()?);
        let (logs, mirror, console) = (free_port()?, free_port()?, free_port()?);
        let config = std::fs::read_to_string(layout.config())?
            .replace("127.0.0.1:8443", &gateway.to_string())
            .replace("127.0.0.1:8444", &control.to_string())
            .replace("127.0.0.1:8445", &logs.to_string())
            .replace("127.0.0.1:8446", &mirror.to_string())
            .replace("127.0.0.1:8447", &console.to_string())
            .replace("127.0.0.1:7001", &video.to_string())
            .replace("127.0.0.1:7002", &desk.to_string());
        std::fs::write(layout.config(), config)?;
        let policy = std::fs::read_to_string(layout.policy())?
            .replace("127.0.0.1:8445", &logs.to_string())
            .replace("127.0.0.1:8446", &mirror.to_string());
        std::fs::write(layout.policy(), policy)?;
        let credentials = folder.join("credentials");
        let mut world = Self {
            layout,
            gateway,
            control,
            logs,
            mirror,
            console,
            video,
            arrived,
            people,
            credentials,
            enclave: None,
        };
        step("serving: gateway, vault, ledger and status in one process");
        world.start()?;
        Ok(world)
    }

    /// The handle of a person of the sample, counted from 0.
    ///
    /// # Errors
    /// When there is no such person.
    pub fn subject(&self, n: usize) -> Result<&str> {
        Ok(self.people.get(n).context("no such person")?.0.as_str())
    }

    /// The facts of a person of the sample, counted from 0.
    ///
    /// # Errors
    /// When there is no such person.
    pub fn person(&self, n: usize) -> Result<&sample::Person> {
        Ok(&self.people.get(n).context("no such person")?.1)
    }

    /// Starts the enclave's process and waits until it accepts.
    ///
    /// # Errors
    /// When it ends or does not answer in time.
    pub fn start(&mut self) -> Result<()> {
        self.start_under(&[])
    }

    /// The same, with another program in front that becomes the enclave in the end, as `nice` does.
    ///
    /// # Errors
    /// As [`World::start`].
    pub fn start_under(&mut self, front: &[&str]) -> Result<()> {
        let log = std::fs::File::create(self.layout.root().join("serve.log"))?;
        let program = programs()?.join("clover");
        let mut command = match front.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.arg("--dir").arg(self.layout.root()).arg("serve").stdin(Stdio::null());
        let mut child = command.stdout(Stdio::null()).stderr(log).spawn()?;
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(self.gateway).is_err() {
            if let Some(status) = child.try_wait()? {
                let said = std::fs::read_to_string(self.layout.root().join("serve.log"))?;
                bail!("the enclave ended with {status}: {said}");
            }
            if Instant::now() > until {
                child.kill()?;
                bail!("the enclave did not answer in time");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.enclave = Some(child);
        Ok(())
    }

    /// Stops the enclave, changes `enclave.toml`, and starts it again.
    ///
    /// # Errors
    /// When the file cannot be changed or the enclave does not start with it.
    pub fn reconfigure(&mut self, change: impl FnOnce(String) -> String) -> Result<()> {
        self.stop()?;
        let path = self.layout.config();
        let text = std::fs::read_to_string(&path)?;
        std::fs::write(&path, change(text))?;
        self.start()
    }

    /// The process id of the enclave.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.enclave.as_ref().map(Child::id)
    }

    /// Ends the enclave at once, as a crash would.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.enclave.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Tells the enclave to stop, and waits for it.
    ///
    /// # Errors
    /// When it does not end well.
    pub fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.enclave.take() else { return Ok(()) };
        let told = Command::new("kill").arg("-TERM").arg(child.id().to_string()).status()?;
        let ended = child.wait()?;
        if told.success() && ended.success() { Ok(()) } else { bail!("the enclave ended with {ended}") }
    }

    /// Issues a credential and returns a caller that uses it from an address.
    ///
    /// # Errors
    /// When it cannot be issued.
    pub fn caller(&self, kind: &str, id: &str, country: Option<&str>, from: IpAddr) -> Result<Client> {
        let stem = self.credentials.join(format!("{kind}-{id}-{}", country.unwrap_or("nowhere")));
        let path = stem.display().to_string();
        let mut arguments = vec!["credential", "issue", "--kind", kind, "--id", id, "--out", &path, "--mfa"];
        if let Some(country) = country {
            arguments.extend(["--at", country]);
        }
        if kind == "employee" {
            arguments.push("--attested-device");
        }
        clover(&self.layout, &arguments)?;
        Client::new(self.gateway, from, &self.layout.tls().join("ca.pem"), Some(&stem))
    }

    /// Where the credentials of callers are.
    #[must_use]
    pub fn credentials(&self) -> &Path {
        &self.credentials
    }

    /// An employee at the console, with a credential as at the gateway.
    ///
    /// # Errors
    /// As [`World::caller`].
    pub fn colleague(&self, id: &str, country: &str, from: IpAddr) -> Result<Client> {
        Ok(self.caller("employee", id, Some(country), from)?.to(self.console))
    }

    /// A caller without a credential.
    ///
    /// # Errors
    /// When the authority's certificate cannot be read.
    pub fn stranger(&self, from: IpAddr) -> Result<Client> {
        Client::new(self.gateway, from, &self.layout.tls().join("ca.pem"), None)
    }

    /// The status as the control API tells it.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn status(&self) -> Result<serde_json::Value> {
        let output = clover_raw(&self.layout, &["--json", "status"])?;
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Waits until everything recorded so far is published.
    ///
    /// # Errors
    /// When it is not in time.
    pub fn published(&self) -> Result<u64> {
        let until = Instant::now() + PATIENCE;
        loop {
            let status = self.status()?;
            let number = |name: &str| status.get(name).and_then(serde_json::Value::as_u64);
            if let (Some(durable), Some(published)) = (number("entries"), number("published"))
                && durable == published
            {
                return Ok(published);
            }
            if Instant::now() > until {
                bail!("the ledger was not published in time");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits for a signature of the witnesses that was asked for from now on, so that the mirror holds what is published; but
    /// no longer than a few seconds, since there may be no witness.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn witnessed(&self) -> Result<bool> {
        let began = Instant::now();
        while began.elapsed() < WITNESSED {
            let status = self.status()?;
            let age = status.get("cosigned_seconds_ago").and_then(serde_json::Value::as_u64);
            // Ages are whole seconds: one that is less than what went by was begun behind it.
            if age.is_some_and(|age| age < began.elapsed().as_secs()) {
                return Ok(true);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(false)
    }

    /// Runs the auditor on a ledger's folder. Its exit code and report.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn audit(&self, ledger: &Path) -> Result<(Option<i32>, String)> {
        let ledger = ledger.display().to_string();
        let keys = ["--log-vkey", "log", "--operator-vkey", "operator", "--auditor-vkey", "auditor"];
        self.audit_with(&[&["verify", "--ledger", &ledger], &keys[..]].concat())
    }

    /// Runs the auditor on everything that the local mirror holds: all logs, and what they say of one another. Its
    /// exit code and report.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn audit_site(&self) -> Result<(Option<i32>, String)> {
        let held = self.layout.mirror().join("held").display().to_string();
        self.audit_with(&[
            "verify",
            "--mirror",
            &held,
            "--site-vkey",
            "site",
            "--operator-vkey",
            "operator",
            "--auditor-vkey",
            "auditor",
        ])
    }

    /// Runs the auditor. A word behind an argument that ends in `-vkey` names a file of `trust/`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn audit_with(&self, arguments: &[&str]) -> Result<(Option<i32>, String)> {
        let mut command = Command::new(programs()?.join("clover-audit"));
        let mut key = false;
        for argument in arguments {
            if key {
                command.arg(self.layout.trust().join(format!("{argument}.vkey")));
            } else {
                command.arg(argument);
            }
            key = argument.ends_with("-vkey");
        }
        let output = command.stdin(Stdio::null()).output().context("cannot run `clover-audit`")?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.code(), String::from_utf8_lossy(&said).into_owned()))
    }

    /// Starts the auditor's pages beside the mirror, which compare the operator's public numbers with what it holds. They end
    /// when their standard input does.
    ///
    /// # Errors
    /// When they cannot be started.
    pub fn auditor_pages(&self) -> Result<(Child, SocketAddr)> {
        let address = free_port()?;
        let operator = format!("https://localhost:{}", self.console.port());
        let mut command = Command::new(programs()?.join("clover-audit"));
        command.args(["serve", "--attached", "--every", "30", "--listen", &address.to_string()]);
        command.args(["--operator", &operator, "--operator-ca"]).arg(self.layout.tls().join("ca.pem"));
        command.arg("--mirror").arg(self.layout.mirror().join("held"));
        for name in ["site", "operator", "auditor"] {
            command.arg(format!("--{name}-vkey")).arg(self.layout.trust().join(format!("{name}.vkey")));
        }
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.context("cannot run `clover-audit`")?;
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok((child, address))
    }

    /// The public tree.
    #[must_use]
    pub fn ledger(&self) -> PathBuf {
        self.layout.root().join("ledger")
    }
}

/// Puts everybody of the story on record.
fn staff(layout: &Layout) -> Result<()> {
    let actors: [(&str, &str, &str, &[&str]); 11] = [
        // She operates the enclave, and approves nothing.
        ("oona", "employee", "acme-eu", &["operators"]),
        ("ana", "employee", "acme-eu", &[]),
        // She approves cases and grants, and like everybody none of her own.
        ("aoife", "employee", "acme-eu", &["support-leads", "data-stewards"]),
        ("niamh", "employee", "acme-eu", &["security"]),
        ("gro", "employee", "acme-us", &["security"]),
        ("mei", "employee", "acme-apac", &[]),
        ("li", "employee", "acme-cn", &[]),
        ("us-partner", "service", "acme-us", &[]),
        ("us-safety-desk", "service", "acme-us", &[]),
        ("trust-and-safety", "service", "acme-eu", &[]),
        ("account-service", "service", "acme-eu", &[]),
    ];
    for (id, kind, employer, teams) in actors {
        let who = ["actor", "add", "--id", id, "--kind", kind, "--employer", employer, "--qualified"];
        let teams: Vec<&str> = teams.iter().flat_map(|team| ["--team", team]).collect();
        clover(layout, &[&who[..], &teams].concat())?;
    }
    Ok(())
}

impl Drop for World {
    fn drop(&mut self) {
        if let Err(e) = self.kill() {
            eprintln!("the enclave was left running: {e}");
        }
    }
}

/// The first people of the sample, with the handles that the vault gave them.
fn known(layout: &Layout, count: u64, seed: u64) -> Result<People> {
    let programme = clover::assemble::rulebook(layout)?.rulebook.programme.name;
    let keys = clover::keys::load(layout, &programme)?;
    let one = |n| {
        let person = sample::person(seed, n);
        let subject: SubjectId = keys.subject_id(&person.user_name);
        (subject, person)
    };
    Ok(Arc::new((1..=count).map(one).collect()))
}
