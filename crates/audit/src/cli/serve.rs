//! `clover-audit serve`.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    path::PathBuf,
    time::Duration,
};

use anyhow::Context as _;
use audit::{Serve, ServeError, ServeOptions};
use clap::Args;

use super::{CONFIG, Failure, NO_OUTPUT, USAGE, key, parties, watch::wall};

#[derive(Args)]
pub(super) struct Arguments {
    /// Where to answer. In the clear on this machine only.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8450")]
    listen: SocketAddr,
    /// Folder of a mirror.
    #[arg(long, value_name = "DIR")]
    mirror: PathBuf,
    /// Verifier key of the site log.
    #[arg(long, value_name = "FILE")]
    site_vkey: PathBuf,
    /// Verifier key of the operator.
    #[arg(long, value_name = "FILE")]
    operator_vkey: PathBuf,
    /// Verifier key of the auditor.
    #[arg(long, value_name = "FILE")]
    auditor_vkey: PathBuf,
    /// Folder of the watch, for incidents and what it said.
    #[arg(long, value_name = "DIR", requires = "parties")]
    watch: Option<PathBuf>,
    /// Who may act on incidents.
    #[arg(long, value_name = "FILE", requires = "watch")]
    parties: Option<PathBuf>,
    /// Where the operator's public pages are, like `http://127.0.0.1:8440`; its numbers are compared.
    #[arg(long, value_name = "URL")]
    operator: Option<String>,
    /// Certificates (PEM) to trust, for an operator that answers over `https`.
    #[arg(long, value_name = "FILE", requires = "operator")]
    operator_ca: Option<PathBuf>,
    /// A name under which it may be asked; may be given again.
    #[arg(long = "name", value_name = "HOST")]
    names: Vec<String>,
    /// Certificate (PEM), to answer over TLS.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its key (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Folder for the copy that a check works on; on the disk of the mirror it costs links only.
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
    /// Seconds from the end of a whole check to the next.
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    every: u64,
    /// Checks do not decide again, and build no day map again.
    #[arg(long)]
    quick: bool,
    /// End when standard input ends, so that it does not outlive who started it.
    #[arg(long)]
    attached: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let watch = match (&arguments.watch, &arguments.parties) {
        (Some(folder), Some(list)) => Some((folder.clone(), parties(list)?)),
        _ => None,
    };
    let options = ServeOptions {
        listen: arguments.listen,
        tls: arguments.tls_cert.clone().zip(arguments.tls_key.clone()),
        names: arguments.names.clone(),
        mirror: arguments.mirror.clone(),
        site: key(&arguments.site_vkey)?,
        operator: key(&arguments.operator_vkey)?,
        auditor: key(&arguments.auditor_vkey)?,
        watch,
        numbers: arguments.operator.clone().map(|base| (base, arguments.operator_ca.clone())),
        work: arguments.work.clone(),
        every: Duration::from_secs(arguments.every),
        thorough: !arguments.quick,
        clock: wall,
    };
    let serve = Serve::start(options).map_err(|error| {
        let usage = matches!(
            error,
            ServeError::Cleartext(_)
                | ServeError::Nameless(_)
                | ServeError::Name(_)
                | ServeError::Operator(..)
        );
        Failure(if usage { USAGE } else { CONFIG }, error.into())
    })?;
    let scheme = if serve.is_secure() { "https" } else { "http" };
    writeln!(io::stdout(), "pages are on {scheme}://{}", serve.address())
        .map_err(|error| Failure(NO_OUTPUT, error.into()))?;
    if arguments.attached {
        // Whatever is said there is of no interest; an error is an end too.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        return Ok(0);
    }
    serve.wait().context("cannot wait for the end").map_err(|error| Failure(NO_OUTPUT, error))?;
    Ok(0)
}
