//! The three logs of a site: the gateway's, the key service's and the site's own. Each is opened with its key, over
//! the journal that `enclave.toml` chooses, and made by `clover init` only.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use gateway::enclave;
use ledger::Submission;
use model::{Digest, FlowId, Name};
use vault::keys::SecretFile;
use vault::log::{Hooks, Identity, Journal, Options, Postgres, Segments, TagIndex, Timeouts};
use vault::media::S3;
use vault::records::Nearby;
use vault::{Folder, Log, Media, Records};

use crate::assemble::{origin, signer, verifier};
use crate::authority;
use crate::config::{self, Config};
use crate::error::CommandError;
use crate::layout::Layout;

/// Longest password in bytes.
const PASSWORD_MAX: u64 = 4 << 10;

/// A random name for a crossing.
///
/// # Errors
/// When the system gives no random bytes.
pub fn flow_id() -> Result<FlowId> {
    let mut id = [0; 16];
    vault::keys::random(&mut id)?;
    Ok(FlowId::new(id))
}

/// Opens the gateway's log. When it can be written again after it could not, an entry says so under the rulebook in
/// force then.
///
/// # Errors
/// When its key is another log's, another process has it, or it is in doubt.
pub fn open(
    layout: &Layout,
    config: &Config,
    programme: &Name,
    rulebook: Box<dyn Fn() -> Digest + Send>,
    index: Arc<dyn TagIndex>,
) -> Result<Log> {
    let reopening: Box<dyn FnMut() -> Submission + Send> = Box::new(move || {
        let flow = flow_id().unwrap_or(FlowId::new([0; 16]));
        crossing::inward::reopening(flow, enclave::now().0, rulebook())
    });
    let hooks = Hooks { reopening: Some(reopening), index, fatal: Box::new(fatal) };
    let options = Options { publish_every: config.publish_every, ..Options::default() };
    named(layout, config, "log", origin(programme, config), options, hooks)
}

/// That no process has the gateway's log.
///
/// # Errors
/// [`CommandError::InUse`] when one has.
pub fn unused(layout: &Layout) -> Result<()> {
    folder(&layout.log("log")).map(drop)
}

/// Opens the site's own log (`site`) or the key service's (`keys`). They are small and published at once.
///
/// # Errors
/// As for the gateway's log.
pub fn open_site(layout: &Layout, config: &Config, name: &str, origin: String) -> Result<Log> {
    // Rounds and uses of keys try by themselves whether the log can be written again.
    let hooks = Hooks { reopening: None, index: Arc::new(NoTags), fatal: Box::new(fatal) };
    let options =
        Options { publish_every: Duration::from_millis(50), segment_bytes: 1 << 20, ..Options::default() };
    named(layout, config, name, origin, options, hooks)
}

/// Opens one of the site's logs with its key, which must be that of this origin.
fn named(
    layout: &Layout,
    config: &Config,
    name: &str,
    origin: String,
    options: Options,
    hooks: Hooks,
) -> Result<Log> {
    let signer = signer(layout, &layout.keys().join(format!("{name}.seed")), name)?;
    if signer.verifier().name() != origin {
        let found = signer.verifier().name().to_owned();
        return Err(CommandError::OtherLog { found, wanted: origin }.into());
    }
    let disk = Arc::new(folder(&layout.log(name))?);
    let identity = Identity { origin, signer };
    let journal = journal(layout, config, &identity, Arc::clone(&disk), options.segment_bytes)?;
    Ok(Log::open_on(disk, journal.as_ref(), identity, options, hooks)?)
}

/// Makes one of the site's logs, empty.
///
/// # Errors
/// When there is one in the folder or in the database.
pub fn create(layout: &Layout, config: &Config, name: &str, identity: &Identity) -> Result<()> {
    let disk = Arc::new(folder(&layout.log(name))?);
    let journal = journal(layout, config, identity, Arc::clone(&disk), Options::default().segment_bytes)?;
    Ok(Log::create_on(disk.as_ref(), journal.as_ref(), identity)?)
}

/// Derives again what can be derived of one of the site's logs: `log`, `keys` or `site`. What lies beyond the flushed
/// size is in the journal, and the next start publishes it.
///
/// # Errors
/// When the entries do not lead to the signed checkpoint, or a file cannot be used.
pub fn rebuild(layout: &Layout, name: &str, from: Option<&Path>) -> Result<vault::log::Rebuilt> {
    let index: Arc<dyn TagIndex> = match name {
        "site" | "keys" => Arc::new(NoTags),
        _ => Arc::new(records(layout, &Config::load(&layout.config())?)?),
    };
    let disk = folder(&layout.log(name))?;
    let copy = from.map(folder).transpose()?;
    let copy = copy.as_ref().map(|c| c as &dyn vault::Disk);
    Ok(vault::log::rebuild(&disk, &verifier(layout, name)?, &Options::default(), &*index, copy)?)
}

/// Opens people and their records, where the configuration says.
///
/// # Errors
/// When the store is missing, held by another process, or out of reach.
pub fn records(layout: &Layout, config: &Config) -> Result<Records> {
    Ok(match &config.vault {
        config::Place::Embedded => Records::open(&layout.vault())?,
        config::Place::Postgres(database) => {
            let server = reached(layout, database)?;
            let near = config.near.as_ref().map(|near| Nearby {
                server: vault::log::Database { address: near.server.clone(), ..server.clone() },
                staleness: near.staleness,
            });
            Records::open_in(&server, near.as_ref(), &layout.vault(), gateway::enclave::now().0)?
        }
    })
}

/// Where media of people lie.
///
/// # Errors
/// When it cannot be used.
pub fn media(layout: &Layout, config: &Config) -> Result<Media> {
    Ok(match &config.media {
        config::Media::Files(folder) => Media::local(&layout.file(folder))?,
        config::Media::S3 { endpoint, bucket, region, access_key_file, secret_key_file, ca_file } => {
            Media::s3(&S3 {
                endpoint: endpoint.clone(),
                bucket: bucket.clone(),
                region: region.clone(),
                access_key: SecretFile { what: "access key", path: layout.file(access_key_file) },
                secret_key: SecretFile { what: "secret key", path: layout.file(secret_key_file) },
                tls: authority::client_config(&layout.file(ca_file), None)?,
            })?
        }
    })
}

/// Makes the tables of a new enclave's people, if they lie in a database.
///
/// # Errors
/// When the database refuses.
pub fn create_records(layout: &Layout, config: &Config) -> Result<()> {
    if let config::Place::Postgres(database) = &config.vault {
        Records::create_in(&reached(layout, database)?)?;
    }
    Ok(())
}

/// Where the frames of a log are durable.
fn journal(
    layout: &Layout,
    config: &Config,
    identity: &Identity,
    disk: Arc<Folder>,
    segment_bytes: u64,
) -> Result<Box<dyn Journal>> {
    Ok(match &config.journal {
        config::Journal::Segments => Box::new(Segments::new(disk, segment_bytes)),
        config::Journal::Postgres(database) => {
            let vkey = identity.signer.verifier().to_vkey();
            Box::new(Postgres::new(&reached(layout, database)?, &identity.origin, &vkey).map_err(broken)?)
        }
    })
}

fn broken(e: vault::log::PostgresError) -> vault::log::LogError {
    e.into()
}

/// Reads what is needed to reach a database, and asks nobody yet.
pub(crate) fn reached(layout: &Layout, database: &config::Database) -> Result<vault::log::Database> {
    let password = database.password_file.as_ref().map(|file| password(&layout.file(file))).transpose()?;
    let certificate = database.certificate.as_ref().map(|(c, k)| (layout.file(c), layout.file(k)));
    let tls = database.ca_file.as_ref().map(|ca| authority::client(&layout.file(ca), certificate.as_ref()));
    Ok(vault::log::Database {
        address: database.server.clone(),
        password,
        tls: tls.transpose()?,
        timeouts: Timeouts { connect: database.connect_timeout, statement: database.statement_timeout },
        quorum: database.quorum,
    })
}

/// Checks the choice of journal, control store and vault as the start does, and asks no database.
///
/// # Errors
/// When a file cannot be read, or the database would be asked in the clear on another machine.
pub fn check(layout: &Layout, config: &Config) -> Result<()> {
    let journal = match &config.journal {
        config::Journal::Postgres(database) => Some(database),
        config::Journal::Segments => None,
    };
    let stores = [&config.control_store.place, &config.vault].into_iter().filter_map(|place| match place {
        config::Place::Postgres(database) => Some(database),
        config::Place::Embedded => None,
    });
    let sources = config.sql.iter().flat_map(|sql| sql.sources.values());
    for database in journal.into_iter().chain(stores).chain(sources) {
        Postgres::new(&reached(layout, database)?, "", "").map_err(broken)?;
    }
    Ok(())
}

/// The first line of a file.
fn password(path: &Path) -> Result<String> {
    use std::io::Read;
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|f| f.take(PASSWORD_MAX).read_to_string(&mut text));
    read.map_err(CommandError::file(path))?;
    let line = text.lines().next().filter(|l| !l.is_empty());
    Ok(line.with_context(|| format!("there is no password in `{}`", path.display()))?.to_owned())
}

fn fatal(why: &str) {
    tracing::error!(why, "nobody can say what is on the ledger's disk; ending");
    std::process::exit(74);
}

/// A log's folder, held by this process alone.
fn folder(path: &Path) -> Result<Folder> {
    Ok(Folder::open(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::WouldBlock => CommandError::InUse(path.to_owned()),
        _ => CommandError::File { path: path.to_owned(), source: e },
    })?)
}

/// Takes no note of tags: the site's own logs have no list of their own.
struct NoTags;

impl TagIndex for NoTags {
    fn clear(&self) -> Result<(), String> {
        Ok(())
    }
    fn add(&self, _: &[(model::Tag, u64)]) -> Result<(), String> {
        Ok(())
    }
    fn flush(&self) -> Result<(), String> {
        Ok(())
    }
}
