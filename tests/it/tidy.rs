//! Rules about the tree itself: who may use whom, what stands nowhere, what must stand somewhere.
//!
//! A rule that matters is a test, so that it runs at the desk and not only in a review.
//! Start reading at `tidy/crates.rs`; how the tree is read stands in `tidy/tree.rs`.

#[cfg(test)]
mod absences;
#[cfg(test)]
mod crates;
#[cfg(test)]
mod dependencies;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod files;
#[cfg(test)]
mod licence;
#[cfg(test)]
mod tree;
