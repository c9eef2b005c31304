//! The corpus: files, the chunks that every engine gets, and the labels.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Bytes of a chunk of NDJSON, at most, if a line is not longer; a table is one chunk.
const CHUNK: usize = 64 << 10;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Csv,
}

pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) format: Format,
}

/// A labelled span of a file.
pub(crate) struct Label {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) kind: String,
    pub(crate) context: String,
}

/// What an engine says it found.
#[derive(Clone)]
pub(crate) struct Hit {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) kind: &'static str,
}

pub(crate) struct Corpus {
    pub(crate) files: Vec<File>,
    /// By the file's index.
    pub(crate) labels: Vec<Vec<Label>>,
}

impl Corpus {
    /// Reads a folder that `corpus/make.py` wrote.
    pub(crate) fn read(folder: &Path) -> Self {
        let mut names: Vec<String> = fs::read_dir(folder)
            .expect("the corpus folder")
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".ndjson") || name.ends_with(".csv"))
            .collect();
        names.sort();
        let files: Vec<File> = names
            .into_iter()
            .map(|name| File {
                bytes: fs::read(folder.join(&name)).unwrap(),
                format: if name.ends_with(".csv") { Format::Csv } else { Format::Json },
                name,
            })
            .collect();
        let index: BTreeMap<&str, usize> =
            files.iter().enumerate().map(|(i, file)| (file.name.as_str(), i)).collect();
        let mut labels: Vec<Vec<Label>> = files.iter().map(|_| Vec::new()).collect();
        for line in fs::read_to_string(folder.join("labels.tsv")).expect("labels.tsv").lines() {
            let parts: Vec<&str> = line.split('\t').collect();
            let [file, start, end, kind, _, context] = parts[..] else { panic!("a label of six parts") };
            labels[index[file]].push(Label {
                start: start.parse().unwrap(),
                end: end.parse().unwrap(),
                kind: kind.to_owned(),
                context: context.to_owned(),
            });
        }
        for list in &mut labels {
            list.sort_by_key(|label| label.start);
        }
        Self { files, labels }
    }

    /// The files whose name begins so.
    pub(crate) fn named<'a>(&'a self, start: &'a str) -> impl Iterator<Item = &'a File> + 'a {
        self.files.iter().filter(move |file| file.name.starts_with(start))
    }
}

impl File {
    /// Chunks of whole lines, with their place in the file.
    pub(crate) fn chunks(&self) -> Vec<(usize, &[u8])> {
        if self.format == Format::Csv {
            return vec![(0, &self.bytes)];
        }
        let mut chunks = Vec::new();
        let mut at = 0;
        while at < self.bytes.len() {
            let most = (at + CHUNK).min(self.bytes.len());
            let end = match memchr::memrchr(b'\n', &self.bytes[at..most]) {
                Some(newline) => at + newline + 1,
                None => memchr::memchr(b'\n', &self.bytes[at..]).map_or(self.bytes.len(), |n| at + n + 1),
            };
            chunks.push((at, &self.bytes[at..end]));
            at = end;
        }
        chunks
    }
}
