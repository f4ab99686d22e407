//! The memory of this process, as it sees it itself.

use std::{fs::File, os::unix::fs::FileExt as _};

/// `/proc/self/statm`, which stays open.
pub(crate) struct Resident {
    statm: File,
    page: u64,
}

impl Resident {
    pub(crate) fn own() -> Option<Self> {
        Some(Self {
            statm: File::open("/proc/self/statm").ok()?,
            page: procfs::page_size(),
        })
    }

    /// What is in memory and is no file's, in bytes.
    pub(crate) fn bytes(&self) -> Option<u64> {
        let mut text = [0; 128];
        let read = self.statm.read_at(&mut text, 0).ok()?;
        let text = std::str::from_utf8(&text[..read]).ok()?;
        let mut pages = text.split(' ').skip(1).map(str::parse::<u64>);
        let (resident, shared) = (pages.next()?.ok()?, pages.next()?.ok()?);
        Some(resident.saturating_sub(shared) * self.page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allocated_is_seen() {
        let resident = Resident::own().unwrap();
        let before = resident.bytes().unwrap();
        let large = vec![1_u8; 64 << 20];
        let after = resident.bytes().unwrap();
        assert!(
            after >= before + (60 << 20),
            "{before} {after} {}",
            large[7]
        );
    }
}
