//! The command `mirror`: MySQL as a source.

use std::path::{Path, PathBuf};

use clap::Args;
use migrate::plan::End;
use migrate::{MigrateError, Migration, Mirror, MysqlEnd};
use serde_json::{Value, json};

use crate::read;

/// What `mirror` is told.
#[derive(Debug, Args)]
pub(crate) struct Asked {
    /// Where it is mirrored from, as `mysql://user@host:port/database`, without a password
    #[arg(long, required_unless_present = "destroy")]
    from: Option<String>,
    /// A file with that user's password
    #[arg(long, value_name = "FILE")]
    from_password_file: Option<PathBuf>,
    /// A file with the certificates to trust there
    #[arg(long, value_name = "FILE")]
    from_roots: Option<PathBuf>,
    /// The staging database: a connection string of libpq's form, without a password
    #[arg(long, required_unless_present = "destroy")]
    into: Option<String>,
    /// A file with the user's password
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// A file with the certificates to trust
    #[arg(long, value_name = "FILE")]
    roots: Option<PathBuf>,
    /// A table there, and its staging table
    #[arg(long = "table", value_name = "TABLE=SCHEMA.TABLE", required_unless_present = "destroy")]
    tables: Vec<String>,
    /// Print the statements that make the staging tables, and do nothing
    #[arg(long, group = "what")]
    ddl: bool,
    /// Have MySQL refuse writes with the name of the plan's new site, take the rest, and compare every row
    #[arg(long, group = "what")]
    stop: bool,
    /// Destroy at MySQL what `destroy` destroyed in the staging database, which knows where that is
    #[arg(long, group = "what")]
    destroy: bool,
}

/// Does it; words for people and for programs.
pub(crate) async fn run(asked: &Asked, plan: &Path) -> Result<(String, Value), MigrateError> {
    if asked.destroy {
        let rows = Migration::open(read(plan)?).await?.destroy_mirrored().await?;
        let text = format!("{rows} rows were destroyed at MySQL. Next: `clover-migrate certify`.");
        return Ok((text, json!({ "destroyed": rows })));
    }
    let from = MysqlEnd {
        address: asked.from.clone().unwrap_or_default(),
        password_file: asked.from_password_file.clone(),
        roots: asked.from_roots.clone(),
    };
    let into = End {
        address: asked.into.clone().unwrap_or_default(),
        password_file: asked.password_file.clone(),
        roots: asked.roots.clone(),
    };
    let pair = |text: &String| match text.split_once('=') {
        Some((origin, plain)) if !origin.is_empty() && plain.contains('.') => {
            Ok((origin.to_owned(), plain.to_owned()))
        }
        _ => Err(MigrateError::Plan(format!("`{text}` is not TABLE=SCHEMA.TABLE"))),
    };
    let tables = asked.tables.iter().map(pair).collect::<Result<_, _>>()?;
    let mirror = Mirror { from, into, tables };
    if asked.ddl {
        let ddl = mirror.ddl().await?;
        return Ok((ddl.trim_end().to_owned(), json!({ "ddl": ddl })));
    }
    if asked.stop {
        let stopped = mirror.stop(&read(plan)?.target.site).await?;
        let of = |(table, rows): (&String, &u64)| format!("{rows} rows of {table}");
        let all: Vec<String> = stopped.tables.iter().map(of).collect();
        let text = format!(
            "stopped, and both sides are the same: {}. Next: `clover-migrate copy`, then `cutover`.",
            all.join(", ")
        );
        return Ok((text, json!(stopped)));
    }
    let done = mirror.run().await?;
    let text = format!(
        "{} rows copied, {} touched since; up to {} of the binary log. Call again for what comes; `mirror --stop` before the cut-over.",
        done.copied, done.touched, done.log
    );
    Ok((text, json!(done)))
}
