//! How much those who read tables of lanes may take.

use std::time::Duration;

use model::Problems;

use crate::tables::Allowed;

/// Most memory of one reader, in MiB.
const MEMORY_MAX: u64 = 16_384;
/// Longest that one may take.
const SECONDS_MAX: u64 = 600;
/// Most readers at a time.
const AT_ONCE_MAX: usize = 64;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTables {
    #[serde(default = "memory_mib")]
    memory_mib: u64,
    #[serde(default = "seconds")]
    seconds: u64,
    #[serde(default = "at_once")]
    at_once: usize,
}

impl Default for RawTables {
    fn default() -> Self {
        Self { memory_mib: memory_mib(), seconds: seconds(), at_once: at_once() }
    }
}

fn memory_mib() -> u64 {
    512
}
fn seconds() -> u64 {
    10
}
fn at_once() -> usize {
    2
}

pub(super) fn check(raw: &RawTables, p: &mut Problems) -> Allowed {
    let mut within = |key: &str, fits: bool, fix: String| {
        if !fits {
            p.add(format!("enclave.toml: tables.{key}"), "nothing could be read within that", fix);
        }
    };
    let RawTables { memory_mib, seconds, at_once } = *raw;
    within("memory_mib", (64..=MEMORY_MAX).contains(&memory_mib), format!("use 64 to {MEMORY_MAX}"));
    within("seconds", (1..=SECONDS_MAX).contains(&seconds), format!("use 1 to {SECONDS_MAX}"));
    within("at_once", (1..=AT_ONCE_MAX).contains(&at_once), format!("use 1 to {AT_ONCE_MAX}"));
    Allowed { memory: memory_mib.saturating_mul(1 << 20), time: Duration::from_secs(seconds), at_once }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, starter};

    #[test]
    fn readers_of_tables_have_bounds_that_something_can_be_read_within() {
        let with = |keys: &str| Config::parse(&format!("{}\n[tables]\n{keys}\n", starter("dublin-1")));
        let tables = with("memory_mib = 256").unwrap().tables;
        assert_eq!((tables.memory, tables.time.as_secs(), tables.at_once), (256 << 20, 10, 2));
        for wrong in ["memory_mib = 63", "memory_mib = 16385", "seconds = 0", "at_once = 0", "at_once = 65"] {
            let said = with(wrong).unwrap_err().to_string();
            let key = wrong.split(' ').next().unwrap();
            assert!(said.contains(&format!("tables.{key}")), "{said}");
        }
        assert!(with("file = \"/tmp/x\"").is_err());
    }
}
