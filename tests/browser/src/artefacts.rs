//! What the tests leave to look at: screenshots, and the browsers' logs.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// The directory of one story's files: in `WEBPUSH_CHANNELS_ARTEFACTS`, or else in `browser` in cargo's target
/// directory.
#[must_use]
pub fn directory(story: &str) -> PathBuf {
    let root =
        env::var_os("WEBPUSH_CHANNELS_ARTEFACTS").map_or_else(|| target().join("browser"), PathBuf::from);
    root.join(story)
}

/// Makes that directory, without what an earlier run left there: nobody shall look at an old failure.
pub(crate) fn make_directory(story: &str) -> io::Result<PathBuf> {
    let dir = directory(story);
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    fs::create_dir_all(&dir)?;
    Ok(dir)
}

fn target() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let workspace = package.ancestors().nth(2).expect("the package lies in tests/ of the workspace");
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from)
}
