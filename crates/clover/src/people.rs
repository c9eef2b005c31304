//! The console put together: who is calling, how they sign in, and the listener they use.

use std::path::Path;
use std::sync::Arc;

use access::ActorKind;
use anyhow::{Context, Result};
use console::access::Office;
use console::pages::Pages;
use console::signin::provider::Provider;
use console::signin::settings::Settings;
use console::signin::{Parts, People, Signin};
use console::web::{Door, Limits};
use crossing::credential::Tokens;
use gateway::enclave::Enclave;
use gateway::http::ServeError;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use vault::{Accounts, EndedSessions};

use crate::config::{self, Config};
use crate::error::CommandError;
use crate::layout::Layout;
use crate::{assemble, authority, import, now, subjects};

/// Longest secret of a client at its provider.
const SECRET_MAX: usize = 4096;

/// Serves the console, if one is configured, until `stop` changes.
///
/// # Errors
/// When a file or the address cannot be used.
pub async fn serve(
    layout: &Layout,
    config: &Config,
    enclave: &Arc<Enclave>,
    office: Arc<Office>,
    (tokens, ended): (Arc<Tokens>, EndedSessions),
    (passwords, pages): (Option<console::sql::Issue>, Arc<Pages>),
    stop: watch::Receiver<bool>,
) -> Result<Option<JoinHandle<()>>> {
    let Some(console) = &config.console else { return Ok(None) };
    let address = console.listen;
    let listener = tokio::net::TcpListener::bind(address).await;
    let listener = listener.map_err(|source| ServeError::Bind { address, source })?;
    let tls = authority::server_config(layout, &layout.tls().join("gateway"))?;
    let programme = tokens.programme().to_owned();
    let located = Arc::clone(enclave);
    let door = Door {
        tokens,
        network: Box::new(move |address| located.network_of(address)),
        clock: now,
        hosts: console.hosts.clone(),
        limits: Limits { connections: console.connections_max, ..Limits::default() },
    };
    let signin = Arc::new(Signin::new(parts(layout, console, enclave, &programme, ended)?));
    // Routers of other parts of the console are merged here; each handler takes `console::web::Caller`.
    let mut router = console::signin::router(signin).merge(console::access::router(office));
    router = router.merge(console::pages::router(Arc::clone(&pages)));
    pages.follow()?;
    if let Some(issue) = passwords {
        router = router.merge(console::sql::router(issue));
    }
    Ok(Some(tokio::spawn(async move {
        if let Err(e) = console::web::serve(listener, tls, router, door, stop).await {
            tracing::error!(error = %e, "the console ended");
        }
        pages.end();
    })))
}

fn parts(
    layout: &Layout,
    console: &config::Console,
    enclave: &Arc<Enclave>,
    programme: &str,
    ended: EndedSessions,
) -> Result<Parts> {
    let key = assemble::signer(layout, &layout.keys().join("sessions.seed"), "sessions")?;
    let provider = console.signin.as_ref().map(|s| provider(layout, s)).transpose()?;
    let accounts = Accounts::new(&layout.control(), enclave.keys(), programme);
    let recorded = Arc::clone(enclave);
    Ok(Parts {
        programme: programme.to_owned(),
        key,
        session_seconds: u64::from(console.session_hours) * 3600,
        ended,
        on_record: Box::new(move |id, now| {
            recorded.control().actor(id, now).is_ok_and(|a| a.kind == ActorKind::Employee)
        }),
        provider,
        accounts: console.local_accounts.then_some(accounts),
        people: whose_data_it_is(layout, console, enclave, programme),
        clock: now,
    })
}

/// People whose data it is have accounts of their own.
fn whose_data_it_is(
    layout: &Layout,
    console: &config::Console,
    enclave: &Arc<Enclave>,
    programme: &str,
) -> People {
    let accounts = Accounts::of_people(&layout.control(), enclave.keys(), programme);
    let (named, known) = (Arc::clone(enclave), Arc::clone(enclave));
    People {
        accounts: console.people_accounts.then_some(accounts),
        handle: Box::new(move |name| import::handle(named.keys(), name)),
        known: Box::new(move |subject| subjects::known(&known, subject)),
    }
}

fn provider(layout: &Layout, signin: &config::Signin) -> Result<Provider> {
    // An absolute path stays what it is.
    let below = |path: &Path| layout.root().join(path);
    let ca = signin.ca_file.as_deref().map_or_else(|| layout.tls().join("ca.pem"), below);
    let tls = authority::client_config(&ca, None).context("`signin.ca_file`")?;
    let client_secret = match &signin.client_secret_file {
        None => None,
        Some(path) => {
            let path = below(path);
            let secret = std::fs::read_to_string(&path).map_err(CommandError::file(&path))?;
            let secret = secret.trim().to_owned();
            if secret.is_empty() || secret.len() > SECRET_MAX {
                return Err(CommandError::Rule("`signin.client_secret_file` holds no secret").into());
            }
            Some(secret)
        }
    };
    let settings = Settings {
        issuer: signin.issuer.clone(),
        client_id: signin.client_id.clone(),
        client_secret,
        redirect: format!("https://{}/signin/callback", signin.redirect_host),
        scopes: signin.scopes.clone(),
        names: signin.names.clone(),
        tls,
        loopback_http: signin.loopback_http,
    };
    Ok(Provider::new(settings, now))
}
