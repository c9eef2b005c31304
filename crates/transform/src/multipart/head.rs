//! The heads of a part.

use super::{ErrorKind, PartKind};

/// Most bytes of all heads of a part.
const HEAD_MAX: usize = 1_024;

/// What the heads of a part say.
pub(super) struct Head {
    pub(super) name: String,
    /// The name, as it is spelled between its quotes.
    spelled: String,
    /// A file name came along.
    file: bool,
    /// The media type, in lower case.
    media: Option<String>,
}

impl Head {
    /// The heads of a part, and its content.
    pub(super) fn read(part: &[u8]) -> Result<(Self, &[u8]), ErrorKind> {
        let end = memchr::memmem::find(part, b"\r\n\r\n").filter(|end| *end <= HEAD_MAX);
        let end = end.ok_or(ErrorKind::Head)?;
        let content = part.get(end + 4..).unwrap_or_default();
        let heads = std::str::from_utf8(part.get(..end).unwrap_or_default()).map_err(|_| ErrorKind::Head)?;
        let (mut disposition, mut media) = (None, None);
        for line in heads.split("\r\n") {
            let (name, value) = line.split_once(':').ok_or(ErrorKind::Head)?;
            let to = if name.eq_ignore_ascii_case("content-disposition") {
                &mut disposition
            } else if name.eq_ignore_ascii_case("content-type") {
                &mut media
            } else {
                return Err(ErrorKind::Head);
            };
            let value = value.trim_matches([' ', '\t']);
            if value.chars().any(char::is_control) || to.replace(value).is_some() {
                return Err(ErrorKind::Head);
            }
        }
        let (spelled, file) = form_data(disposition.ok_or(ErrorKind::Name)?)?;
        let name = spelled.replace("%22", "\"");
        let media = media.map(str::to_ascii_lowercase);
        Ok((Self { name, spelled: spelled.to_owned(), file, media }, content))
    }

    /// Whether the type is the one that was declared.
    pub(super) fn check(&self, kind: &PartKind) -> Result<(), ErrorKind> {
        let Some(media) = &self.media else {
            return if matches!(kind, PartKind::Text(_)) { Ok(()) } else { Err(ErrorKind::Type) };
        };
        let mut words = media.split(';').map(|word| word.trim_matches([' ', '\t']));
        let told = words.next().unwrap_or_default();
        let fits = match kind {
            PartKind::Text(_) => told == "text/plain",
            PartKind::Json(_) => told == "application/json",
            PartKind::Ndjson(_) => matches!(told, "application/x-ndjson" | "application/jsonl"),
            PartKind::Csv(_) => told == "text/csv",
            PartKind::Form(_) => told == "application/x-www-form-urlencoded",
        };
        let charset = words.next();
        let utf8 = charset
            .is_none_or(|word| matches!(word, "charset=utf-8" | "charset=\"utf-8\"" | "charset=us-ascii"));
        if fits && utf8 && words.next().is_none() { Ok(()) } else { Err(ErrorKind::Type) }
    }

    /// Writes the heads anew, with the empty line behind them.
    pub(super) fn write(&self, kind: &PartKind, out: &mut Vec<u8>) {
        out.extend_from_slice(b"Content-Disposition: form-data; name=\"");
        out.extend_from_slice(self.spelled.as_bytes());
        out.push(b'"');
        if self.file {
            out.extend_from_slice(b"; filename=\"file\"");
        }
        if self.media.is_some() {
            out.extend_from_slice(b"\r\nContent-Type: ");
            out.extend_from_slice(kind.media_type().as_bytes());
        }
        out.extend_from_slice(b"\r\n\r\n");
    }
}

/// The name, as it is spelled, and whether there is a file name.
fn form_data(value: &str) -> Result<(&str, bool), ErrorKind> {
    let (kind, mut rest) = value.split_once(';').ok_or(ErrorKind::Name)?;
    if !kind.trim_end_matches(' ').eq_ignore_ascii_case("form-data") {
        return Err(ErrorKind::Name);
    }
    let (mut name, mut file) = (None, None);
    loop {
        let (key, quoted) = rest.trim_start_matches(' ').split_once("=\"").ok_or(ErrorKind::Name)?;
        let (text, behind) = quoted.split_once('"').ok_or(ErrorKind::Name)?;
        let to = match key.to_ascii_lowercase().as_str() {
            "name" => &mut name,
            "filename" => &mut file,
            _ => return Err(ErrorKind::Name),
        };
        // Some readers take a backslash for an escape; escaped line ends are nobody's name.
        let upper = text.to_ascii_uppercase();
        if text.contains('\\') || upper.contains("%0D") || upper.contains("%0A") || to.replace(text).is_some()
        {
            return Err(ErrorKind::Name);
        }
        match behind.trim_start_matches(' ') {
            "" => break,
            more => rest = more.strip_prefix(';').ok_or(ErrorKind::Name)?,
        }
    }
    let name = name.filter(|name| !name.is_empty()).ok_or(ErrorKind::Name)?;
    Ok((name, file.is_some()))
}
