use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::preferences;

/// How much of a log an error quotes.
const TAIL: usize = 2000;

/// A browser's directory: it is gone when this is dropped. Its log stays among the artefacts.
#[derive(Debug)]
pub struct Profile {
    name: String,
    dir: TempDir,
    log: PathBuf,
}

impl Profile {
    /// A new one, for a browser that gets its pushes from this WebSocket. `name` names the log and the screenshots.
    pub fn new(name: &str, push_server: &str, artefacts: &Path) -> io::Result<Self> {
        let dir = tempfile::Builder::new().prefix("webpush-firefox-").tempdir()?;
        fs::write(dir.path().join("user.js"), preferences::user_js(push_server))?;
        let log = artefacts.join(format!("{name}.log"));
        File::create(&log)?;
        Ok(Self { name: name.to_owned(), dir, log })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn port_file(&self) -> PathBuf {
        self.path().join("MarionetteActivePort")
    }

    pub(super) fn open_log(&self) -> io::Result<File> {
        OpenOptions::new().append(true).open(&self.log)
    }

    pub(super) fn log_tail(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(TAIL)..]).into_owned()
    }
}
