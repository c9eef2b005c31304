//! Words of SQL, as PostgreSQL's own scanner parts them.
