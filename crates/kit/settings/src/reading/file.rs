//! The settings file: a regular file of a known format, read to a bounded length.

use std::fs::{self, File, Metadata};
use std::io::Read as _;
use std::path::Path;

use config::FileFormat;

use super::fault::FileProblem;

/// Far more than any settings need.
const MAX_BYTES: u64 = 1 << 20;

/// The text of the file, and how it is written.
pub(super) fn read(path: &Path) -> Result<(String, FileFormat), FileProblem> {
    let extension = path
        .extension()
        .unwrap_or_default()
        .to_string_lossy()
        .to_ascii_lowercase();
    let format = match &*extension {
        "toml" => FileFormat::Toml,
        "yaml" | "yml" => FileFormat::Yaml,
        _ => return Err(FileProblem::Extension),
    };
    let text = String::from_utf8(bytes(path)?).map_err(|_| FileProblem::NotUtf8)?;
    Ok((text.trim_start_matches('\u{feff}').to_owned(), format))
}

/// Whether the settings file can be read and has nothing in it but white space: somebody has truncated it, most
/// likely, and is about to write it.
#[must_use]
pub fn is_empty(path: &Path) -> bool {
    bytes(path).is_ok_and(|bytes| bytes.trim_ascii().is_empty())
}

fn bytes(path: &Path) -> Result<Vec<u8>, FileProblem> {
    // Before it is opened, since to open a pipe is to wait for whoever writes to it; and once more when it is, since
    // it may have become another one.
    must_be_regular(&fs::metadata(path).map_err(FileProblem::Io)?)?;
    let file = File::open(path).map_err(FileProblem::Io)?;
    must_be_regular(&file.metadata().map_err(FileProblem::Io)?)?;
    let mut bytes = Vec::new();
    // Not the size that the metadata claim: it may grow.
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(FileProblem::Io)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(FileProblem::TooLarge);
    }
    Ok(bytes)
}

fn must_be_regular(metadata: &Metadata) -> Result<(), FileProblem> {
    if metadata.is_dir() {
        Err(FileProblem::Directory)
    } else if metadata.is_file() {
        Ok(())
    } else {
        Err(FileProblem::NotRegular)
    }
}
