//! `clover query`: one question to the SQL gateway, as a person who is signed in.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::{Context, Result};
use clap::Args;
use futures_util::TryStreamExt;
use serde_json::Value;
use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::{Client, Config, Error, SimpleQueryMessage, SimpleQueryRow};
use vault::log::Secure;

use super::output::Output;
use crate::authority;
use crate::caller::{Held, SqlLogin};
use crate::error::CommandError;

/// Rows that are awaited before the widths of the columns are settled.
const LOOKED_AT: usize = 200;
/// Widest column of what people read: a longer value is shown whole, out of line.
const WIDTH_MAX: usize = 40;

#[derive(Debug, Args)]
pub(super) struct Query {
    /// The dataset to ask.
    #[arg(long)]
    dataset: String,
    /// On what it is asked: the name of a grant or case, or for numbers of a purpose.
    #[arg(long, value_name = "GROUND")]
    on: String,
    /// The SQL gateway, as host:port; the console knows where it listens.
    #[arg(long, value_name = "HOST:PORT")]
    gateway: Option<String>,
    /// One statement of SQL.
    statement: String,
}

impl Query {
    pub(super) fn run(&self, output: &Output) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.ask(output))
    }

    async fn ask(&self, output: &Output) -> Result<()> {
        let held = Held::load()?;
        let login = held.sql_login(&self.on).await?;
        let (host, port) = login.address(self.gateway.as_deref(), &held.console)?;
        let config = self.config(&login, &host, port);
        let tls = Secure::new(authority::client_config(&held.console.ca, None)?);
        let (client, connection) = config.connect(tls).await.map_err(|e| refused(e, &host, port))?;
        let driver = tokio::spawn(connection);
        let asked = self.told(&client, output).await.map_err(|e| match e.downcast::<Error>() {
            Ok(e) if e.as_db_error().is_some() => refused(e, &host, port),
            Ok(_) => {
                let why = "the connection broke: what is shown above is all that came".to_owned();
                CommandError::Query { code: "08006".to_owned(), why }.into()
            }
            Err(e) => e,
        });
        drop(client);
        let _ = driver.await;
        asked
    }

    fn config(&self, login: &SqlLogin, host: &str, port: u16) -> Config {
        let mut config = Config::new();
        config.host(host).port(port).user(&login.user).password(login.password.as_str());
        config.dbname(&self.dataset).application_name("clover");
        // The password is proved to the gateway whose certificate this is, and to no other.
        config.ssl_mode(SslMode::Require).channel_binding(ChannelBinding::Require);
        config
    }

    /// Prints rows as they come, and then where they are on the record.
    async fn told(&self, client: &Client, output: &Output) -> Result<()> {
        let mut sheet = Sheet { json: output.json, ..Sheet::default() };
        let asked = self.rows(client, &mut sheet).await;
        // What came before an error is on the ledger, so it is shown.
        sheet.end()?;
        asked?;
        let receipt = client.simple_query("SHOW clover.last_receipt").await?;
        let receipt = receipt.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        if let Some(receipt) = receipt.filter(|r| !r.is_empty()) {
            eprintln!("on the ledger: {receipt}");
        }
        Ok(())
    }

    async fn rows(&self, client: &Client, sheet: &mut Sheet) -> Result<()> {
        let mut rows = std::pin::pin!(client.simple_query_raw(&self.statement).await?);
        while let Some(message) = rows.try_next().await? {
            match message {
                SimpleQueryMessage::RowDescription(columns) => {
                    sheet.begin(columns.iter().map(|c| plain(c.name())).collect());
                }
                SimpleQueryMessage::Row(row) => sheet.row(&row)?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// What the gateway says against a statement, or that nobody answers.
fn refused(error: Error, host: &str, port: u16) -> anyhow::Error {
    match error.as_db_error() {
        Some(said) => {
            CommandError::Query { code: said.code().code().to_owned(), why: plain(said.message()) }.into()
        }
        None => {
            anyhow::Error::new(error).context(CommandError::NoGateway { address: format!("{host}:{port}") })
        }
    }
}

/// Text that moves no cursor of whoever reads it.
fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_direction(c) { shown.extend(c.escape_debug()) } else { shown.push(c) }
    }
    shown
}

/// Marks by which text is shown in another order than it has (Unicode Standard Annex 9).
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Rows for a person, or an object of each for a program.
#[derive(Default)]
struct Sheet {
    json: bool,
    names: Vec<String>,
    widths: Vec<usize>,
    waiting: Vec<Vec<String>>,
    settled: bool,
}

impl Sheet {
    /// The names of the columns; one that comes again gets a number, so that none is lost in an object.
    fn begin(&mut self, names: Vec<String>) {
        let mut seen = HashSet::new();
        self.names.clear();
        for name in names {
            let mut unique = name.clone();
            let mut n = 2;
            while !seen.insert(unique.clone()) {
                unique = format!("{name}_{n}");
                n += 1;
            }
            self.names.push(unique);
        }
        (self.widths, self.settled) = (Vec::new(), false);
    }

    fn row(&mut self, row: &SimpleQueryRow) -> Result<()> {
        let cells = (0..row.len()).map(|n| row.try_get(n)).collect::<Result<Vec<_>, _>>()?;
        if self.json {
            return line(&object(&self.names, &cells));
        }
        let cells: Vec<String> = cells.into_iter().map(|c| c.map_or_else(String::new, plain)).collect();
        if self.settled {
            return line(&aligned(&self.widths, &cells));
        }
        self.waiting.push(cells);
        if self.waiting.len() == LOOKED_AT { self.settle() } else { Ok(()) }
    }

    fn settle(&mut self) -> Result<()> {
        self.settled = true;
        let wide = |text: &String| text.chars().count().min(WIDTH_MAX);
        self.widths = self.names.iter().map(wide).collect();
        for row in &self.waiting {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = wide(cell).max(*width);
            }
        }
        line(&aligned(&self.widths, &self.names))?;
        line(&aligned(&self.widths, &self.widths.iter().map(|w| "-".repeat(*w)).collect::<Vec<_>>()))?;
        std::mem::take(&mut self.waiting).iter().try_for_each(|row| line(&aligned(&self.widths, row)))
    }

    fn end(&mut self) -> Result<()> {
        if self.json || self.settled || self.names.is_empty() { Ok(()) } else { self.settle() }
    }
}

fn aligned(widths: &[usize], cells: &[String]) -> String {
    let mut text = String::new();
    for (width, cell) in widths.iter().zip(cells) {
        let _ = write!(text, "{cell:<width$}  ");
    }
    text.truncate(text.trim_end().len());
    text
}

/// An object whose values are PostgreSQL's text, or null, in the order of the columns.
fn object(names: &[String], cells: &[Option<&str>]) -> String {
    let fields = names.iter().zip(cells).map(|(name, cell)| {
        let value = cell.map_or(Value::Null, Value::from);
        format!("{}:{value}", Value::from(name.as_str()))
    });
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}

fn line(text: &str) -> Result<()> {
    writeln!(std::io::stdout().lock(), "{text}").context("nobody reads the answer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_one_name_stay_apart_and_nothing_moves_a_cursor() {
        let mut sheet = Sheet::default();
        sheet.begin(["count", "count", "count_2", "x"].map(str::to_owned).to_vec());
        assert_eq!(sheet.names, ["count", "count_2", "count_2_2", "x"]);
        assert_eq!(
            object(&sheet.names, &[Some("1"), None, Some("\"\n"), Some("é")]),
            r#"{"count":"1","count_2":null,"count_2_2":"\"\n","x":"é"}"#
        );
        assert_eq!(plain("a\u{1b}[2Jb\n\u{202e}c"), r"a\u{1b}[2Jb\n\u{202e}c");
        assert_eq!(aligned(&[4, 2], &["é".into(), "abc".into()]), "é     abc");
    }
}
