//! A server of one test's own, which can crash and come back.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio_postgres::Client;
use webpush_channels::store::PostgresStore;

use crate::postgres::SERVER;

pub struct Server {
    /// `scripts/postgres`, which removes the server when our end of its standard input is closed, also when this
    /// process is killed.
    keeper: Child,
    url: String,
    directory: PathBuf,
    programs: PathBuf,
}

impl Server {
    pub async fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/postgres");
        let found = Command::new(&script).arg("find").output().await.unwrap();
        let programs = PathBuf::from(String::from_utf8(found.stdout).unwrap().trim());
        let say = format!("echo \"${SERVER}\"; echo \"${SERVER}_CA\"; cat >/dev/null");
        let mut keeper = Command::new(&script)
            .args(["run", "--fast", "sh", "-c", &say])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(keeper.stdout.take().unwrap()).lines();
        let url = said.next_line().await.unwrap().expect("the server starts");
        let authority = PathBuf::from(said.next_line().await.unwrap().unwrap());
        let directory = authority.parent().unwrap().to_owned();
        let server = Self { keeper, url, directory, programs };
        // What it has acknowledged survives its crash.
        let client = server.client().await;
        client.batch_execute("ALTER SYSTEM SET synchronous_commit = on").await.unwrap();
        client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        server
    }

    pub async fn store(&self) -> Arc<PostgresStore> {
        Arc::new(PostgresStore::builder().url(&self.url).max_connections(4).connect().await.unwrap())
    }

    pub async fn client(&self) -> Client {
        crate::postgres::client(&self.url).await
    }

    /// Ends it at once, as a crash would.
    pub async fn crash(&self) {
        self.control(&["stop", "--mode", "immediate"]).await;
    }

    /// Starts it again, at the same port.
    pub async fn recover(&self) {
        let port = std::fs::read_to_string(self.directory.join("port")).unwrap();
        let log = self.directory.join("log").display().to_string();
        self.control(&["start", "--log", &log, "--options", &format!("-p {}", port.trim())]).await;
    }

    /// By the user that owns its files: it refuses to run as root.
    async fn control(&self, arguments: &[&str]) {
        let data = self.directory.join("data");
        let owner = std::fs::metadata(&data).unwrap();
        let mut control = Command::new(self.programs.join("pg_ctl"));
        control.args(arguments).args(["--silent", "--wait", "--pgdata"]).arg(&data);
        control.current_dir(&self.directory).uid(owner.uid()).gid(owner.gid());
        control.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(control.status().await.unwrap().success(), "{arguments:?}");
    }

    /// Removes it.
    pub async fn remove(mut self) {
        drop(self.keeper.stdin.take());
        assert!(self.keeper.wait().await.unwrap().success());
        assert!(!self.directory.exists());
    }
}
