//! A service's own tables in PostgreSQL, behind the SQL gateway, and people who ask them with `psql` from where they sit.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use testkit::postgres::Postgres;
use tokio::net::{TcpListener, TcpSocket};

use crate::world::{World, clover, free_port};

/// Videos of each person.
pub const VIDEOS: usize = 3;

/// The tables of the video service: what its rulebook declares, and a column that nobody declared.
const TABLES: &str = "\
create schema app;
create table app.video_status (video_id bigint primary key, owner text not null, review_state text not null, visibility text,
  reason text, updated_at timestamptz not null, uploader_ip inet not null);
create index on app.video_status (owner);";

/// A database of services behind the gateway.
pub struct Tables {
    /// The server.
    pub server: Postgres,
    /// Where the SQL gateway listens.
    pub listen: SocketAddr,
    programs: PathBuf,
    ca: PathBuf,
    credentials: PathBuf,
}

impl Tables {
    /// Starts the database with rows of the world's people, and a SQL gateway before it.
    ///
    /// # Errors
    /// When a step fails.
    pub fn join(world: &mut World) -> Result<Self> {
        let server = Postgres::start()?;
        server.sql(TABLES)?;
        server.sql(&rows(world)?)?;
        let setup = clover(&world.layout, &["sql", "setup", "services"])?;
        server.sql(&setup)?;
        let (listen, programs) = (free_port()?, server.programs().to_path_buf());
        let address = server.address();
        let user = |word: &str| {
            if word.starts_with("user=") { "user=clover_gateway".to_owned() } else { word.to_owned() }
        };
        let source: Vec<_> = address.split(' ').map(user).collect();
        let section = format!(
            "\n[sql]\nlisten = \"{listen}\"\n[sql.sources.services]\nserver = \"{}\"\n",
            source.join(" ")
        );
        world.reconfigure(|text| text + &section)?;
        let (ca, credentials) = (world.layout.tls().join("ca.pem"), world.credentials().to_path_buf());
        Ok(Self { server, listen, programs, ca, credentials })
    }

    /// Somebody at an office, with their credential, on a ground.
    ///
    /// # Errors
    /// When the office cannot be opened.
    pub async fn desk(&self, id: &str, country: &str, from: IpAddr, ground: &str) -> Result<Desk> {
        Ok(Desk {
            port: office(from, self.listen).await?.port(),
            user: format!("{id}@{ground}"),
            credential: Some(self.credentials.join(format!("employee-{id}-{country}"))),
            password: None,
            psql: self.programs.join("psql"),
            ca: self.ca.clone(),
        })
    }
}

/// Where somebody runs `psql`.
#[derive(Clone)]
pub struct Desk {
    /// The port of their office, which leads to the gateway.
    pub port: u16,
    /// The user's name: who, on what ground.
    pub user: String,
    /// The stem of certificate and key, if they have one.
    pub credential: Option<PathBuf>,
    /// Their password, if they have one.
    pub password: Option<String>,
    /// The program.
    pub psql: PathBuf,
    /// The authority of the gateway's certificate.
    pub ca: PathBuf,
}

impl Desk {
    /// The connection string to a dataset, for any client that links libpq.
    #[must_use]
    pub fn address(&self, dataset: &str) -> String {
        let mut address = format!(
            "host=localhost hostaddr=127.0.0.1 port={} dbname={dataset} user={} sslmode=verify-full sslrootcert={}",
            self.port,
            self.user,
            self.ca.display()
        );
        match &self.credential {
            Some(stem) => {
                let (certificate, key) = (stem.with_extension("pem"), stem.with_extension("key"));
                let _ = write!(address, " sslcert={} sslkey={}", certificate.display(), key.display());
            }
            None => address.push_str(" sslcert=/nowhere"),
        }
        address
    }

    /// Runs `psql` with these arguments behind the connection string.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn psql(&self, dataset: &str, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(&self.psql);
        command.arg(self.address(dataset)).arg("-X").args(arguments).stdin(Stdio::null());
        command.env("PGCONNECT_TIMEOUT", "20").envs(self.password.iter().map(|p| ("PGPASSWORD", p)));
        command.output().with_context(|| format!("cannot run `{}`", self.psql.display()))
    }

    /// Starts a `psql` that reads statements from a pipe.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self, dataset: &str) -> Result<Child> {
        let mut command = Command::new(&self.psql);
        command
            .arg(self.address(dataset))
            .args(["-XqAt"])
            .envs(self.password.iter().map(|p| ("PGPASSWORD", p)));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().with_context(|| format!("cannot run `{}`", self.psql.display()))
    }

    /// What a statement answers, a line for each row, or what the gateway says against it.
    ///
    /// # Errors
    /// When `psql` cannot be run.
    pub fn ask(&self, dataset: &str, statement: &str) -> Result<Result<Vec<String>, String>> {
        let output = self.psql(dataset, &["-qAt", "-c", statement])?;
        let (told, said) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
        if output.status.success() {
            Ok(Ok(told.lines().map(str::to_owned).collect()))
        } else {
            Ok(Err(said))
        }
    }
}

/// An office's line to the gateway: what comes through it comes from the office's address.
async fn office(from: IpAddr, to: SocketAddr) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut inner, _)) = listener.accept().await {
            let _ = inner.set_nodelay(true);
            tokio::spawn(async move {
                let socket = TcpSocket::new_v4()?;
                socket.bind(SocketAddr::new(from, 0))?;
                let mut outer = socket.connect(to).await?;
                outer.set_nodelay(true)?;
                tokio::io::copy_bidirectional(&mut inner, &mut outer).await
            });
        }
    });
    Ok(address)
}

/// Some videos of everybody: the first one is held.
fn rows(world: &World) -> Result<String> {
    let mut text = String::from("insert into app.video_status values ");
    ensure!(!world.people.is_empty(), "nobody is there");
    for (n, (handle, _)) in world.people.iter().enumerate() {
        for video in 0..VIDEOS {
            let (id, state) = (1_000_000 + n * 10 + video, if video == 0 { "held" } else { "shown" });
            let comma = if n + video == 0 { "" } else { ", " };
            let _ = write!(
                text,
                "{comma}({id}, '{}', '{state}', 'everyone', 'a reviewer looks at it', '2026-11-{:02}T09:00:00Z', '192.0.2.{}')",
                handle.as_str(),
                1 + video,
                n % 250
            );
        }
    }
    Ok(text)
}
