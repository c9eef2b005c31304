//! Tokens of SoftHSM, in a folder that goes away with them.
//!
//! Its library reads one variable of the environment when it is loaded, and keeps what it read. So a test that uses it
//! runs as a child of itself ([`SoftHsm::in_child`]).

use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// The variable with the library's configuration.
const VARIABLE: &str = "SOFTHSM2_CONF";

/// A folder of tokens.
pub struct SoftHsm {
    folder: TempDir,
}

impl SoftHsm {
    /// A folder without tokens.
    ///
    /// # Errors
    /// What the file system says.
    pub fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("clover-hsm-").tempdir()?;
        std::fs::create_dir(folder.path().join("tokens"))?;
        let text = format!(
            "directories.tokendir = {}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n",
            folder.path().display()
        );
        std::fs::write(folder.path().join("softhsm2.conf"), text)?;
        Ok(Self { folder })
    }

    /// The folder of the tokens.
    #[must_use]
    pub fn tokens(&self) -> PathBuf {
        self.folder.path().join("tokens")
    }

    /// Name and value of the variable that leads the library here.
    #[must_use]
    pub fn variable(&self) -> (&'static str, PathBuf) {
        (VARIABLE, self.folder.path().join("softhsm2.conf"))
    }

    /// Makes a token.
    ///
    /// # Errors
    /// When SoftHSM is not installed, or refuses.
    pub fn token(&self, label: &str, pin: &str) -> Result<()> {
        module()?;
        let (name, value) = self.variable();
        let args = ["--init-token", "--free", "--label", label, "--so-pin", "security-officer", "--pin", pin];
        let made = Command::new("softhsm2-util").env(name, value).args(args).output()?;
        if made.status.success() {
            Ok(())
        } else {
            Err(Error::other(String::from_utf8_lossy(&made.stdout).into_owned()))
        }
    }

    /// Whether this process is the child whose library reads a configuration of tests, and in which folder it works.
    #[must_use]
    pub fn child() -> Option<PathBuf> {
        let conf = PathBuf::from(std::env::var_os(VARIABLE)?);
        conf.parent().map(Path::to_owned)
    }

    /// Runs a test of this binary again, as a child that uses these tokens, and says what it said.
    ///
    /// # Errors
    /// When it fails.
    pub fn in_child(&self, test: &str) -> Result<String> {
        let (name, value) = self.variable();
        let args = ["--exact", test, "--nocapture", "--test-threads=1"];
        let child = Command::new(std::env::current_exe()?).args(args).env(name, value).output()?;
        let said =
            format!("{}{}", String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
        if child.status.success() && said.contains("1 passed") { Ok(said) } else { Err(Error::other(said)) }
    }
}

/// SoftHSM's library.
///
/// # Errors
/// When it is not installed.
pub fn module() -> Result<PathBuf> {
    let path = PathBuf::from("/usr/lib/softhsm/libsofthsm2.so");
    if path.exists() {
        return Ok(path);
    }
    Err(Error::other("SoftHSM is not installed: run `scripts/test`, or install Debian's package `softhsm2`"))
}
