//! The `clover` command.
fn main() {}
