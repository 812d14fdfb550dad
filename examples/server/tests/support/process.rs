//! The real binary as a process.

#![allow(dead_code, unreachable_pub, reason = "a part of the tests that use it")]

use std::ffi::OsStr;
use std::path::Path;
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use webpush_channels::BroadcastId;
use webpush_channels_server::auth::Basic;

/// Long enough for a slow machine; only a failure waits for it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The binary, quiet, and with nothing of this process's environment that is its own.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webpush-channels-server"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("WEBPUSH_CHANNELS_") {
            command.env_remove(name);
        }
    }
    command.env("WEBPUSH_CHANNELS_LOG", "error").stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Who may publish everywhere, `user:password`.
const PUBLISHER: &str = "publisher:secret";

fn publisher() -> String {
    format!("{}=*", Basic::new("").user_id(PUBLISHER))
}

/// A server that listens. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// `http://127.0.0.1:PORT`
    pub base: String,
}

impl Server {
    /// On a free port, with its data in `data`, and a publisher for all channels.
    pub async fn start<S: AsRef<OsStr>>(data: &Path, flags: impl IntoIterator<Item = S>) -> Self {
        let mut command = command();
        command.args(["--listen", "127.0.0.1:0", "--allow-loopback-endpoints", "--data-dir"]).arg(data);
        command.args(["--publisher", &publisher()]).args(flags);
        Self::of(command).await
    }

    /// Waits for the line that says where it listens.
    pub async fn of(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.as_mut().unwrap());
        let read = tokio::time::timeout(PATIENCE, output.read_line(&mut line));
        read.await.expect("it starts within a minute").unwrap();
        let url = line.trim_end().strip_prefix("listening on ");
        let base = url.unwrap_or_else(|| panic!("it does not listen: {line:?}")).trim_end_matches('/');
        let base = base.to_owned();
        Self { child, base }
    }

    /// Publishes, with an hour to live, and says the broadcast's id.
    pub async fn publish(&self, channel: &str) -> BroadcastId {
        let (user, password) = PUBLISHER.split_once(':').unwrap();
        let request = reqwest::Client::new().post(format!("{}/v0/channels/{channel}", self.base));
        let request = request.basic_auth(user, Some(password)).header("TTL", "3600");
        let response = request.body(r#"{"data":{"n":1}}"#).send().await.unwrap();
        assert_eq!(response.status(), 202);
        let location = response.headers()["location"].to_str().unwrap();
        location.rsplit_once('/').unwrap().1.parse().unwrap()
    }

    /// How it ends by itself.
    pub async fn end(mut self) -> ExitStatus {
        tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it ends").unwrap()
    }

    /// SIGTERM, and how it ended.
    pub async fn terminate(self) -> ExitStatus {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = std::process::Command::new("sh").arg("-c").arg(format!("kill -TERM {pid}")).status();
        assert!(sent.unwrap().success());
        self.end().await
    }

    /// SIGKILL.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

/// Runs the binary to its end.
pub async fn run(mut command: Command) -> Output {
    tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends").unwrap()
}
