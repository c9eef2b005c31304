//! The protocol: frames, the front that clients see, the connection behind, and the relay between them.
//!
//! A connection is met by [`front`] (TLS, who it is), goes on [`back`] as the role of its grant, and [`relay`] carries statements one
//! way and results the other. What a result may tell waits for [`relay::Crossings`], which records it.

pub mod back;
pub mod cancel;
pub mod frame;
pub mod front;
pub mod own;
pub mod relay;
pub mod scram;
