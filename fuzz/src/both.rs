//! Writer and auditor read the same formats from the same pages: they must take the same bytes.

use crate::writer;

/// Entries of the three logs: neither takes what the other refuses. Facts have names and limits of the writer's own,
/// which no page has: there the auditor takes at least what the writer takes.
pub fn leaves(data: &[u8]) {
    let (written, audited) = (writer::takes(data), audit::fuzz::takes(data));
    let exact = written.is_some() && !matches!(data.first(), Some(b'f'));
    if written == Some(true) || exact {
        assert_eq!(written, audited, "writer and auditor");
    }
}

/// Texts of C2SP, and stages of migrations: the auditor may be laxer with what strangers send, but reads all that the writer reads. Paths of
/// tiles and stages have one form, which both take and nothing else.
pub fn texts(data: &[u8]) {
    let (written, audited) = (writer::takes_text(data), audit::fuzz::takes_text(data));
    let exact = matches!(data.first(), Some(b't' | b'v'));
    if written == Some(true) || exact {
        assert_eq!(written, audited, "writer and auditor");
    }
}
