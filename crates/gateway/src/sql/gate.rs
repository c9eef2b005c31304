//! Which kinds of statements pass.
