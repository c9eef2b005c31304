//! A grant, compiled to what PostgreSQL enforces: a role, views and functions.
