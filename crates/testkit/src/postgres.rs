//! A real PostgreSQL server of a test's own, in a folder that goes away with it. Its socket is in the folder; it
//! listens on TCP only over TLS, when it is asked to.

use std::fs::File;
use std::io::{Error, Result, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Name of the database, and of the user who owns it.
const NAME: &str = "clover";
const PORT: u16 = 5432;
/// Who may come over TCP, with a password and only over TLS.
const HBA: &str = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n";

/// What a server shows and asks for over TLS, as PEM texts.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Its certificate.
    pub certificate: String,
    /// The certificate's key.
    pub key: String,
    /// The authority of those who may come; without it everybody may show their password.
    pub clients: Option<String>,
    /// The password of the database's user.
    pub password: String,
}

/// A running server with one empty database. It flushes what it confirms.
///
/// Ends with the value. The folder is short enough for the path of a socket only below `/tmp`.
pub struct Postgres {
    folder: TempDir,
    programs: PathBuf,
    /// User and group of the server when the test runs as root, as which it does not run.
    owner: Option<(u32, u32)>,
    server: Option<Child>,
    port: u16,
}

impl Postgres {
    /// Makes a cluster and starts its server.
    ///
    /// # Errors
    /// When PostgreSQL is not installed, or does not start.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// Like [`Postgres::start`], with settings of the server.
    ///
    /// # Errors
    /// As there.
    pub fn start_with(settings: &[&str]) -> Result<Self> {
        Self::make(settings, None)
    }

    /// Like [`Postgres::start`]; it listens on a port of the loopback address, too, over TLS.
    ///
    /// # Errors
    /// As there.
    pub fn start_tls(tls: &Tls) -> Result<Self> {
        Self::make(&[], Some(tls))
    }

    fn make(settings: &[&str], tls: Option<&Tls>) -> Result<Self> {
        let programs = programs()?;
        let folder = tempfile::Builder::new().prefix("clover-pg-").tempdir_in("/tmp")?;
        let owner = owner(folder.path())?;
        let port = if tls.is_some() { free_port()? } else { PORT };
        let mut server = Self { folder, programs, owner, server: None, port };
        let data = server.data();
        // A superuser of the cluster, whom everybody who reaches the socket may be.
        let made = server
            .command("initdb")
            .args(["-A", "trust", "-U", NAME, "-E", "UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(&data)
            .output()?;
        if !made.status.success() {
            return Err(Error::other(format!("initdb: {}", String::from_utf8_lossy(&made.stderr))));
        }
        let mut text: String = settings.iter().map(|s| format!("{s}\n")).collect();
        let mut listen = "";
        if let Some(tls) = tls {
            text.push_str(&server.secure(tls)?);
            listen = "127.0.0.1";
        }
        let own = format!(
            "listen_addresses = '{listen}'\nport = {port}\nunix_socket_directories = '{}'\nshared_buffers = 16MB\n\
             max_connections = 20\nfsync = on\nrecovery_init_sync_method = syncfs\n\
             dynamic_shared_memory_type = mmap\nautovacuum = off\n{text}",
            server.folder.path().display()
        );
        std::fs::write(data.join("postgresql.auto.conf"), own)?;
        server.run()?;
        let create = ["-h", &server.host(), "-p", &port.to_string(), "-U", NAME, NAME];
        let created = Command::new(server.programs.join("createdb")).args(create).output()?;
        if !created.status.success() {
            return Err(Error::other(format!("createdb: {}", String::from_utf8_lossy(&created.stderr))));
        }
        if let Some(tls) = tls {
            server.sql(&format!("alter user {NAME} password '{}'", tls.password))?;
        }
        Ok(server)
    }

    /// Writes certificates and rules, and returns the settings that they need.
    fn secure(&self, tls: &Tls) -> Result<String> {
        std::fs::write(self.data().join("pg_hba.conf"), HBA)?;
        let clients = tls.clients.as_deref().map(|c| ("clients.pem", c));
        let files = [("server.pem", tls.certificate.as_str()), ("server.key", tls.key.as_str())];
        for (name, text) in files.into_iter().chain(clients) {
            let path = self.data().join(name);
            let mut file = File::options().create_new(true).write(true).mode(0o600).open(&path)?;
            file.write_all(text.as_bytes())?;
            if let Some((user, group)) = self.owner {
                chown(path, Some(user), Some(group))?;
            }
        }
        if tls.clients.is_some() {
            let rules = HBA.replace("scram-sha-256", "scram-sha-256 clientcert=verify-ca");
            std::fs::write(self.data().join("pg_hba.conf"), rules)?;
        }
        let clients = if tls.clients.is_some() { "ssl_ca_file = 'clients.pem'\n" } else { "" };
        Ok(format!("ssl = on\nssl_cert_file = 'server.pem'\nssl_key_file = 'server.key'\n{clients}"))
    }

    /// How a client reaches it over TLS, by a name that must be in its certificate.
    #[must_use]
    pub fn address_tls(&self, name: &str) -> String {
        format!("host={name} hostaddr=127.0.0.1 port={} user={NAME} dbname={NAME}", self.port)
    }

    /// How a client reaches it.
    #[must_use]
    pub fn address(&self) -> String {
        self.address_by(self.folder.path())
    }

    /// How a client reaches it through a socket of the same name in another folder.
    #[must_use]
    pub fn address_by(&self, folder: &Path) -> String {
        format!("host={} port={} user={NAME} dbname={NAME}", folder.display(), self.port)
    }

    /// Path of its socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join(format!(".s.PGSQL.{}", self.port))
    }

    /// Runs statements and returns what they answer, a line for each row.
    ///
    /// # Errors
    /// What the server says.
    pub fn sql(&self, statements: &str) -> Result<Vec<String>> {
        self.sql_in(NAME, statements)
    }

    /// Like [`Postgres::sql`], in another database of the cluster.
    ///
    /// # Errors
    /// As there.
    pub fn sql_in(&self, database: &str, statements: &str) -> Result<Vec<String>> {
        let told = Command::new(self.programs.join("psql"))
            .args(["-h", &self.host(), "-p", &self.port.to_string(), "-U", NAME, "-XqAt"])
            .args(["-v", "ON_ERROR_STOP=1"])
            .args(["-c", statements, database])
            .output()?;
        if told.status.success() {
            Ok(String::from_utf8_lossy(&told.stdout).lines().map(str::to_owned).collect())
        } else {
            Err(Error::other(String::from_utf8_lossy(&told.stderr).into_owned()))
        }
    }

    /// Starts somebody who receives what the server writes and confirms it under a name, as another site would.
    ///
    /// # Errors
    /// When it does not start.
    pub fn confirm_as(&self, name: &str) -> Result<Confirming> {
        let folder = tempfile::tempdir_in("/tmp")?;
        let to = format!("host={} port={} user={NAME} application_name={name}", self.host(), self.port);
        let mut receiver = Command::new(self.programs.join("pg_receivewal"));
        receiver.args(["--synchronous", "--no-loop", "-d", &to, "-D"]).arg(folder.path());
        let process = receiver.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Ok(Confirming { process, _folder: folder })
    }

    /// Starts a server that follows this one and serves reads, as another site would.
    ///
    /// # Errors
    /// When it does not start.
    pub fn standby(&self) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("clover-pg-").tempdir_in("/tmp")?;
        let owner = owner(folder.path())?;
        let programs = self.programs.clone();
        let mut standby = Self { folder, programs, owner, server: None, port: self.port };
        let from = format!("host={} port={} user={NAME}", self.host(), self.port);
        let mut copy = standby.command("pg_basebackup");
        copy.args(["--no-sync", "-R", "-c", "fast", "-X", "stream", "-d", &from, "-D"]).arg(standby.data());
        let copied = copy.output()?;
        if !copied.status.success() {
            return Err(Error::other(format!("pg_basebackup: {}", String::from_utf8_lossy(&copied.stderr))));
        }
        let own = format!("unix_socket_directories = '{}'\n", standby.folder.path().display());
        let mut settings = File::options().append(true).open(standby.data().join("postgresql.auto.conf"))?;
        settings.write_all(own.as_bytes())?;
        standby.run()?;
        Ok(standby)
    }

    /// Kills the server and all its processes at once, as a machine that loses power, and starts it again. It
    /// recovers from its write-ahead log.
    ///
    /// # Errors
    /// When it does not start again.
    pub fn crash(&mut self) -> Result<()> {
        self.kill();
        self.run()
    }

    /// Where the server's programs lie.
    #[must_use]
    pub fn programs(&self) -> &Path {
        &self.programs
    }

    /// Kills the server and all its processes at once.
    pub fn kill(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        let _ = server.kill();
        let _ = server.wait();
        // Also a child that it had only just started: it would wait for the lock of a dead one for ever.
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let left = running_in(&self.data());
            if left.is_empty() || Instant::now() > until {
                return;
            }
            for process in left {
                let _ = kill_process(process, Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn host(&self) -> String {
        self.folder.path().display().to_string()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        if let Some((user, group)) = self.owner {
            command.uid(user).gid(group);
        }
        command
    }

    /// Starts the server and waits until it answers. After a crash its old processes may take a moment to end.
    fn run(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(60);
        let log = self.folder.path().join("log");
        while Instant::now() < deadline {
            let out = File::options().create(true).append(true).open(&log)?;
            let mut server = self
                .command("postgres")
                .arg("-D")
                .arg(self.data())
                .stdout(Stdio::null())
                .stderr(out)
                .spawn()?;
            while Instant::now() < deadline && server.try_wait()?.is_none() {
                let ask = ["-q", "-h", &self.host(), "-p", &self.port.to_string(), "-U", NAME];
                if Command::new(self.programs.join("pg_isready")).args(ask).status()?.success() {
                    self.server = Some(server);
                    return Ok(());
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = server.kill();
            let _ = server.wait();
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(Error::other(format!("PostgreSQL does not start: {}", std::fs::read_to_string(log)?)))
    }
}

/// Somebody who confirms what a server writes, until the value ends.
pub struct Confirming {
    process: Child,
    _folder: TempDir,
}

impl Drop for Confirming {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        let pid = i32::try_from(server.id()).ok().and_then(Pid::from_raw);
        // It ends its processes and gives its shared memory back.
        if pid.is_none_or(|pid| kill_process(pid, Signal::QUIT).is_err()) {
            let _ = server.kill();
        }
        let _ = server.wait();
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The folder of Debian's newest server, or of whatever `PATH` finds.
fn programs() -> Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|v| Some((v.file_name().to_str()?.parse().ok()?, v.path().join("bin"))))
        .filter(|(_, bin)| bin.join("initdb").exists())
        .collect();
    found.sort();
    let on_path = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(|p| p.join("initdb").exists() && p.join("postgres").exists())
    };
    found.pop().map(|(_, bin)| bin).or_else(on_path).ok_or_else(|| {
        Error::other("PostgreSQL is not installed: `./scripts/test` installs it (Debian's `postgresql`)")
    })
}

/// Gives the folder to the user `postgres` when the test runs as root.
fn owner(folder: &Path) -> Result<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd")?;
    let fields = users.lines().map(|l| l.split(':').collect::<Vec<_>>()).find_map(|l| match l.as_slice() {
        ["postgres", _, user, group, ..] => Some((user.parse().ok()?, group.parse().ok()?)),
        _ => None,
    });
    let (user, group) =
        fields.ok_or_else(|| Error::other("there is no user `postgres`, and root runs no PostgreSQL"))?;
    chown(folder, Some(user), Some(group))?;
    let data = folder.join("data");
    std::fs::DirBuilder::new().mode(0o700).create(&data)?;
    chown(data, Some(user), Some(group))?;
    Ok(Some((user, group)))
}

/// The processes that work in a folder, as all of a server do.
fn running_in(folder: &Path) -> Vec<Pid> {
    let Ok(folder) = folder.canonicalize() else { return vec![] };
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|p| {
            let pid = p.file_name().to_str()?.parse().ok().and_then(Pid::from_raw)?;
            (std::fs::read_link(p.path().join("cwd")).ok()? == folder).then_some(pid)
        })
        .collect()
}
