//! The control API: status and metrics.
