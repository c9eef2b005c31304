//! Migration: brings tables from the site where they lay into the region, while they are written to.
//!
//! A set is a table and whose rows of it move. Its way is: **copied** from one snapshot in parts ([`copy`]), **followed** by the
//! source's changes ([`follow`]), **compared** whole ([`compare`]), and **served** from the region after a cut-over that can be
//! undone ([`cutover`]). With a `[vault]` in the plan people go on into the vault all the time ([`spool`]). Then it is **sealed** ([`evidence`]), **destroyed** at the source under the auditor's mark ([`destroy`]), and looked
//! for again until nothing is left that nobody answers for ([`certify`]), in the copies also when the source is gone ([`closed`]). Each stage is taken down for the ledger ([`record`]). What is known of the way is kept in the target, in the same transaction as the rows it speaks of
//! ([`progress`]): so each row is there once, whatever is killed when.
//!
//! Start reading at [`Plan`] and [`Migration`].

mod apply;
mod book;
mod bucket;
mod certificate;
mod certify;
mod closed;
mod compare;
mod copy;
mod cutover;
mod database;
mod destroy;
mod digest;
mod error;
mod evidence;
mod follow;
mod load;
mod missing;
mod mysql;
mod people;
pub mod plan;
mod progress;
mod proof;
mod propose;
mod record;
mod region;
mod rows;
mod spool;
mod stream;
mod sweeping;
mod table;

pub use bucket::Bucket;
pub use certificate::Certificate;
pub use closed::Closed;
pub use compare::{Comparison, Difference};
pub use copy::Part;
pub use cutover::{Served, Step};
pub use error::MigrateError;
pub use evidence::{Held, Sealed};
pub use follow::Followed;
pub use load::{Load, Loaded, Origin};
pub use mysql::{Mirror, Mirrored, MysqlEnd, Stage, Stopped};
pub use people::Written;
pub use plan::{Plan, PlanError};
pub use progress::{Progress, State};
pub use propose::{Proposal, propose};
pub use sweeping::{Left, Looked, Swept};

use database::Session;
use table::Table;

/// A migration whose two ends were found to be what its plan says.
pub struct Migration {
    plan: Plan,
    tables: Vec<Table>,
    source: Session,
    target: Session,
    /// Which databases of which servers both ends are.
    ends: String,
}

impl Migration {
    /// Connects to both ends and holds them against the plan.
    ///
    /// # Errors
    /// When an end does not answer, or its tables are not what was planned.
    pub async fn open(plan: Plan) -> Result<Self, MigrateError> {
        let source = Session::source(&plan.source.database).await?;
        let target = Session::target(&plan.target.database).await?;
        let mut tables = Vec::with_capacity(plan.sets.len());
        for set in &plan.sets {
            let table = Table::of(&source, set).await?;
            table.can_be_followed(&source).await?;
            table.fits(&Table::of(&target, set).await?)?;
            tables.push(table);
        }
        target.alone(&plan.name).await?;
        target.run(progress::SCHEMA).await?;
        let [here, there] = [source.identity().await?, target.identity().await?];
        if here == there {
            return Err(MigrateError::Plan("source and target are the same database".into()));
        }
        let migration = Self { plan, tables, source, target, ends: format!("{here} {there}") };
        if migration.plan.ledger.is_some() && here.split('/').next() == there.split('/').next() {
            let text = "with a `[ledger]` source and target are not databases of one server: what is left there could not be told from what serves the region";
            return Err(MigrateError::Plan(text.into()));
        }
        migration.check_begun().await?;
        Ok(migration)
    }

    /// About how many rows the tables have at the source, those of others included.
    #[must_use]
    pub fn rows_about(&self) -> u64 {
        self.tables.iter().map(|table| table.rows_about).sum()
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}
