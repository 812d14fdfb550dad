//! A node: this programme, started again.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use super::database::Database;
use super::setting::{IN_FLIGHT, TERM, WINDOW};

/// The first argument of a node.
pub const ROLE: &str = "as-a-node";

/// A running node. Killed when it is dropped.
pub struct Node {
    process: Child,
    log: PathBuf,
}

impl Node {
    /// The `number`th of a test, which keeps its key and log in a directory.
    pub fn start(database: &Database, directory: &Path, number: usize) -> Self {
        let log = directory.join(format!("node-{number}.log"));
        let process = Command::new(std::env::current_exe().unwrap())
            .args([ROLE, "run", "--contact", "mailto:ops@example.org", "--allow-loopback", "--vapid-key"])
            .arg(directory.join("vapid.pem"))
            .args(["--window", &WINDOW.to_string(), "--in-flight", &IN_FLIGHT.to_string()])
            .args(["--term", &TERM.as_secs().to_string()])
            .env("DATABASE_URL", database.url())
            .stdin(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { process, log }
    }

    /// SIGKILL.
    pub async fn kill(mut self) {
        self.expect_running();
        self.process.kill().await.unwrap();
    }

    /// SIGTERM, which it obeys by itself.
    pub async fn terminate(mut self) {
        self.signal("TERM");
        let ended = tokio::time::timeout(Duration::from_secs(40), self.process.wait()).await;
        let status = ended.unwrap_or_else(|_| panic!("does not end at SIGTERM: {}", self.log())).unwrap();
        assert!(status.success(), "ended with {status}: {}", self.log());
    }

    /// Sends a signal by the shell, which has it built in everywhere.
    pub fn signal(&self, name: &str) {
        let pid = self.process.id().expect("it was not waited for");
        let sent = std::process::Command::new("sh").arg("-c").arg(format!("kill -{name} {pid}")).status();
        assert!(sent.unwrap().success(), "no signal {name} for {pid}");
    }

    pub fn expect_running(&mut self) {
        if let Some(status) = self.process.try_wait().unwrap() {
            panic!("a node ended by itself with {status}: {}", self.log());
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}
