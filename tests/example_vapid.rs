//! The example `vapid`, run in this process.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

#[allow(dead_code, reason = "its main is not called")]
#[path = "../examples/vapid.rs"]
mod vapid;

/// A directory of one test, removed at its end.
struct Dir(PathBuf);

impl Dir {
    fn new(test: &str) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("vapid-{test}"));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What the command prints, or its exit code and what it complains of.
fn run(args: &[&str]) -> Result<String, (u8, String)> {
    let mut out = Vec::new();
    vapid::run(args.iter().map(OsString::from), &mut out)
        .map(|()| String::from_utf8(out).unwrap())
        .map_err(|failure| (failure.exit_code(), failure.to_string()))
}

#[test]
fn a_key_is_made_shown_and_converted() {
    let dir = Dir::new("convert");
    let file = dir.path("vapid.pem");
    let public = run(&["generate", "--out", &file]).unwrap();
    assert_eq!(public.trim().len(), 87);
    assert_eq!(run(&["public", &file]).unwrap(), public);
    for form in ["pkcs8", "sec1", "raw", "jwk", "pair"] {
        let converted = dir.path(form);
        assert_eq!(run(&["convert", "--to", form, "--out", &converted, &file]).unwrap(), "", "{form}");
        assert_eq!(run(&["public", &converted]).unwrap(), public, "{form}");
        let printed = run(&["convert", "--to", form, &converted]).unwrap();
        assert_eq!(printed, fs::read_to_string(&converted).unwrap(), "{form}");
    }
}

#[test]
fn a_key_file_of_another_tool_is_read() {
    for (file, public) in [
        ("web-push/private_key.der", include_str!("fixtures/web-push/public_key.base64url")),
        ("web-push-native/private_key.raw", include_str!("fixtures/web-push-native/public_key.base64url")),
    ] {
        let path = format!("{}/tests/fixtures/{file}", env!("CARGO_MANIFEST_DIR"));
        assert_eq!(run(&["public", &path]).unwrap(), public, "{file}");
    }
}

#[test]
fn a_key_without_a_file_goes_to_the_output_alone() {
    let key = run(&["generate"]).unwrap();
    assert!(key.starts_with("-----BEGIN PRIVATE KEY-----\n"));
    assert!(key.ends_with("-----END PRIVATE KEY-----\n"));
}

#[test]
fn a_key_file_is_private_and_never_overwritten() {
    let dir = Dir::new("overwrite");
    let file = dir.path("vapid.pem");
    run(&["generate", "--out", &file]).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let before = fs::read_to_string(&file).unwrap();
    let (code, message) = run(&["generate", "--out", &file]).unwrap_err();
    assert_eq!(code, 1);
    assert!(message.contains("cannot write") && message.contains("vapid.pem"), "{message}");
    assert_eq!(run(&["convert", "--to", "raw", "--out", &file, &file]).unwrap_err().0, 1);
    assert_eq!(fs::read_to_string(&file).unwrap(), before);
}

#[test]
fn a_file_that_is_no_key_is_named() {
    let certificate = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/certificate.pem");
    let (code, message) = run(&["public", certificate]).unwrap_err();
    assert_eq!(code, 1);
    assert!(message.ends_with("certificate.pem: this is a certificate, not a private key\n"), "{message}");
    assert_eq!(run(&["public", "/nonexistent/key.pem"]).unwrap_err().0, 1);
}

#[test]
fn wrong_usage_exits_with_two_and_shows_the_usage() {
    for args in [
        &[][..],
        &["revoke"],
        &["public"],
        &["public", "a", "b"],
        &["convert", "a"],
        &["convert", "--to", "der", "a"],
        &["generate", "--force"],
        &["generate", "--out"],
    ] {
        let (code, message) = run(args).unwrap_err();
        assert_eq!(code, 2, "{args:?}");
        assert!(message.contains("Usage: vapid generate"), "{message}");
    }
    assert!(run(&["--help"]).unwrap().starts_with("Usage:"));
}
