//! The desk that tells people of requests, put together from `[notify]`; and the file that says up to when each receiver
//! has had everything.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use console::notify::webhook::Secret;
use console::notify::{Desk, Hook, Settings, UpTo, mail};
use model::{Name, Problems, UnixSeconds};
use prometheus_client::registry::Registry;
use vault::disk::replace_file;

use crate::config::{self, Config};
use crate::error::CommandError;
use crate::layout::Layout;
use crate::{authority, now};

/// Longest file with a secret or password.
const SECRET_MAX: usize = 4096;

/// The desk of an enclave, if anybody is to be told.
///
/// # Errors
/// When a file that `[notify]` names cannot be used.
pub fn open(
    layout: &Layout,
    config: &Config,
    programme: &Name,
    registry: &mut Registry,
) -> Result<Option<Arc<Desk>>> {
    let Some(notify) = &config.notify else { return Ok(None) };
    let ca = notify.ca_file.as_deref().map_or_else(|| layout.tls().join("ca.pem"), |path| layout.file(path));
    let hook = |hook: &config::Webhook| {
        let place = format!("notify.webhooks.{}.secret_file", hook.name);
        let secret = Secret::parse(&secret(&place, &layout.file(&hook.secret_file))?);
        let fix = "make one: (printf whsec_; openssl rand -base64 32) > FILE";
        let secret = secret.map_err(|e| problem(&place, &e.to_string(), fix))?;
        Ok(Hook { name: hook.name.clone(), url: hook.url.clone(), secret, kinds: hook.kinds.clone() })
    };
    let mail = notify.mail.as_ref().map(|mail| {
        let login = mail.login.as_ref().map(|(user, file)| {
            anyhow::Ok((user.clone(), secret("notify.mail.password_file", &layout.file(file))?))
        });
        anyhow::Ok(mail::Settings {
            server: mail.server.clone(),
            login: login.transpose()?,
            roots: std::fs::read(&ca).map_err(CommandError::file(&ca))?,
            from: mail.from.clone(),
            book: mail.book.clone(),
        })
    });
    let kept = layout.notices();
    let settings = Settings {
        source: format!("clover:{programme}/{}", config.site),
        console: notify.console_url.clone(),
        tls: authority::client_config(&ca, None).context("`notify.ca_file`")?,
        hooks: notify.webhooks.iter().map(hook).collect::<Result<_>>()?,
        mail: mail.transpose()?,
        limits: notify.limits,
        done: read(&kept)?,
        keep: Box::new(move |done| keep(&kept, done)),
        clock: now,
    };
    let fix = "docs/notify.md shows a whole set-up";
    let desk = Desk::new(settings, registry).map_err(|e| problem("notify", &e.to_string(), fix))?;
    Ok(Some(desk))
}

fn problem(place: &str, why: &str, fix: &str) -> Problems {
    let mut problems = Problems::default();
    problems.add(format!("enclave.toml: {place}"), why, fix);
    problems
}

fn secret(place: &str, path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).map_err(CommandError::file(path))?;
    let text = text.trim().to_owned();
    if text.is_empty() || text.len() > SECRET_MAX {
        return Err(problem(place, "the file holds no secret", "write it into the file, on one line").into());
    }
    Ok(text)
}

/// Reads the file: a line for each receiver, its name and a time. No file is a beginning.
fn read(path: &PathBuf) -> Result<UpTo> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(UpTo::new()),
        Err(e) => return Err(CommandError::file(path)(e).into()),
    };
    let line = |line: &str| {
        let (name, at) = line.split_once(' ')?;
        Some((name.to_owned(), UnixSeconds(at.parse().ok()?)))
    };
    // A receiver whose line cannot be read begins now, as a new one does.
    Ok(text.lines().filter_map(line).collect())
}

fn keep(path: &Path, done: &UpTo) {
    let text: String = done.iter().map(|(name, at)| format!("{name} {}\n", at.0)).collect();
    if let Err(e) = replace_file(path, text.as_bytes()) {
        tracing::warn!(error = %e, "up to when notices were delivered is not on disk: it will be tried again");
    }
}
