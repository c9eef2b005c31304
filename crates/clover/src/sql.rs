//! The SQL gateway put together: its databases, its listener, and the passwords for it.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use crossing::credential::Tokens;
use gateway::Enclave;
use gateway::http::ServeError;
use gateway::sql::login::Logins;
use gateway::sql::serve::{Settings, Sql};
use gateway::sql::source::Source;
use model::Name;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::assemble::origin;
use crate::config::Config;
use crate::layout::Layout;
use crate::{authority, logs, now};

/// A SQL gateway that listens, and serves nobody yet.
pub(crate) struct Ready {
    served: Arc<Sql>,
    listener: TcpListener,
}

impl Ready {
    /// Serves until `stop` changes.
    pub(crate) fn start(self, stop: watch::Receiver<bool>) -> JoinHandle<()> {
        tokio::spawn(gateway::sql::serve::serve(self.served, self.listener, stop))
    }
}

/// Listens for clients of PostgreSQL, if that is configured. Gives what makes people's passwords, too.
///
/// # Errors
/// When a file cannot be used or a database is not named as it must be.
pub(crate) async fn open(
    layout: &Layout,
    config: &Config,
    enclave: &Arc<Enclave>,
    tokens: &Arc<Tokens>,
    programme: &Name,
) -> Result<Option<(Ready, console::sql::Issue)>> {
    let Some(sql) = &config.sql else { return Ok(None) };
    let stem = layout.tls().join("gateway");
    let mut tls = authority::server_config(layout, &stem)?.as_ref().clone();
    tls.alpn_protocols = vec![b"postgresql".to_vec()];
    let certificate = authority::certificate(&stem)?;
    let log = origin(programme, config);
    let mut sources = HashMap::new();
    for (name, database) in &sql.sources {
        let server = logs::reached(layout, database)?;
        let source =
            Source::new(name.clone(), &log, server).with_context(|| format!("`sql.sources.{name}`"))?;
        sources.insert(name.clone(), Arc::new(source));
    }
    let listener = TcpListener::bind(sql.listen).await;
    let listener = listener.map_err(|source| ServeError::Bind { address: sql.listen, source })?;
    let settings = Settings {
        tls: Arc::new(tls),
        connections_max: sql.connections_max,
        statement_timeout: sql.statement_timeout,
        channel_binding: sql.channel_binding,
        end_point: vault::log::end_point(&certificate),
        log,
    };
    let logins = Arc::new(Logins::default());
    let served = Sql::new(Arc::clone(enclave), Arc::clone(tokens), Arc::clone(&logins), sources, settings);
    let served = Arc::new(served.context("the system gives no random bytes")?);
    let listen = sql.listen.to_string();
    let issue = Box::new(move |shown, ground: &Name| {
        let login = logins.issue(shown, ground.as_str(), now())?;
        let gateway::sql::login::Login { user, password, until } = login;
        Some(console::sql::Issued { user, password, until, listen: listen.clone() })
    });
    Ok(Some((Ready { served, listener }, issue)))
}
