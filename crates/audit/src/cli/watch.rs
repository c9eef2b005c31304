//! `clover-audit watch`.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use audit::{Severity, Watch, WatchConfig, WatchError, WatchFinding, WatchOptions};
use clap::Args;

use super::{CONFIG, FINDINGS, Failure, NO_INPUT, NO_OUTPUT, key};

/// Between two looks at the mirror.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Args)]
pub(super) struct Arguments {
    /// Folder of a mirror.
    #[arg(long, value_name = "DIR")]
    mirror: PathBuf,
    /// Verifier key of the site log.
    #[arg(long, value_name = "FILE")]
    site_vkey: PathBuf,
    /// The configuration (TOML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// A feed of byte counters (NDJSON).
    #[arg(long, value_name = "FILE")]
    egress: Option<PathBuf>,
    /// Follow what the mirror has now, and end: exit code 1 if anything but notices was found.
    #[arg(long)]
    once: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let config = WatchConfig::read(&arguments.config).map_err(|error| Failure(CONFIG, error.into()))?;
    let options = WatchOptions {
        mirror: arguments.mirror.clone(),
        site: key(&arguments.site_vkey)?,
        config,
        egress: arguments.egress.clone(),
    };
    let mut watch = Watch::open(options).map_err(failure)?;
    let (mut found, mut last, mut carried) = (false, Instant::now(), Duration::ZERO);
    loop {
        let (red, now) = (watch.coverage(), Instant::now());
        carried += now.duration_since(last);
        last = now;
        let (before, ran) = (watch.position(), carried.as_secs());
        carried -= Duration::from_secs(ran);
        let findings = watch.step(wall(), ran, red.as_deref()).map_err(failure)?;
        print(&findings).map_err(|error| Failure(NO_OUTPUT, error.into()))?;
        found |= findings.iter().any(|finding| finding.severity > Severity::Notice);
        let moved = watch.position() > before;
        if arguments.once && !moved {
            watch.save().map_err(failure)?;
            return Ok(if found { FINDINGS } else { 0 });
        }
        if !moved {
            thread::sleep(PAUSE);
        }
    }
}

fn print(findings: &[WatchFinding]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for finding in findings {
        serde_json::to_writer(&mut out, finding)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// The machine's clock, in Unix seconds.
pub(super) fn wall() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn failure(error: WatchError) -> Failure {
    let code = match error {
        WatchError::Mirror(_) | WatchError::Shrunk { .. } | WatchError::Feed { .. } => NO_INPUT,
        WatchError::State { .. } | WatchError::Locked(_) => CONFIG,
        _ => NO_OUTPUT,
    };
    Failure(code, error.into())
}
