//! HTTP: requests become crossings, receipts open the answers.
//!
//! Nothing of a client's request but its method, its exact path, the person and the body reaches a service
//! behind, and nothing of a service's answer but its treated body reaches the client: there is no header to
//! smuggle. Paths carry no parameters. Bodies are buffered up to a cap.

mod answer;
mod body;
mod counts;
mod forward;
mod head;
mod own;
mod query;
mod records;
mod reverse;
mod route;
mod serve;
mod upstream;

pub use serve::{Gateway, ServeError, Settings, serve};
pub use upstream::{Upstream, UpstreamError};
