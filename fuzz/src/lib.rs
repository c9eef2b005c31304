//! What the fuzz targets in `targets/` call. The auditor's half stands in its own crate, for its parsers are private.

pub mod border;
pub mod both;
pub mod inspection;
pub mod formats;
pub mod sql;
pub mod writer;
