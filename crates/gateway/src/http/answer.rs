//! What a caller is told. Public words only: no ids, no addresses, no data.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use model::counts::decimal;
use model::{Explain, Reason};
use vault::control::{Exhausted, SpendError};

pub(super) type Answer = Response<Full<Bytes>>;

/// Index of the entry that records the crossing.
pub(super) const RECEIPT: HeaderName = HeaderName::from_static("clover-receipt");

/// Whose body it was that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    /// The caller's.
    Caller,
    /// That of the service behind.
    Behind,
}

/// A refusal in public words.
fn words(reason: Reason, sender: Sender) -> (StatusCode, &'static str) {
    match (reason, sender) {
        (Reason::Malformed, Sender::Caller) => {
            (StatusCode::BAD_REQUEST, "the body is not in its declared form")
        }
        (Reason::Limit, Sender::Caller) => (StatusCode::PAYLOAD_TOO_LARGE, "the body is over a limit"),
        _ => words_of(reason),
    }
}

fn words_of(reason: Reason) -> (StatusCode, &'static str) {
    match reason {
        Reason::None | Reason::Policy => (StatusCode::FORBIDDEN, "not permitted"),
        Reason::Evaluation => (StatusCode::FORBIDDEN, "not permitted: the policies could not be evaluated"),
        Reason::Request => {
            (StatusCode::BAD_REQUEST, "the request lacks or mangles a purpose, field, person or ground")
        }
        Reason::Evidence => {
            (StatusCode::FORBIDDEN, "the named grant, case or flow does not serve this request")
        }
        Reason::Malformed => {
            (StatusCode::BAD_GATEWAY, "the body is not in its declared form; nothing was released")
        }
        Reason::Limit => (StatusCode::BAD_GATEWAY, "the body is over a limit; nothing was released"),
        Reason::Finding => {
            (StatusCode::FORBIDDEN, "personal data was found where none may be; nothing was released")
        }
        Reason::Unknown => (StatusCode::NOT_FOUND, "no such lane, path or method"),
        Reason::Upstream => (StatusCode::BAD_GATEWAY, "the service behind gave no usable answer"),
        Reason::Subject => (StatusCode::NOT_FOUND, "no such person here"),
        Reason::Threshold => (StatusCode::FORBIDDEN, "no group is large enough to show"),
        Reason::Budget => (StatusCode::FORBIDDEN, "nothing is left of what was granted"),
        Reason::Border => (StatusCode::SERVICE_UNAVAILABLE, "the border is closed; nothing was released"),
        Reason::Assessment => (
            StatusCode::FORBIDDEN,
            "the country has no assessment in force that lets this cross; ask the programme's owner to review it",
        ),
        Reason::Rulebook => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the rules were replaced while this was on its way; nothing was released, ask again",
        ),
        Reason::Privacy => (StatusCode::FORBIDDEN, "no more may be learned of this dataset now"),
        Reason::Difference => {
            (StatusCode::FORBIDDEN, "with what was told before this would be a count of too few people")
        }
        Reason::Suspended => (
            StatusCode::FORBIDDEN,
            "all crossings to and from this country are suspended; nothing was released",
        ),
    }
}

pub(super) fn json(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// A released payload.
pub(super) fn released(body: Bytes, index: u64, media_type: &str) -> Answer {
    let mut answer = json(StatusCode::OK, body);
    if let Ok(media_type) = HeaderValue::from_str(media_type) {
        answer.headers_mut().insert(CONTENT_TYPE, media_type);
    }
    answer.headers_mut().insert(RECEIPT, HeaderValue::from(index));
    answer
}

/// A refusal that is on the ledger.
pub(super) fn refused(reason: Reason, sender: Sender, index: u64) -> Answer {
    let (status, words) = words(reason, sender);
    let body = serde_json::json!({ "refused": reason.word(), "why": words });
    let mut answer = json(status, body.to_string().into_bytes());
    answer.headers_mut().insert(RECEIPT, HeaderValue::from(index));
    answer
}

/// A refusal because a privacy budget is spent, which is on the ledger: what is left, and when there is enough again. All of
/// it follows from what was asked, and none from data.
pub(super) fn exhausted(left: &Exhausted, index: u64) -> Answer {
    let (status, words) = words_of(Reason::Privacy);
    let body = serde_json::json!({
        "refused": Reason::Privacy.word(),
        "why": words,
        "code": SpendError::Exhausted(*left).code(),
        "epsilon": decimal(left.cost_micro),
        "left": decimal(left.left_micro),
        "back": left.back.map(model::UnixSeconds::rfc3339),
    });
    let mut answer = json(status, body.to_string().into_bytes());
    answer.headers_mut().insert(RECEIPT, HeaderValue::from(index));
    answer
}

/// A refusal to somebody who is not known: there is nobody to record.
pub(super) fn stranger(status: StatusCode, words: &'static str) -> Answer {
    json(status, serde_json::json!({ "refused": "stranger", "why": words }).to_string().into_bytes())
}

/// The machinery broke: whatever it was, nothing left.
pub(super) fn broken(error: &dyn Explain) -> Answer {
    let body = serde_json::json!({ "refused": "border", "code": error.code(), "why": error.public() });
    json(StatusCode::SERVICE_UNAVAILABLE, body.to_string().into_bytes())
}

/// A forward lane delivered what it recorded.
pub(super) fn delivered(status: StatusCode, index: u64) -> Answer {
    let mut answer = json(status, br#"{"delivered":true}"#.to_vec());
    answer.headers_mut().insert(RECEIPT, HeaderValue::from(index));
    answer
}

/// What was recorded may not have arrived: the record stands, for it may have.
pub(super) fn undelivered(index: u64) -> Answer {
    let body =
        r#"{"delivered":false,"why":"the destination gave no usable answer; the crossing is recorded"}"#;
    let mut answer = json(StatusCode::BAD_GATEWAY, body.as_bytes().to_vec());
    answer.headers_mut().insert(RECEIPT, HeaderValue::from(index));
    answer
}
