//! The processes under test: two servers and two workers on one database.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::Result;
use crate::options::Options;
use crate::shared::lock;

/// After so many seconds another worker takes over.
pub(crate) const TERM: u64 = 5;
const IN_FLIGHT: &str = "64";
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// `webpush-channels-server`.
    Server,
    /// `examples/worker`.
    Worker,
}

/// What every node is started with.
#[derive(Debug)]
pub(crate) struct Setup {
    /// Database, VAPID key, logs.
    pub(crate) directory: PathBuf,
    /// Without one, the file in the directory.
    pub(crate) postgres: Option<String>,
    /// Certificates of the push services.
    pub(crate) authorities: PathBuf,
    /// The user id of who may publish.
    pub(crate) publisher: String,
}

/// The file that servers keep in their directory.
pub(crate) const FILE: &str = "push.sqlite";

impl Setup {
    fn command(&self, role: Role) -> Result<Command> {
        let mut command = Command::new(Options::programme(match role {
            Role::Server => "webpush-channels-server",
            Role::Worker => "examples/worker",
        })?);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("WEBPUSH_CHANNELS_") {
                command.env_remove(name);
            }
        }
        match role {
            Role::Server => self.server(&mut command),
            Role::Worker => self.worker(&mut command),
        }
        command.args(["--in-flight", IN_FLIGHT, "--term", &TERM.to_string()]);
        command.args(["--contact", "mailto:soak@example.org"]);
        command.stdin(Stdio::null()).kill_on_drop(true);
        Ok(command)
    }

    /// The database's URL has a password: it is no argument, which everybody could read.
    fn server(&self, command: &mut Command) {
        command.args(["--listen", "127.0.0.1:0", "--allow-loopback-endpoints", "--log", "warn"]);
        command.arg("--data-dir").arg(&self.directory).arg("--extra-ca").arg(&self.authorities);
        command.args(["--publisher", &format!("{}=*", self.publisher)]);
        if let Some(url) = &self.postgres {
            command.env("WEBPUSH_CHANNELS_DATABASE_URL", url);
        }
        command.stdout(Stdio::piped());
    }

    fn worker(&self, command: &mut Command) {
        command.args(["run", "--allow-loopback", "--vapid-key"]).arg(self.directory.join("vapid.pem"));
        command.arg("--ca").arg(&self.authorities).args(["--window", "64"]).stdout(Stdio::null());
        let url = || format!("sqlite:{}", self.directory.join(FILE).display());
        command.env("DATABASE_URL", self.postgres.clone().unwrap_or_else(url));
    }
}

/// One of them, whatever process it is now.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) name: &'static str,
    role: Role,
    /// It is never killed, so that its memory tells something.
    pub(crate) lasts: bool,
    process: tokio::sync::Mutex<Option<Child>>,
    pid: Mutex<Option<u32>>,
    base: Mutex<Option<String>>,
}

impl Node {
    const fn new(name: &'static str, role: Role, lasts: bool) -> Self {
        Self {
            name,
            role,
            lasts,
            process: tokio::sync::Mutex::const_new(None),
            pid: Mutex::new(None),
            base: Mutex::new(None),
        }
    }

    /// The process, if there is one.
    pub(crate) fn pid(&self) -> Option<u32> {
        *lock(&self.pid)
    }

    /// `http://127.0.0.1:PORT`, of a server that runs.
    pub(crate) fn base(&self) -> Option<String> {
        lock(&self.base).clone()
    }

    fn log(&self, directory: &Path) -> PathBuf {
        directory.join(format!("{}.log", self.name))
    }

    pub(crate) async fn start(&self, setup: &Setup) -> Result<()> {
        let mut slot = self.process.lock().await;
        let log = File::options().create(true).append(true).open(self.log(&setup.directory))?;
        let mut process = setup.command(self.role)?.stderr(log).spawn()?;
        *lock(&self.pid) = process.id();
        if self.role == Role::Server {
            let mut line = String::new();
            let mut output = BufReader::new(process.stdout.as_mut().ok_or("its output is read here")?);
            tokio::time::timeout(PATIENCE, output.read_line(&mut line)).await??;
            let url = line.trim_end().strip_prefix("listening on ");
            let url = url.ok_or_else(|| format!("the {} does not start", self.name))?;
            *lock(&self.base) = Some(url.trim_end_matches('/').to_owned());
        }
        *slot = Some(process);
        Ok(())
    }

    /// SIGKILL.
    pub(crate) async fn kill(&self) -> Result<()> {
        let Some(mut process) = self.take().await else { return Ok(()) };
        self.alive(&mut process)?;
        Ok(process.kill().await?)
    }

    /// SIGTERM, which it obeys by itself.
    pub(crate) async fn terminate(&self) -> Result<()> {
        self.signal("TERM")?;
        let Some(mut process) = self.take().await else { return Ok(()) };
        let ended = tokio::time::timeout(PATIENCE, process.wait()).await;
        let status: ExitStatus =
            ended.map_err(|_| format!("the {} does not end at SIGTERM", self.name))??;
        if status.success() { Ok(()) } else { Err(format!("the {} ended with {status}", self.name).into()) }
    }

    /// No client turns to it any more.
    async fn take(&self) -> Option<Child> {
        *lock(&self.base) = None;
        *lock(&self.pid) = None;
        self.process.lock().await.take()
    }

    /// Sends a signal by the shell, which has it built in everywhere.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        let Some(pid) = self.pid() else { return Ok(()) };
        let sent = std::process::Command::new("sh").arg("-c").arg(format!("kill -{name} {pid}")).status()?;
        if sent.success() { Ok(()) } else { Err(format!("no signal {name} for the {}", self.name).into()) }
    }

    /// Whether it has not ended by itself.
    pub(crate) async fn check(&self) -> Result<()> {
        match &mut *self.process.lock().await {
            Some(process) => self.alive(process),
            None => Ok(()),
        }
    }

    fn alive(&self, process: &mut Child) -> Result<()> {
        match process.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!("the {} ended by itself with {status}", self.name).into()),
        }
    }
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Nodes {
    pub(crate) setup: Setup,
    pub(crate) all: [Node; 4],
}

impl Nodes {
    /// Starts them. The first makes the database and the key.
    pub(crate) async fn start(setup: Setup) -> Result<Self> {
        let all = [
            Node::new("first server", Role::Server, true),
            Node::new("second server", Role::Server, false),
            Node::new("first worker", Role::Worker, true),
            Node::new("second worker", Role::Worker, false),
        ];
        for node in &all {
            node.start(&setup).await?;
        }
        Ok(Self { setup, all })
    }

    /// Servers that clients can turn to.
    pub(crate) fn bases(&self) -> Vec<String> {
        self.all.iter().filter_map(Node::base).collect()
    }

    /// The last lines of each log, for whoever looks for the reason of something.
    pub(crate) fn last_words(&self) -> Result<String> {
        const LINES: usize = 20;
        let mut words = String::new();
        for node in &self.all {
            let log = fs::read_to_string(node.log(&self.setup.directory))?;
            let lines: Vec<_> = log.lines().rev().take(LINES).collect();
            let lines = lines.into_iter().rev().collect::<Vec<_>>().join("\n");
            let _ = writeln!(words, "log of the {}:\n{lines}", node.name);
        }
        Ok(words)
    }

    /// Lines of the logs that tell of a panic.
    pub(crate) fn panics(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for node in &self.all {
            let log = fs::read_to_string(node.log(&self.setup.directory))?;
            found.extend(log.lines().filter(|line| line.contains("panicked")).map(str::to_owned));
        }
        Ok(found)
    }
}
