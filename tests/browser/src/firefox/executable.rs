use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;

use super::FirefoxError;

const NAMES: [&str; 2] = ["firefox-esr", "firefox"];

/// `FIREFOX`, or the first of [`NAMES`] in `PATH`.
pub(super) fn find() -> Result<PathBuf, FirefoxError> {
    choose(env::var_os("FIREFOX").as_deref(), env::var_os("PATH").as_deref())
}

fn choose(named: Option<&OsStr>, path: Option<&OsStr>) -> Result<PathBuf, FirefoxError> {
    if let Some(named) = named.filter(|named| !named.is_empty()) {
        let found = in_path(named, path);
        return found.ok_or_else(|| missing(format!("{} from FIREFOX", named.display())));
    }
    let found = NAMES.into_iter().find_map(|name| in_path(OsStr::new(name), path));
    found.ok_or_else(|| missing(format!("{} in PATH", NAMES.join(", "))))
}

/// A name with a slash stays as it is, as in a shell.
fn in_path(name: &OsStr, path: Option<&OsStr>) -> Option<PathBuf> {
    let name = PathBuf::from(name);
    if name.components().count() > 1 {
        return name.is_file().then_some(name);
    }
    env::split_paths(path?).map(|dir| dir.join(&name)).find(|file| file.is_file())
}

fn missing(looked_for: String) -> FirefoxError {
    FirefoxError::Missing { looked_for }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_variable_wins_over_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let (esr, mine) = (dir.path().join("firefox-esr"), dir.path().join("mine"));
        fs::write(&esr, "").unwrap();
        fs::write(&mine, "").unwrap();
        let path = Some(dir.path().as_os_str());
        assert_eq!(choose(None, path).unwrap(), esr);
        assert_eq!(choose(Some(OsStr::new("")), path).unwrap(), esr);
        assert_eq!(choose(Some(mine.as_os_str()), path).unwrap(), mine);
        assert_eq!(choose(Some(OsStr::new("mine")), path).unwrap(), mine);
    }

    #[test]
    fn what_is_missing_is_named_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let path = Some(dir.path().as_os_str());
        let error = choose(None, path).unwrap_err().to_string();
        assert!(
            error.contains("apt-get install firefox-esr") && error.contains("firefox-esr, firefox in PATH")
        );
        let error = choose(Some(OsStr::new("/no/such/firefox")), path).unwrap_err().to_string();
        assert!(error.contains("/no/such/firefox from FIREFOX"), "{error}");
    }
}
