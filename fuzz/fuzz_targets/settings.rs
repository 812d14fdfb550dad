//! The settings of the service: a file and flags. Errors name the setting, and quote no value of the file.
//!
//! Input: `f` and a file; `v`, a setting's number (an octet), a form (an octet): a secret stands in its place; or `c`
//! and flags, one on each line.
#![no_main]

use std::cell::OnceCell;
use std::ffi::OsString;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use webpush_channels_fuzz::{Fields, scratch, whole};
use webpush_channels_server::{Settings, SettingsError};

const SECRET: &str = "hunter2correcthorse";
/// What the service reads, secrets first, and what it does not.
const KEYS: [&str; 16] = [
    "database_url",
    "userid_hmac_secret",
    "contact",
    "publishers",
    "auth",
    "listen",
    "public_url",
    "jwt_key",
    "backoff",
    "eos",
    "readonly",
    "log",
    "term",
    "cors_origins",
    "body_octets",
    "nosuchsetting",
];

/// Of the keys.
const SECRETS: usize = 2;

thread_local! {
    static DIRECTORY: OnceCell<TempDir> = const { OnceCell::new() };
}

fuzz_target!(|data: &[u8]| {
    let mut fields = Fields::new(data);
    match fields.octet() {
        b'f' => drop(of_file(fields.rest())),
        b'v' => {
            let key = KEYS[usize::from(fields.octet()) % KEYS.len()];
            let file =
                format!("{key} = {}\n{}", secretly(fields.octet()), String::from_utf8_lossy(fields.rest()));
            let said = match of_file(file.as_bytes()) {
                Ok(settings) if KEYS[..SECRETS].contains(&key) => format!("{settings:?}"),
                Ok(_) => return,
                Err(error) => whole(&error),
            };
            assert!(!said.contains(SECRET), "{file}: {said}");
        }
        b'c' => {
            let mut flags = vec!["server".to_owned()];
            while !fields.is_empty() {
                flags.push(fields.line());
            }
            // A file of its own would be somebody else's.
            if !flags.iter().any(|flag| flag.starts_with("--conf")) {
                drop(check(Settings::parse(flags.into_iter().map(OsString::from))));
            }
        }
        _ => {}
    }
});

/// A value with a secret in it, of every type that TOML has.
fn secretly(form: u8) -> String {
    match form % 10 {
        0 => format!("\"{SECRET}\""),
        1 => format!("[\"{SECRET}\"]"),
        2 => format!("{{ a = \"{SECRET}\" }}"),
        3 => format!("\"postgres://user:{SECRET}@host/name\""),
        4 => format!("'''\n{SECRET}'''"),
        5 => format!("\"{SECRET}"),
        6 => format!("[[\"x\", '{SECRET}']]"),
        7 => format!("['''\n{SECRET}=\n''']"),
        8 => format!("'''\n{SECRET} = 1\n''' x"),
        _ => format!("\"{SECRET}\" \"{SECRET}\""),
    }
}

fn of_file(octets: &[u8]) -> Result<Settings, SettingsError> {
    let path = DIRECTORY.with(|directory| directory.get_or_init(scratch).path().join("settings.toml"));
    std::fs::write(&path, octets).expect("a place for files");
    check(Settings::parse(["server".into(), "--config".into(), path.into_os_string()]))
}

fn check(parsed: Result<Settings, SettingsError>) -> Result<Settings, SettingsError> {
    if let Ok(settings) = &parsed {
        let limits = settings.limits;
        assert!(limits.body_octets > 0 && limits.subscriptions_per_user > 0 && limits.channels_per_user > 0);
        assert!(limits.publishes_per_second > 0 && limits.connections > 0);
        assert!((1..=3600).contains(&settings.sending.term.as_secs()));
        assert!(settings.sending.prune_percent <= 100);
        assert!(settings.auth.basic.is_some() || settings.auth.bearer.is_some());
    }
    parsed
}
