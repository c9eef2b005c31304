//! The prover against the starter rulebook, against proposals to change it, against bad solvers, and against the
//! real engine. They need cvc5, which `scripts/test` installs.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

#[path = "prove/bounded.rs"]
mod bounded;
#[path = "prove/cast.rs"]
mod cast;
#[path = "prove/mistakes.rs"]
mod mistakes;
#[path = "prove/program.rs"]
mod program;
#[path = "prove/proposals.rs"]
mod proposals;
#[path = "prove/small_world.rs"]
mod small_world;
#[path = "prove/solvers.rs"]
mod solvers;
#[path = "prove/starter.rs"]
mod starter;
