//! The closed grammar of those who see no rows: what may be asked, and the statement that we make of it.
