//! What a person reads, and what a program reads: never both on one stream.

use std::error::Error;
use std::io::Write;

use model::id::IdError;
use model::problem::UnknownWord;
use model::{Explain, Problems};

use crate::error::{CommandError, FILE, PROBLEMS, VALUE};

/// Exit code of wrong usage (`EX_USAGE` of sysexits).
pub(crate) const USAGE: u8 = 64;
/// Exit code of wrong configuration (`EX_CONFIG`).
const CONFIG: u8 = 78;

/// Where and how results are printed.
pub(crate) struct Output {
    pub(crate) json: bool,
}

impl Output {
    /// Prints a result: its text, or its JSON.
    pub(crate) fn data(&self, text: &str, json: &serde_json::Value) {
        let line = if self.json { json.to_string() } else { text.to_owned() };
        // A closed pipe is the reader's choice.
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    }

    /// Prints an error with its whole chain, once.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        let mut err = std::io::stderr().lock();
        let told = told(error);
        let code = told.map_or(String::new(), |(code, _)| format!("[{code}]"));
        for (n, cause) in error.chain().enumerate() {
            let text = match cause.downcast_ref::<Problems>() {
                Some(problems) if n == 0 => format!("{} to mend\n{problems}", count(problems)),
                _ => cause.to_string(),
            };
            for (line, text) in text.lines().enumerate() {
                let lead = if n == 0 && line == 0 { format!("error{code}") } else { "  because".to_owned() };
                let _ = writeln!(err, "{lead}: {text}");
            }
        }
        if let Some((_, fix)) = told {
            let _ = writeln!(err, "  fix: {fix}");
        }
    }
}

fn count(problems: &Problems) -> String {
    match problems.list().len() {
        1 => "1 problem".to_owned(),
        n => format!("{n} problems"),
    }
}

/// The code and the remedy of the first error of a chain that has them.
fn told(error: &anyhow::Error) -> Option<(&'static str, &'static str)> {
    fn of<T: Explain + 'static>(e: &(dyn Error + 'static)) -> Option<(&'static str, &'static str)> {
        e.downcast_ref::<T>().map(|e| (e.code(), e.fix()))
    }
    let explained = error.chain().find_map(|e| {
        of::<CommandError>(e)
            .or_else(|| of::<vault::log::LogError>(e))
            .or_else(|| of::<vault::BorderClosed>(e))
            .or_else(|| of::<vault::keys::KeyError>(e))
            .or_else(|| of::<vault::records::RecordError>(e))
            .or_else(|| of::<vault::media::MediaError>(e))
            .or_else(|| of::<gateway::enclave::NotAdmitted>(e))
            .or_else(|| of::<vault::control::ControlError>(e))
            .or_else(|| of::<vault::control::StoreError>(e))
            .or_else(|| of::<vault::accounts::AccountError>(e))
            .or_else(|| of::<residency::ResidencyError>(e))
            .or_else(|| of::<crossing::RulebookError>(e))
            .or_else(|| of::<gateway::http::ServeError>(e))
            .or_else(|| e.is::<Problems>().then_some(PROBLEMS))
            .or_else(|| is_value(e).then_some(VALUE))
    });
    explained.or_else(|| error.chain().any(|e| e.is::<std::io::Error>()).then_some(FILE))
}

fn is_value(e: &(dyn Error + 'static)) -> bool {
    e.is::<IdError>()
        || e.is::<UnknownWord>()
        || matches!(e.downcast_ref(), Some(CommandError::Rule(_) | CommandError::Unknown { .. }))
}

/// The exit code of an error: whether the fault lies in what was typed, in what the operator wrote, or elsewhere.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    let misconfigured = |e: &(dyn Error + 'static)| {
        e.is::<Problems>()
            || e.is::<crossing::RulebookError>()
            || matches!(e.downcast_ref(), Some(residency::ResidencyError::Declared { .. }))
            || matches!(
                e.downcast_ref(),
                Some(
                    CommandError::NotActivated
                        | CommandError::OtherKey { .. }
                        | CommandError::OtherLog { .. }
                )
            )
    };
    if error.chain().any(misconfigured) {
        CONFIG
    } else if error.chain().any(is_value) {
        USAGE
    } else {
        1
    }
}
