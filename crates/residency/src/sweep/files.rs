//! Walks folders and reads files. Nothing is written, links are not followed, and times of access are left as they are
//! where the system lets us.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rustix::fs::{Mode, OFlags};

use super::{Options, Placed, Progress, Report};
use crate::scan::Scanner;
use crate::unpack;

/// Folders within folders.
const DEPTH_MAX: usize = 1000;

/// File systems that hold no files: the kernel's view of itself.
const KERNEL: &[(u64, &str)] = &[
    (0x9fa0, "proc"),
    (0x6265_6572, "sysfs"),
    (0x6367_7270, "cgroup2"),
    (0x0027_e0eb, "cgroup"),
    (0x6462_6720, "debugfs"),
    (0x7472_6163, "tracefs"),
    (0x1cd1, "devpts"),
    (0xcafe_4a11, "bpf"),
    (0x7363_6673, "securityfs"),
];

pub(super) fn sweep(
    scanner: &Scanner,
    root: &Path,
    options: Options,
    progress: &Progress,
    report: &Mutex<Report>,
) {
    let walk = |own: &mut Report, found: &dyn Fn(PathBuf)| walk(scanner, root, own, found);
    super::each(options.threads, progress, report, walk, |path, own| file(scanner, &path, options, own));
}

/// Names every regular file below a path, and searches the names of all.
fn walk(scanner: &Scanner, root: &Path, report: &mut Report, found: &dyn Fn(PathBuf)) {
    let mut folders = vec![(root.to_owned(), 0)];
    let mut device = None;
    while let Some((path, depth)) = folders.pop() {
        let place = path.display().to_string();
        name(scanner, &path, &place, report);
        let metadata = match std::fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(e) => {
                report.blind(&place, format!("cannot be looked at: {e}"));
                continue;
            }
        };
        if !metadata.is_dir() {
            other(scanner, &path, &metadata, report, found);
            continue;
        }
        // Whatever is mounted below is asked once what it is.
        if device.replace(metadata.dev()) != Some(metadata.dev())
            && let Some(kind) = kernel(&path)
        {
            report.pass(kind);
            continue;
        }
        if depth > DEPTH_MAX {
            report.blind(&place, "folders within folders beyond the bound");
            continue;
        }
        match std::fs::read_dir(&path) {
            Err(e) => report.blind(&place, format!("cannot be listed: {e}")),
            Ok(entries) => {
                for entry in entries {
                    match entry {
                        Err(e) => report.blind(&place, format!("cannot be listed to its end: {e}")),
                        // Files go at once, so that no more than the folders wait here.
                        Ok(entry) if entry.file_type().is_ok_and(|t| t.is_file()) => {
                            let path = entry.path();
                            name(scanner, &path, &path.display().to_string(), report);
                            found(path);
                        }
                        Ok(entry) => folders.push((entry.path(), depth + 1)),
                    }
                }
            }
        }
    }
}

fn other(scanner: &Scanner, path: &Path, metadata: &Metadata, report: &mut Report, found: &dyn Fn(PathBuf)) {
    let kind = metadata.file_type();
    let passed = if kind.is_file() {
        return found(path.to_owned());
    } else if kind.is_symlink() {
        match std::fs::read_link(path) {
            Ok(target) => names(scanner, target.as_os_str(), &path.display().to_string(), report),
            Err(e) => report.blind(&path.display().to_string(), format!("the link cannot be read: {e}")),
        }
        "links"
    } else if kind.is_fifo() {
        "pipes"
    } else if kind.is_socket() {
        "sockets"
    } else {
        "devices"
    };
    report.pass(passed);
}

fn name(scanner: &Scanner, path: &Path, place: &str, report: &mut Report) {
    if let Some(name) = path.file_name() {
        names(scanner, name, place, report);
    }
}

fn names(scanner: &Scanner, name: &OsStr, place: &str, report: &mut Report) {
    for hit in scanner.all(name.as_bytes()) {
        report.find(place, "(name)", hit);
    }
}

fn kernel(path: &Path) -> Option<&'static str> {
    let magic = u64::try_from(rustix::fs::statfs(path).ok()?.f_type).ok()?;
    KERNEL.iter().find(|(known, _)| *known == magic).map(|(_, name)| *name)
}

fn file(scanner: &Scanner, path: &Path, options: Options, report: &mut Report) {
    let place = path.display().to_string();
    let file = match open(path) {
        Ok(file) => file,
        Err(e) => return report.blind(&place, format!("cannot be opened: {e}")),
    };
    let length = match file.metadata() {
        Ok(m) if m.is_file() => m.len(),
        Ok(_) => return report.blind(&place, "it is no longer a file"),
        Err(e) => return report.blind(&place, format!("cannot be looked at: {e}")),
    };
    report.places += 1;
    let mut counted = Counted { file, read: 0 };
    unpack::look(scanner, options.bounds, &mut counted, &mut Placed { report, place: &place });
    if counted.read < length {
        report.blind(&place, format!("{} of its {length} bytes were read", counted.read));
    }
}

/// Opens for reading: no link in its place, no wait for a writer, and no trace in the time of access.
fn open(path: &Path) -> rustix::io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags | OFlags::NOATIME, Mode::empty()) {
        // Only the owner may leave no trace.
        Err(rustix::io::Errno::PERM) => rustix::fs::open(path, flags, Mode::empty()),
        opened => opened,
    }
    .map(File::from)
}

struct Counted {
    file: File,
    read: u64,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let n = self.file.read(into)?;
        self.read += n as u64;
        Ok(n)
    }
}
