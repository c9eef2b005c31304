//! The `clover-audit` command: the auditor's own check of a published ledger.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
