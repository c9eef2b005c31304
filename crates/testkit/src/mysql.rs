//! A real MariaDB server of a test's own, in a folder that goes away with it. It listens on a port of the loopback address only.

use std::fs::File;
use std::io::{Error, Result, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Name of the database, of its user, and the user's password.
const NAME: &str = "clover";
/// What every server has, beside what a test asks for. A binary log whose rows are whole.
const SETTINGS: &[&str] = &[
    "--bind-address=127.0.0.1",
    "--server-id=1",
    "--log-bin=bin",
    "--binlog-format=ROW",
    "--binlog-row-image=FULL",
    "--innodb-buffer-pool-size=16M",
    "--innodb-log-file-size=8M",
    "--innodb-flush-log-at-trx-commit=1",
    "--key-buffer-size=1M",
    "--performance-schema=OFF",
    "--skip-log-error",
];

/// A running server with one empty database.
///
/// Ends with the value.
pub struct MySql {
    folder: TempDir,
    settings: Vec<String>,
    /// User and group of the server when the test runs as root, as which it does not run.
    owner: Option<(u32, u32)>,
    server: Option<Child>,
    port: u16,
}

impl MySql {
    /// Makes a server and starts it, with settings beside those that every one has.
    ///
    /// # Errors
    /// When MariaDB is not installed, or does not start.
    pub fn start(settings: &[&str]) -> Result<Self> {
        Self::make(settings, None)
    }

    /// Like [`MySql::start`]; over TCP it speaks TLS alone, and shows a certificate with a key, both as PEM.
    ///
    /// # Errors
    /// As there.
    pub fn start_tls(certificate: &str, key: &str) -> Result<Self> {
        Self::make(
            &["--ssl-cert=../cert.pem", "--ssl-key=../key.pem", "--require-secure-transport=ON"],
            Some((certificate, key)),
        )
    }

    fn make(settings: &[&str], tls: Option<(&str, &str)>) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("clover-my-").tempdir_in("/tmp")?;
        let owner = owner(folder.path())?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let settings = settings.iter().map(|s| (*s).to_owned()).collect();
        let mut server = Self { folder, settings, owner, server: None, port };
        if let Some((certificate, key)) = tls {
            for (name, text) in [("cert.pem", certificate), ("key.pem", key)] {
                std::fs::write(server.folder.path().join(name), text)?;
            }
        }
        let made = server
            .command(Path::new("mariadb-install-db"))
            .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
            .arg(format!("--datadir={}", server.data().display()))
            .output();
        let missing = |e| {
            Error::other(format!(
                "mariadb-install-db: {e}; `./scripts/test` installs it (Debian's `mariadb-server`)"
            ))
        };
        let made = made.map_err(missing)?;
        if !made.status.success() {
            return Err(Error::other(format!(
                "mariadb-install-db: {}",
                String::from_utf8_lossy(&made.stderr)
            )));
        }
        server.run()?;
        server.sql_in("", &format!(
            "create database {NAME} character set utf8mb4; create user {NAME}@'127.0.0.1' identified by '{NAME}'; grant all on *.* to {NAME}@'127.0.0.1'"
        ))?;
        Ok(server)
    }

    /// How a client reaches it: a URL without the password.
    #[must_use]
    pub fn address(&self) -> String {
        format!("mysql://{NAME}@127.0.0.1:{}/{NAME}", self.port)
    }

    /// The user's password.
    #[must_use]
    pub fn password(&self) -> &'static str {
        NAME
    }

    /// Runs statements and returns what they answer, a line for each row, tabs between values.
    ///
    /// # Errors
    /// What the server says.
    pub fn sql(&self, statements: &str) -> Result<Vec<String>> {
        self.sql_in(NAME, statements)
    }

    fn sql_in(&self, database: &str, statements: &str) -> Result<Vec<String>> {
        let mut client = Command::new("mariadb")
            .args(["--no-defaults", "-u", "root", "--default-character-set=utf8mb4", "-N", "-B", "-S"])
            .arg(self.socket())
            .arg(database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut input) = client.stdin.take() {
            input.write_all(statements.as_bytes())?;
        }
        let told = client.wait_with_output()?;
        if told.status.success() {
            Ok(String::from_utf8_lossy(&told.stdout).lines().map(str::to_owned).collect())
        } else {
            Err(Error::other(String::from_utf8_lossy(&told.stderr).into_owned()))
        }
    }

    /// Kills the server at once and starts it again, with other settings beside those that every one has.
    ///
    /// # Errors
    /// When it does not start again.
    pub fn restart(&mut self, settings: &[&str]) -> Result<()> {
        self.kill();
        self.settings = settings.iter().map(|s| (*s).to_owned()).collect();
        self.run()
    }

    fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        // Of its own: a server that starts removes what others have in a folder for temporary tables.
        command.current_dir(self.folder.path()).env("TMPDIR", self.folder.path()).stdin(Stdio::null());
        if let Some((user, group)) = self.owner {
            command.uid(user).gid(group);
        }
        command
    }

    /// Starts the server and waits until it answers.
    fn run(&mut self) -> Result<()> {
        let program =
            ["/usr/sbin/mariadbd", "/usr/local/sbin/mariadbd"].into_iter().find(|p| Path::new(p).exists());
        let log = self.folder.path().join("log");
        let out = File::options().create(true).append(true).open(&log)?;
        let mut server = self
            .command(Path::new(program.unwrap_or("mariadbd")))
            .arg("--no-defaults")
            .arg(format!("--datadir={}", self.data().display()))
            .arg(format!("--socket={}", self.socket().display()))
            .arg(format!("--pid-file={}", self.folder.path().join("pid").display()))
            .arg(format!("--port={}", self.port))
            .args(SETTINGS)
            .args(&self.settings)
            .stdout(Stdio::null())
            .stderr(out)
            .spawn()?;
        let deadline = Instant::now() + Duration::from_secs(60);
        while Instant::now() < deadline && server.try_wait()?.is_none() {
            if self.socket().exists() && self.sql_in("", "select 1").is_ok() {
                self.server = Some(server);
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = server.kill();
        let _ = server.wait();
        Err(Error::other(format!("MariaDB does not start: {}", std::fs::read_to_string(log)?)))
    }
}

impl Drop for MySql {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Gives the folder to the user `mysql` when the test runs as root.
fn owner(folder: &Path) -> Result<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd")?;
    let found = users.lines().map(|l| l.split(':').collect::<Vec<_>>()).find_map(|l| match l.as_slice() {
        ["mysql", _, user, group, ..] => Some((user.parse().ok()?, group.parse().ok()?)),
        _ => None,
    });
    let (user, group) =
        found.ok_or_else(|| Error::other("there is no user `mysql`, and root runs no MariaDB"))?;
    chown(folder, Some(user), Some(group))?;
    Ok(Some((user, group)))
}
