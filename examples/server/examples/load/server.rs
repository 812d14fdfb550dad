//! The service's process, and what it is published with.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use reqwest::{Client, RequestBuilder, Url};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use webpush_channels::store::journal::Journal;
use webpush_channels::store::{NewEntry, PostgresStore, SqliteStore};
use webpush_channels::testing::{PushService, UserAgent};
use webpush_channels::{ChannelName, UserId};
use webpush_channels_server::auth::Basic;

use super::{Options, Result};

/// Who may publish, `user:password`.
const PUBLISHER: (&str, &str) = ("publisher", "load");
/// Members who come back to read.
const READERS: u64 = 64;
const BATCH: u64 = 1000;

/// Killed when it is dropped.
#[derive(Debug)]
pub(super) struct Server {
    process: Child,
    /// `http://127.0.0.1:PORT/`
    pub(super) base: String,
    client: Client,
    _data: tempfile::TempDir,
}

impl Server {
    /// With a channel of so many members.
    pub(super) async fn start(options: &Options, push: &PushService) -> Result<Self> {
        let data = tempfile::tempdir()?;
        let store: Arc<dyn Journal> = match &options.database_url {
            None => Arc::new(SqliteStore::open(data.path().join("push.sqlite")).await?),
            Some(url) => Arc::new(PostgresStore::connect(url).await?),
        };
        fill(&*store, push, options.members).await?;
        let mut process = command(options, data.path()).spawn()?;
        let mut line = String::new();
        let output = process.stdout.as_mut().ok_or("its output is read here")?;
        BufReader::new(output).read_line(&mut line).await?;
        let base =
            line.trim_end().strip_prefix("listening on ").ok_or("the service did not start")?.to_owned();
        Ok(Self { process, base, client: Client::new(), _data: data })
    }

    /// Publishes to all members, and says where the broadcast is.
    pub(super) async fn publish(&self) -> Result<Url> {
        let request = self.client.post(format!("{}v0/channels/news", self.base)).header("TTL", "3600");
        let request = signed(request).body(r#"{"data":{"title":"hello","body":"world"}}"#);
        let response = request.send().await?.error_for_status()?;
        let location = response.headers().get("location").ok_or("no broadcast")?;
        Ok(location.to_str()?.parse()?)
    }

    pub(super) async fn has_ended(&self, broadcast: &Url) -> Result<bool> {
        let response = signed(self.client.get(broadcast.clone())).send().await?.error_for_status()?;
        let report: serde_json::Value = serde_json::from_str(&response.text().await?)?;
        Ok(report["data"]["state"] != "running")
    }

    pub(super) async fn abort(&self, broadcast: &Url) -> Result<()> {
        signed(self.client.delete(broadcast.clone())).send().await?.error_for_status()?;
        Ok(())
    }

    /// Measures the peak from now on.
    pub(super) fn forget_peak(&self) -> Result<()> {
        let pid = self.process.id().ok_or("the service has ended")?;
        Ok(std::fs::write(format!("/proc/{pid}/clear_refs"), "5")?)
    }

    /// The most memory that was resident, in octets.
    pub(super) fn peak_memory(&self) -> Result<u64> {
        let pid = self.process.id().ok_or("the service has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024)
    }
}

fn signed(request: RequestBuilder) -> RequestBuilder {
    request.basic_auth(PUBLISHER.0, Some(PUBLISHER.1))
}

fn command(options: &Options, data: &Path) -> Command {
    let mut command = Command::new(&options.server);
    command.args(["--listen", "127.0.0.1:0", "--allow-loopback-endpoints", "--log", "warn"]);
    command.args(["--contact", "mailto:load@example.org", "--data-dir"]).arg(data);
    command
        .args(["--publisher", Basic::new("").user_id(&format!("{}:{}", PUBLISHER.0, PUBLISHER.1)).as_str()]);
    if let Some(url) = &options.database_url {
        command.args(["--database-url", url]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    command
}

/// Members with one subscription each. Browsers share a few keys: making them takes long.
async fn fill(store: &dyn Journal, push: &PushService, members: u64) -> Result<()> {
    let agents: Vec<_> = (0..READERS).map(UserAgent::seeded).collect();
    let mut from = 0;
    while from < members {
        let (mut entries, mut users) = (Vec::new(), Vec::new());
        for (n, agent) in (from..members.min(from + BATCH)).zip(agents.iter().cycle()) {
            let user = member(n)?;
            entries.push(NewEntry::new(user.clone(), push.subscribe(agent)));
            users.push(user);
        }
        store.put(&entries).await?;
        store.join(&ChannelName::new("news")?, &users).await?;
        from += BATCH;
    }
    Ok(())
}

/// The first few are those whose requests `requests.lua` sends.
fn member(n: u64) -> Result<UserId> {
    if n < READERS {
        return Ok(Basic::new("").user_id(&format!("reader-{n}:load")));
    }
    Ok(UserId::new(format!("member-{n}"))?)
}
