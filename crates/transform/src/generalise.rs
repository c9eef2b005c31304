//! One value made coarser, so that many people share what is left.
//!
//! Each function takes a value as it is spelled and gives the class that it falls into. What a
//! class shows depends on nothing but the class: two values of one class give the same bytes.
//! `None` means that the value was not understood; the caller then hides it whole and never lets
//! it through. Days, months, years and counts are in [`mask`](crate::mask).
//!
//! A generalised value is safe only as far as its group is large: how many people share a
//! combination of classes is measured on the release, not here.

mod agent;
mod network;
mod place;
#[cfg(test)]
mod tests;
mod time;

pub use agent::{Family, Platform, agent};
pub use network::{Prefixes, network, network_of};
pub(crate) use network::{address, inner};
pub use place::{Axis, cell, coordinate, postcode};
pub use time::{AGE_TOP, age_band, hour, year_band};
