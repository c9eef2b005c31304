//! What a person reads, and what a program reads: never both on one stream.

use std::io::Write;

use model::{Explain, Problems};

use super::Misconfigured;

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
        let code = explained(error).map_or(String::new(), |e| format!("[{}]", e.code()));
        let _ = writeln!(err, "error{code}: {error}");
        for cause in error.chain().skip(1) {
            for line in cause.to_string().lines() {
                let _ = writeln!(err, "  because: {line}");
            }
        }
        if let Some(e) = explained(error) {
            let _ = writeln!(err, "  fix: {}", e.fix());
        }
    }
}

/// The error of the chain that explains itself, if one does.
fn explained(error: &anyhow::Error) -> Option<&dyn Explain> {
    fn as_one<'a, T: Explain + 'static>(e: &'a (dyn std::error::Error + 'static)) -> Option<&'a dyn Explain> {
        e.downcast_ref::<T>().map(|e| e as &dyn Explain)
    }
    error.chain().find_map(|e| {
        as_one::<vault::log::LogError>(e)
            .or_else(|| as_one::<vault::BorderClosed>(e))
            .or_else(|| as_one::<vault::keys::KeyError>(e))
            .or_else(|| as_one::<vault::records::RecordError>(e))
            .or_else(|| as_one::<vault::control::ControlError>(e))
            .or_else(|| as_one::<crossing::RulebookError>(e))
            .or_else(|| as_one::<gateway::http::ServeError>(e))
            .or_else(|| as_one::<gateway::http::UpstreamError>(e))
    })
}

/// Whether the fault lies in what the operator wrote.
pub(crate) fn is_configuration(error: &anyhow::Error) -> bool {
    error.chain().any(|e| e.is::<Problems>() || e.is::<Misconfigured>() || e.is::<crossing::RulebookError>())
}
