//! In which format a body is, and what compresses it: what the lane declares, what the sender says and what is there must
//! agree. Anything else is refused, with a reason.

use std::borrow::Cow;

use model::Reason;
use model::lanes::{Coding as Declared, Form, Lane};
use transform::coding::{Caps, Coding, CodingError};
use transform::json::{self, Limits, Outcome, Visitor};
use transform::{csv, form, multipart};

use crate::select::Selection;
use crate::treat::TOO_MANY_PEOPLE;

/// How a body is written, with what its media type says beside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// One JSON document.
    Json,
    /// One JSON document a line.
    Ndjson,
    /// A table.
    Csv,
    /// Fields of a form.
    UrlEncoded,
    /// Parts behind this boundary.
    Multipart(String),
    /// Messages of PostgreSQL's protocol, which have a way of their own ([`crate::Permitted::rows`]).
    Messages,
}

/// What a sender says of a body in its head.
#[derive(Debug, Clone, Copy, Default)]
pub struct Said<'a> {
    /// `content-type`.
    pub content_type: Option<&'a str>,
    /// `content-encoding`.
    pub coding: Option<&'a str>,
}

/// Bytes that come out for one that goes in, at most.
const RATIO_MAX: usize = 200;

/// A body without what compressed it.
#[derive(Debug, PartialEq, Eq)]
pub enum Opened<'b> {
    /// In a format that the road rewrites.
    Body(Cow<'b, [u8]>, Format),
    /// A table of Parquet. Its rows go the road as [`Format::Ndjson`]; what reads them must not run in this process.
    Table(Cow<'b, [u8]>),
}

/// What a media type names.
enum Written {
    As(Format),
    Table,
}

/// Opens a body of a lane.
///
/// # Errors
/// [`Reason::Malformed`] for a type, character set or coding that the lane does not declare and for a broken stream,
/// [`Reason::Limit`] for more than the lane takes.
pub fn open<'b>(lane: &Lane, said: Said<'_>, body: &'b [u8]) -> Result<Opened<'b>, Reason> {
    let written = Format::of(lane, said.content_type).ok_or(Reason::Malformed)?;
    let body = unpacked(lane, said, body)?;
    Ok(match written {
        Written::As(format) => Opened::Body(body, format),
        Written::Table => Opened::Table(body),
    })
}

fn unpacked<'b>(lane: &Lane, said: Said<'_>, body: &'b [u8]) -> Result<Cow<'b, [u8]>, Reason> {
    let coding = said.coding.map_or(Ok(Coding::Identity), Coding::parse).map_err(|_| Reason::Malformed)?;
    let declared = match coding {
        Coding::Identity => return Ok(Cow::Borrowed(body)),
        Coding::Gzip => Declared::Gzip,
        Coding::Brotli => Declared::Br,
        Coding::Zstd => Declared::Zstd,
    };
    if !lane.codings.contains(&declared) {
        return Err(Reason::Malformed);
    }
    let caps = Caps { bytes: usize::try_from(lane.body_bytes_max).unwrap_or(usize::MAX), ratio: RATIO_MAX };
    let mut opened = Vec::new();
    match coding.decode(body, caps, &mut opened) {
        Ok(()) => Ok(Cow::Owned(opened)),
        Err(CodingError::TooLarge | CodingError::Ratio) => Err(Reason::Limit),
        Err(_) => Err(Reason::Malformed),
    }
}

impl Format {
    /// The format that a media type names, if the lane carries it. Where nothing is said, it is that of a lane with one
    /// format; then the rulebook says it.
    fn of(lane: &Lane, content_type: Option<&str>) -> Option<Written> {
        let Some(text) = content_type else {
            return match lane.forms.as_slice() {
                [Form::Json] => Some(Written::As(Self::Json)),
                [Form::Ndjson] => Some(Written::As(Self::Ndjson)),
                [Form::Csv] => Some(Written::As(Self::Csv)),
                [Form::UrlEncoded] => Some(Written::As(Self::UrlEncoded)),
                [Form::Parquet] => Some(Written::Table),
                _ => None,
            };
        };
        let mut parts = text.split(';').map(|part| part.trim_matches([' ', '\t']));
        let named = match parts.next()?.to_ascii_lowercase().as_str() {
            "application/json" => Form::Json,
            "application/x-ndjson" | "application/ndjson" => Form::Ndjson,
            "text/csv" => Form::Csv,
            "application/x-www-form-urlencoded" => Form::UrlEncoded,
            "multipart/form-data" => Form::Multipart,
            "application/vnd.apache.parquet" => Form::Parquet,
            _ => return None,
        };
        let (mut boundary, mut charset, mut header) = (None, None, None);
        for part in parts {
            let (name, value) = part.split_once('=')?;
            let quoted = value.strip_prefix('"').map(|rest| rest.strip_suffix('"'));
            let value = quoted.unwrap_or(Some(value))?;
            let place = match name.to_ascii_lowercase().as_str() {
                "boundary" if named == Form::Multipart => &mut boundary,
                "header" if named == Form::Csv => &mut header,
                "charset" => &mut charset,
                _ => return None,
            };
            if place.replace(value).is_some() {
                return None;
            }
        }
        let known = charset.is_none_or(|c| c.eq_ignore_ascii_case("utf-8"))
            && header.is_none_or(|h| h.eq_ignore_ascii_case("present"));
        if !known || !lane.forms.contains(&named) {
            return None;
        }
        Some(Written::As(match named {
            Form::Parquet => return Some(Written::Table),
            Form::Json => Self::Json,
            Form::Ndjson => Self::Ndjson,
            Form::Csv => Self::Csv,
            Form::UrlEncoded => Self::UrlEncoded,
            Form::Multipart => Self::Multipart(boundary?.to_owned()),
        }))
    }

    /// The media type of what is released in this format.
    #[must_use]
    pub fn media_type(&self) -> String {
        match self {
            Self::Json => Form::Json.media_type().to_owned(),
            Self::Ndjson => Form::Ndjson.media_type().to_owned(),
            Self::Csv => format!("{}; charset=utf-8", Form::Csv.media_type()),
            Self::UrlEncoded => Form::UrlEncoded.media_type().to_owned(),
            Self::Multipart(boundary) => format!("{}; boundary={boundary}", Form::Multipart.media_type()),
            Self::Messages => "application/octet-stream".to_owned(),
        }
    }

    /// The same format as it is released. The boundary that came was chosen by the sender, and could say anything.
    pub(crate) fn released(&self, boundary: &str) -> Self {
        match self {
            Self::Multipart(_) => Self::Multipart(boundary.to_owned()),
            other => other.clone(),
        }
    }

    /// Rewrites a body of this format into the one that is released.
    pub(crate) fn rewrite(
        &self,
        released: &Self,
        body: &[u8],
        selection: &Selection,
        limits: &Limits,
        visitor: &mut impl Visitor,
        out: &mut Vec<u8>,
    ) -> Result<Outcome, Reason> {
        let rows = selection.rows.as_ref().unwrap_or(&selection.bindings);
        match (self, released) {
            (Self::Json, _) => {
                json::rewrite(body, json::Form::Json, &selection.bindings, limits, visitor, out)
                    .map_err(|e| of_json(e.kind))
            }
            (Self::Ndjson, _) => json::rewrite(body, json::Form::Ndjson, rows, limits, visitor, out)
                .map_err(|e| of_json(e.kind)),
            (Self::Csv, _) => csv::rewrite(body, rows, limits, visitor, out).map_err(|e| of_csv(e.kind)),
            (Self::UrlEncoded, _) => {
                form::rewrite(body, rows, limits, visitor, out).map_err(|e| of_form(e.kind))
            }
            (Self::Multipart(from), Self::Multipart(to)) => {
                multipart::rewrite_as(body, (from, to), &selection.parts, limits, visitor, out)
                    .map_err(|e| of_multipart(e.kind))
            }
            (Self::Multipart(_) | Self::Messages, _) => Err(Reason::Malformed),
        }
    }
}

fn of_stop(stop: json::Stop) -> Reason {
    if stop.0 == TOO_MANY_PEOPLE { Reason::Limit } else { Reason::Malformed }
}

fn of_json(kind: json::ErrorKind) -> Reason {
    use json::ErrorKind as E;
    match kind {
        E::Stopped(stop) => of_stop(stop),
        E::TooLarge | E::TooDeep | E::TooManyMembers | E::TooManyRecords => Reason::Limit,
        _ => Reason::Malformed,
    }
}

fn of_csv(kind: csv::ErrorKind) -> Reason {
    use csv::ErrorKind as E;
    match kind {
        E::Stopped(stop) => of_stop(stop),
        E::TooLarge | E::TooManyColumns | E::TooManyRecords => Reason::Limit,
        _ => Reason::Malformed,
    }
}

fn of_form(kind: form::ErrorKind) -> Reason {
    use form::ErrorKind as E;
    match kind {
        E::Stopped(stop) => of_stop(stop),
        E::TooLarge | E::TooManyFields => Reason::Limit,
        _ => Reason::Malformed,
    }
}

fn of_multipart(kind: multipart::ErrorKind) -> Reason {
    use multipart::ErrorKind as E;
    match kind {
        E::Stopped(stop) => of_stop(stop),
        E::TooLarge | E::TooManyParts => Reason::Limit,
        E::Json(kind) => of_json(kind),
        E::Csv(kind) => of_csv(kind),
        E::Form(kind) => of_form(kind),
        _ => Reason::Malformed,
    }
}
