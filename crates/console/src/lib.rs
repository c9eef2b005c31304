//! What a site shows: status for people and probes, metrics for Prometheus and the logs for auditors, on loopback and never
//! a person ([`api`], [`logs`]); what people use over TLS, who sign in ([`signin`]) and
//! have a session ([`web`]), in a browser ([`pages`]); and notices to chat tools and mailboxes ([`notify`]).
//!
//! Start reading at [`api::router`], [`web::serve`] and [`pages::router`].

pub mod access;
pub mod api;
mod ask;
pub mod logs;
pub mod notify;
pub mod pages;
pub mod signin;
pub mod sql;
pub mod web;
