//! A yardstick for the machine and the day: the same bytes parsed as JSON, checked, and dropped, with nothing looked for.

use serde::de::IgnoredAny;

use crate::corpus::Format;
use crate::{Engine, Hit};

pub(crate) struct Parse;

impl Engine for Parse {
    fn name(&self) -> &'static str {
        "serde_json, parsed and dropped"
    }

    fn scan(&mut self, chunk: &[u8], format: Format) -> usize {
        match format {
            Format::Json => chunk
                .split(|b| *b == b'\n')
                .filter(|line| !line.is_empty())
                .map(|line| usize::from(serde_json::from_slice::<IgnoredAny>(line).is_err()))
                .sum(),
            Format::Csv => memchr::memchr_iter(b'\n', chunk).count(),
        }
    }

    fn hits(&self, _: &[u8], _: &mut Vec<Hit>) {}
}
