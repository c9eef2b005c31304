//! Invented people for tests, demonstrations and measurements.
//!
//! One file a person, in the format of a large short-video platform's personal-data export, with names,
//! addresses, phone numbers, accounts and national identification numbers as they look in the 32 countries. What
//! a file holds depends on the seed and the person's number alone, so any single file can be made again, and a
//! test can ask [`person`] for the facts. Mail domains and network addresses are from ranges that are reserved
//! for documentation; all else is drawn at random and belongs to somebody only by chance.
//!
//! Start reading at [`write`], then `sample/person.rs` and `sample/document.rs`.

mod country;
mod dice;
mod document;
mod ids;
mod names;
mod person;
mod phrases;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use dice::Dice;
pub use person::{Address, Audience, Device, Disclosure, NationalId, Person, Video};

/// What to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many people, at most [`PEOPLE_MAX`].
    pub people: u64,
    /// Any number; the same one gives the same bytes.
    pub seed: u64,
    /// The folder for the files, made if it is missing.
    pub out: PathBuf,
}

/// The most people of one sample: the file name has seven digits.
pub const PEOPLE_MAX: u64 = 9_999_999;

/// What was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files, one a person.
    pub files: u64,
    /// Bytes of all files.
    pub bytes: u64,
}

/// Sex as some national numbers show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sex {
    /// Female.
    Female,
    /// Male.
    Male,
}

/// Why a sample was not finished; the files written before remain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// More people than file names.
    #[error("`{people}` people are more than a sample holds, at most `{PEOPLE_MAX}`")]
    TooMany {
        /// How many were asked for.
        people: u64,
    },
    /// The folder could not be made.
    #[error("cannot make the folder `{}`", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("cannot write `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A document could not be turned into JSON.
    #[error("cannot write person `{index}` as json")]
    Document {
        /// Which person.
        index: u64,
        /// Why.
        source: serde_json::Error,
    },
}

/// Writes the files `person-0000001.json` and on, one person in memory at a time; existing files of the same
/// names are replaced. `progress` is called with the number of finished files after each.
///
/// # Errors
///
/// [`SampleError`] says which folder or file could not be written.
///
/// # Examples
///
/// ```
/// use clover::sample::{self, Options};
///
/// let out = std::env::temp_dir().join("clover-sample-doc");
/// let made = sample::write(&Options { people: 2, seed: 7, out: out.clone() }, |_| {})?;
/// assert_eq!(made.files, 2);
///
/// let text = std::fs::read_to_string(sample::file(&out, 2))?;
/// assert!(text.contains(&sample::person(7, 2).user_name));
/// # std::fs::remove_dir_all(out)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write(options: &Options, mut progress: impl FnMut(u64)) -> Result<Summary, SampleError> {
    let Options { people, seed, out } = options;
    if *people > PEOPLE_MAX {
        return Err(SampleError::TooMany { people: *people });
    }
    fs::create_dir_all(out).map_err(|source| SampleError::Folder { path: out.clone(), source })?;
    let mut summary = Summary::default();
    for index in 1..=*people {
        let bytes = bytes(*seed, index)?;
        let path = file(out, index);
        fs::write(&path, &bytes).map_err(|source| SampleError::File { path, source })?;
        summary.files += 1;
        summary.bytes += bytes.len() as u64;
        progress(index);
    }
    Ok(summary)
}

/// The path of one person's file.
#[must_use]
pub fn file(out: &Path, index: u64) -> PathBuf {
    out.join(format!("person-{index:07}.json"))
}

/// The facts of one person; `index` counts from 1, as the file names do.
///
/// # Examples
///
/// ```
/// let person = clover::sample::person(7, 1);
/// assert!(person.phone.starts_with('+'));
/// assert_eq!(person, clover::sample::person(7, 1));
/// ```
#[must_use]
pub fn person(seed: u64, index: u64) -> Person {
    person::draw(seed, index)
}

/// The bytes of one person's file, without writing it.
///
/// # Errors
///
/// [`SampleError::Document`], which no document of ours causes.
pub fn bytes(seed: u64, index: u64) -> Result<Vec<u8>, SampleError> {
    let person = person(seed, index);
    document::bytes(seed, &person).map_err(|source| SampleError::Document { index, source })
}

#[cfg(test)]
mod tests;
