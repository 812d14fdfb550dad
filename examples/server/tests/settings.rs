//! Where settings come from, which of them wins, and what is said about wrong ones.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

#[path = "support/process.rs"]
mod process;

use std::error::Error as _;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;

use process::{Server, command, run};
use tempfile::TempDir;
use webpush_channels_server::settings::{Database, Options};
use webpush_channels_server::{Settings, SettingsError};

fn parse(flags: &[&str]) -> Result<Settings, SettingsError> {
    Settings::parse(std::iter::once("server").chain(flags.iter().copied()).map(OsString::from))
}

/// A settings file, and the flags that name it.
struct File {
    _directory: TempDir,
    path: PathBuf,
}

impl File {
    fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("settings.toml");
        std::fs::write(&path, text).unwrap();
        Self { _directory: directory, path }
    }

    fn parse(&self, flags: &[&str]) -> Result<Settings, SettingsError> {
        parse(&[&["--config", self.path.to_str().unwrap()], flags].concat())
    }
}

/// All that an error says, also to a debugger.
fn said(error: &SettingsError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(text, " {error} {error:?}").unwrap();
        cause = error.source();
    }
    text
}

#[test]
fn nothing_has_to_be_set() {
    let settings = parse(&[]).unwrap();
    assert_eq!(settings.listen.to_string(), "127.0.0.1:9999");
    assert!(matches!(settings.database, Database::Sqlite(path) if path.ends_with("push.sqlite")));
    assert_eq!((settings.limits.body_octets, settings.limits.subscriptions_per_user), (262_144, 64));
    assert_eq!((settings.notices.retry_after, settings.cors_origins), (3, vec!["*".to_owned()]));
    assert!(settings.metrics && settings.sending.worker && !settings.read_only);
    assert!(!settings.sending.allow_loopback_endpoints && settings.auth.bearer.is_none());
}

#[test]
fn a_file_sets_what_flags_do() {
    let file = File::new(
        r#"
        listen = "127.0.0.1:1"
        data_dir = "somewhere"
        database_url = "postgres://ada:secret@localhost/push"
        publishers = ["basicauth:1=news,sport-*", "basicauth:2"]
        auth = ["basic"]
        cors_origins = ["https://a.example", "https://b.example"]
        readonly = true
        metrics = false
        term = 7
        log = "warn"
        "#,
    );
    let settings = file.parse(&[]).unwrap();
    assert_eq!(settings.listen.port(), 1);
    assert_eq!(settings.vapid_key, PathBuf::from("somewhere/vapid.pem"));
    assert!(matches!(settings.database, Database::Postgres(_)));
    assert_eq!(settings.grants.of(&"basicauth:1".parse().unwrap()), ["news", "sport-*"]);
    assert_eq!(settings.grants.of(&"basicauth:2".parse().unwrap()), ["*"]);
    assert_eq!(settings.cors_origins.len(), 2);
    assert!(settings.read_only && !settings.metrics);
    assert_eq!((settings.sending.term.as_secs(), settings.log), (7, tracing::Level::WARN));
}

#[test]
fn a_flag_stands_above_the_file_and_replaces_whole_lists() {
    let file =
        File::new("backoff = 1\nretry_after_seconds = 5\npublishers = ['ada', 'bob']\nreadonly = true\n");
    let flags = ["--backoff", "3", "--publisher", "eve", "--readonly", "false"];
    let settings = file.parse(&flags).unwrap();
    assert_eq!((settings.notices.backoff, settings.notices.retry_after), (Some(3), 5));
    let publishes = |user: &str| !settings.grants.of(&user.parse().unwrap()).is_empty();
    assert!(publishes("eve") && !publishes("ada") && !publishes("bob"));
    assert!(!settings.read_only);
}

#[test]
fn a_flag_names_one_publisher_whatever_is_in_the_name() {
    let settings = parse(&["--publisher", "bearer:ada lovelace=news"]).unwrap();
    let grants = |user: &str| settings.grants.of(&user.parse().unwrap()).to_vec();
    assert_eq!(grants("bearer:ada lovelace"), ["news"]);
    assert!(grants("bearer:ada").is_empty());
}

/// What a server of these settings says in its header.
async fn backoff(file: Option<&File>, variable: Option<&str>, flag: Option<&str>) -> Option<String> {
    let data = tempfile::tempdir().unwrap();
    let mut command = command();
    command.env("WEBPUSH_CHANNELS_LISTEN", "127.0.0.1:0").env("WEBPUSH_CHANNELS_DATA_DIR", data.path());
    if let Some(file) = file {
        command.env("WEBPUSH_CHANNELS_CONFIG", &file.path);
    }
    if let Some(seconds) = variable {
        command.env("WEBPUSH_CHANNELS_BACKOFF", seconds);
    }
    if let Some(seconds) = flag {
        command.args(["--backoff", seconds]);
    }
    let server = Server::of(command).await;
    let response = reqwest::get(format!("{}/v0/__lbheartbeat__", server.base)).await.unwrap();
    response.headers().get("backoff").map(|seconds| seconds.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = File::new("backoff = 1");
    assert_eq!(backoff(None, None, None).await, None);
    assert_eq!(backoff(Some(&file), None, None).await.as_deref(), Some("1"));
    assert_eq!(backoff(Some(&file), Some("2"), None).await.as_deref(), Some("2"));
    assert_eq!(backoff(Some(&file), Some("2"), Some("3")).await.as_deref(), Some("3"));
}

/// Settings with a value that is not usable.
const WRONG: [(&str, &str); 27] = [
    ("auth", "nobody"),
    ("auth", "bearer"),
    ("backoff", "soon"),
    ("body_octets", "-1"),
    ("body_octets", "0"),
    ("channels_per_user", "0"),
    ("connections", "0"),
    ("contact", "mailto:webmaster@localhost"),
    ("database_url", "mysql://ada:hunter2@host/x"),
    ("eos", "2024-02-30"),
    ("in_flight", "0"),
    ("prune_percent", "101"),
    ("prune_percent", "0"),
    ("known_vendors_only", "perhaps"),
    ("listen", "nowhere"),
    ("log", "loud"),
    ("metrics", "perhaps"),
    ("public_url", "ftp://push.example.org"),
    ("public_url", "https://b\u{fc}cher.example"),
    ("publishes_per_second", "0"),
    ("publishes_per_second", "1.5"),
    ("readonly", "perhaps"),
    ("retry_after_seconds", "x"),
    ("subscriptions_per_user", "many"),
    ("term", "0"),
    ("term", "18446744073709551615"),
    ("worker", "perhaps"),
];

#[test]
fn a_wrong_flag_is_named() {
    for (name, value) in WRONG {
        let flag = format!("--{}={value}", name.replace('_', "-"));
        let error = said(&parse(&[&flag]).unwrap_err());
        assert!(error.contains(name) || error.contains(&name.replace('_', "-")), "{flag}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    let error = said(&parse(&["--publisher", "ada=a**"]).unwrap_err());
    assert!(error.contains("publisher") && error.contains("a channel's name"), "{error}");
}

#[test]
fn a_wrong_key_of_the_file_is_named_with_its_line() {
    for (name, value) in WRONG {
        // As the text that the flag has, and bare where that is TOML.
        let quoted = if name == "auth" { format!("['{value}']") } else { format!("'{value}'") };
        let texts = [format!("\n{name} = {quoted}\n"), format!("\n{name} = {value}\n")];
        for text in texts.iter().filter(|text| text.parse::<toml::Table>().is_ok()) {
            let error = said(&File::new(text).parse(&[]).unwrap_err());
            assert!(error.contains(name), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
    for (text, expected) in [
        ("backoff = 1\nhunter = 2\n", "hunter"),
        ("backoff = 1\n\nbackoff = 2\n", "line 3"),
        ("backoff = 1\nterm 30\n", "line 2"),
        ("publishers = [\n  'ada',\n  7,\n]\n", "publishers"),
        ("config = 'another.toml'\n", "config"),
    ] {
        let error = said(&File::new(text).parse(&[]).unwrap_err());
        assert!(error.contains(expected) && error.contains("settings.toml"), "{text}: {error}");
    }
}

#[tokio::test]
async fn a_wrong_variable_is_named_and_the_binary_ends() {
    for (name, value) in WRONG {
        let mut command = command();
        command.env(format!("WEBPUSH_CHANNELS_{}", name.to_uppercase()), value);
        let output = run(command).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && output.stdout.is_empty(), "{name}={value}");
        assert!(said.contains(name) || said.contains(&name.replace('_', "-")), "{name}={value}: {said}");
        assert!(!said.contains("hunter2") && !said.contains("panicked"), "{said}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = said(&parse(&["--config", "/nowhere/settings.toml"]).unwrap_err());
    assert!(error.contains("/nowhere/settings.toml"), "{error}");
}

const SECRETS: [&str; 4] = ["hunter2", "hunter3", "hunter4", "hunter5"];

fn keeps_secrets(text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{text}");
    }
}

#[test]
fn secrets_are_not_shown_to_debuggers() {
    let text = "database_url = 'postgres://ada:hunter2@host/x'\nuserid_hmac_secret = 'hunter3'\n";
    let settings = File::new(text).parse(&[]).unwrap();
    keeps_secrets(&format!("{settings:?} {settings:#?}"));
    assert!(format!("{settings:?}").contains("Postgres"));
    let mut options = Options::default();
    options.database_url = Some("postgres://ada:hunter2@host/x".to_owned());
    options.userid_hmac_secret = Some("hunter3".to_owned());
    keeps_secrets(&format!("{options:?} {options:#?}"));
}

#[test]
fn secrets_are_not_repeated_by_errors() {
    for text in [
        "database_url = ['postgres://ada:hunter2@host/x']",
        "userid_hmac_secret = { key = 'hunter3' }",
        "userid_hmac_secret = hunter3",
        "backoff = 'hunter4'",
        "term = 30\nuserid_hmac_secret = 'hunter3",
        "listen = 'hunter5'",
        "userid_hmac_secret = ['''\nhunter3=\n''']",
        "backoff = '''\nhunter4 = x'''",
    ] {
        keeps_secrets(&said(&File::new(text).parse(&[]).unwrap_err()));
    }
}

#[tokio::test]
async fn help_and_errors_of_the_binary_keep_what_the_environment_holds() {
    for flag in ["--help", "-h", "--nonsense", "--database-url"] {
        let mut command = command();
        command.env("WEBPUSH_CHANNELS_DATABASE_URL", "postgres://ada:hunter2@host/x");
        command.env("WEBPUSH_CHANNELS_USERID_HMAC_SECRET", "hunter3").arg(flag);
        let output = run(command).await;
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(said.contains("webpush-channels-server") || said.contains("--database-url"), "{said}");
        keeps_secrets(&said);
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_opened_is_not_described_by_its_password() {
    let data = tempfile::tempdir().unwrap();
    let mut command = command();
    // The port of a listener that takes no connections any more.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("postgres://ada:hunter2@127.0.0.1:{port}/x?sslmode=disable");
    command.args(["--listen", "127.0.0.1:0", "--database-url", &url, "--log", "trace", "--data-dir"]);
    let output = run({
        command.arg(data.path());
        command
    })
    .await;
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("the database cannot be opened"), "{said}");
    keeps_secrets(&said);
}

#[tokio::test]
async fn a_user_id_is_made_from_what_the_input_says() {
    use tokio::io::AsyncWriteExt as _;
    let mut command = command();
    let file = File::new("userid_hmac_secret = 'pepper'\n");
    command
        .args(["user-id", "--config"])
        .arg(&file.path)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"ada:secret\n").await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    let id = webpush_channels_server::auth::Basic::new("pepper").user_id("ada:secret");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{id}\n"));
}
