//! What the mirror found, kept for good: a problem stays red over a restart until a person removes it here.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use crate::{durable, hash::sha256, tree::hex_of};

/// Beyond it nothing new is kept; what is there is bad enough.
const PROBLEMS_MAX: usize = 1000;
const FILES_MAX: usize = 1000;
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The folder of findings.
pub(crate) struct Evidence {
    folder: PathBuf,
    temporary: PathBuf,
    problems: Mutex<Vec<Problem>>,
}

/// Something that is wrong with a log and will not become right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Problem {
    pub(crate) origin: String,
    pub(crate) text: String,
}

impl Evidence {
    pub(crate) fn open(folder: &Path, temporary: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut text = String::new();
        match File::open(folder.join("problems.ndjson")) {
            Ok(file) => drop(file.take(FILE_BYTES_MAX).read_to_string(&mut text)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        // The last line may be torn; it is written again when the problem is found again.
        let problems = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let (folder, temporary) = (folder.to_owned(), temporary.to_owned());
        Ok(Self { folder, temporary, problems: Mutex::new(problems) })
    }

    /// Keeps a problem. It counts at once, whether or not it can be written.
    pub(crate) fn problem(&self, origin: &str, text: &str) -> io::Result<()> {
        let problem = Problem { origin: origin.to_owned(), text: text.to_owned() };
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        if problems.contains(&problem) || problems.len() >= PROBLEMS_MAX {
            return Ok(());
        }
        let line = serde_json::to_string(&problem)?;
        problems.push(problem);
        let path = self.folder.join("problems.ndjson");
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        // A torn line before it must not swallow this one.
        file.write_all(format!("\n{line}\n").as_bytes())?;
        file.sync_all()?;
        durable::sync_folder(&self.folder)
    }

    /// What is wrong with a log.
    pub(crate) fn of(&self, origin: &str) -> Vec<String> {
        let problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        problems
            .iter()
            .filter(|problem| problem.origin == origin)
            .map(|problem| problem.text.clone())
            .collect()
    }

    /// Keeps what somebody signed.
    pub(crate) fn keep(&self, what: &str, bytes: &[u8]) -> io::Result<()> {
        let digest = hex_of(&sha256(bytes));
        let name = format!("{what}-{}.txt", digest.get(..32).unwrap_or(&digest));
        let path = self.folder.join(name);
        if path.exists() || fs::read_dir(&self.folder)?.count() >= FILES_MAX {
            return Ok(());
        }
        durable::replace(&self.temporary, &path, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_outlives_the_process_and_a_torn_line() {
        let folder = tempfile::TempDir::new().unwrap();
        let open = || Evidence::open(folder.path(), folder.path()).unwrap();
        open().problem("log.a", "one").unwrap();
        let path = folder.path().join("problems.ndjson");
        let mut file = OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(b"{\"origin\":\"log").unwrap();
        let evidence = open();
        evidence.problem("log.a", "two").unwrap();
        evidence.problem("log.a", "two").unwrap();
        assert_eq!(open().of("log.a"), ["one", "two"]);
        assert!(open().of("log.b").is_empty());
    }
}
