//! Directories that are gone with the test.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "a part of the tests that use it")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process};

/// A new directory, removed on drop with all that is in it.
#[derive(Debug)]
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = env::temp_dir().join(format!("webpush-channels-{}-{number}", process::id()));
            // One that is left of a process that had our id is not ours.
            if fs::create_dir(&path).is_ok() {
                return Self(path);
            }
            assert!(number < 100_000, "no directory can be made in {}", env::temp_dir().display());
        }
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}
