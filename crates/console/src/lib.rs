//! What a site shows: status for people and probes, metrics for Prometheus and the logs for auditors, on loopback and never
//! a person ([`api`], [`logs`]); and what people use over TLS, who sign in ([`signin`]) and
//! have a session ([`web`]).
//!
//! Start reading at [`api::router`] and [`web::serve`].

pub mod access;
pub mod api;
pub mod logs;
pub mod signin;
pub mod web;
