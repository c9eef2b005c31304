//! The few files that pages load: from this program, for as long as it is this program.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};

struct Asset {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

const JS: &str = "text/javascript; charset=utf-8";

const ASSETS: [Asset; 7] = [
    Asset { name: "console.css", kind: "text/css; charset=utf-8", text: include_str!("static/console.css") },
    Asset { name: "mark.svg", kind: "image/svg+xml", text: include_str!("static/mark.svg") },
    Asset { name: "console.js", kind: JS, text: include_str!("static/console.js") },
    Asset { name: "live.js", kind: JS, text: include_str!("static/live.js") },
    Asset { name: "view.js", kind: JS, text: include_str!("static/view.js") },
    Asset { name: "check.js", kind: JS, text: include_str!("static/check.js") },
    Asset { name: "verify.js", kind: JS, text: include_str!("static/verify.js") },
];

/// Of all files together: one loads another by its name, so that they change as one.
static EDITION: LazyLock<String> = LazyLock::new(|| {
    let mut all = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    ASSETS.iter().for_each(|a| all.update(a.text.as_bytes()));
    data_encoding::HEXLOWER.encode(all.finish().as_ref()).chars().take(12).collect()
});

/// The address of a file, which changes with it.
pub(super) fn path(name: &str) -> String {
    format!("/static/{}/{name}", *EDITION)
}

/// `GET /favicon.ico`: browsers ask for it wherever a page names none.
pub(super) async fn icon() -> Response {
    get(Path((EDITION.clone(), "mark.svg".to_owned()))).await
}

/// `GET /static/{edition}/{name}`.
pub(super) async fn get(Path((edition, name)): Path<(String, String)>) -> Response {
    match ASSETS.iter().find(|a| a.name == name && edition == *EDITION) {
        None => (StatusCode::NOT_FOUND, "not found\n").into_response(),
        Some(asset) => {
            let headers = [
                (CONTENT_TYPE, asset.kind.to_owned()),
                (CACHE_CONTROL, "public, max-age=31536000, immutable".to_owned()),
                (ETAG, format!("\"{edition}\"")),
            ];
            (headers, asset.text).into_response()
        }
    }
}
