//! How long a publisher waits for the answer to a POST to a large channel, over HTTP on the loopback.
//!
//!     cargo bench -p webpush-channels-server --bench publish -- --engine sqlite      # needs no database server
//!     scripts/postgres run cargo bench -p webpush-channels-server --bench publish
//!     cargo bench -p webpush-channels-server --bench publish -- --smoke              # does everything run?
//!
//! Times are elapsed times, so that only those of a quiet machine say something. docs/benchmarks.md says more.

use std::error::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use reqwest::{Client, RequestBuilder};
use tokio::time::Instant;
use webpush_channels::store::journal::Journal;
use webpush_channels::store::{NewEntry, PostgresStore, SqliteStore};
use webpush_channels::testing::{PushService, UserAgent};
use webpush_channels::{ChannelName, UserId};
use webpush_channels_server::auth::Basic;
use webpush_channels_server::{Service, Settings};

#[path = "../../../benches/budgets/table.rs"]
mod table;
#[path = "../../../benches/budgets/usage.rs"]
mod usage;

use table::{Row, Table, median};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The private server of `scripts/postgres run`.
const POSTGRES: &str = "WEBPUSH_CHANNELS_TEST_POSTGRES";
const PUBLISHER: (&str, &str) = ("publisher", "secret");
/// Milliseconds that an answer may take.
const BUDGET: f64 = 20.0;
/// Phone and laptop.
const DEVICES: usize = 2;
const BATCH: usize = 1000;
/// What a push service takes for an answer.
const LATENCY: Duration = Duration::from_millis(20);

/// How much of everything.
#[derive(Debug, Parser)]
struct Options {
    /// The channel's subscriptions
    #[arg(long, default_value_t = 100_000)]
    subscriptions: usize,
    /// How many POSTs are measured
    #[arg(long, default_value_t = 200)]
    posts: usize,
    /// sqlite or postgres alone
    #[arg(long)]
    engine: Option<String>,
    /// Tiny sizes
    #[arg(long, alias = "test")]
    smoke: bool,
    /// Cargo says so
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let mut options = Options::parse();
    // Without `--bench`, cargo only tests whether benches run.
    options.smoke |= !options.bench;
    if options.smoke {
        (options.subscriptions, options.posts) = (options.subscriptions.min(1000), 3);
    }
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("publish: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut measured = false;
    for engine in ["sqlite", "postgres"] {
        if options.engine.as_deref().is_some_and(|only| only != engine) {
            continue;
        }
        measured = true;
        let url = match (engine, std::env::var(POSTGRES)) {
            ("sqlite", _) => None,
            (_, Ok(url)) => Some(url),
            (_, Err(_)) if options.engine.is_none() => {
                println!("PostgreSQL is left out: {POSTGRES} is not set, see scripts/postgres");
                continue;
            }
            (_, Err(_)) => return Err(format!("{POSTGRES} is not set: run this by scripts/postgres").into()),
        };
        let rows = runtime.block_on(measure(options, url.as_deref()))?;
        println!("{engine}:\n\n{}", Table(rows));
    }
    if !measured {
        return Err("no such engine: sqlite or postgres".into());
    }
    println!("{}", usage::machine());
    if options.smoke {
        println!("smoke run: tiny sizes, the figures mean nothing");
    }
    Ok(())
}

async fn measure(options: &Options, url: Option<&str>) -> Result<Vec<Row>> {
    let data = directory()?;
    let push = PushService::builder().latency(LATENCY).decrypt(false).keep_payloads(false).start().await?;
    let store: Arc<dyn Journal> = match url {
        None => Arc::new(SqliteStore::open(data.join("push.sqlite")).await?),
        Some(url) => Arc::new(PostgresStore::connect(url).await?),
    };
    eprintln!("{} subscriptions are written", options.subscriptions);
    fill(&*store, &push, options.subscriptions).await?;
    // A store that is open beside the service's would share its file's locks.
    drop(store);
    let mut rows = Vec::new();
    eprintln!("{} publications, and nobody sends them", options.posts);
    let quiet = Publisher::start(&data, url, &["--worker", "false"]).await?;
    let [middle, most] = middle_and_most(quiet.posts(options.posts).await?);
    rows.push(Row::plain("POST to a channel, median", "-".into(), middle, BUDGET, " ms"));
    rows.push(Row::plain("POST to a channel, the longest", "-".into(), most, BUDGET, " ms"));
    quiet.service.shutdown().await?;
    eprintln!("{} publications while a broadcast is sent", options.posts);
    let busy = Publisher::start(&data, url, &[]).await?;
    let times = busy.posts_while_sending(options.posts, &push).await?;
    let [middle, most] = middle_and_most(times);
    rows.push(Row::told("the same while a broadcast is sent, median", "-".into(), middle, " ms"));
    rows.push(Row::told("the longest then", "-".into(), most, " ms"));
    busy.service.shutdown().await?;
    Ok(rows)
}

fn middle_and_most(times: Vec<f64>) -> [f64; 2] {
    let most = times.iter().copied().fold(0.0, f64::max);
    [median(times), most]
}

/// Below target/, so that it lies on a disk; emptied first.
fn directory() -> Result<PathBuf> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("publish");
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory)?;
    Ok(directory)
}

/// Two subscriptions a user, all users in one channel. Browsers share a few keys: making them takes long.
async fn fill(store: &dyn Journal, push: &PushService, count: usize) -> Result<()> {
    let agents: Vec<_> = (0..64).map(UserAgent::seeded).collect();
    for from in (0..count).step_by(BATCH) {
        let mut entries = Vec::new();
        for n in from..count.min(from + BATCH) {
            let user = UserId::new(format!("user-{}", n / DEVICES))?;
            entries.push(NewEntry::new(user, push.subscribe(&agents[n % agents.len()])));
        }
        let mut users: Vec<_> = entries.iter().map(|entry| entry.user.clone()).collect();
        users.dedup();
        store.put(&entries).await?;
        store.join(&ChannelName::new("news")?, &users).await?;
    }
    Ok(())
}

/// A service, and who publishes to it.
struct Publisher {
    service: Service,
    client: Client,
}

impl Publisher {
    async fn start(data: &Path, url: Option<&str>, flags: &[&str]) -> Result<Self> {
        let grant = format!("{}=*", Basic::new("").user_id("publisher:secret"));
        let mut arguments: Vec<OsString> =
            ["server", "--listen", "127.0.0.1:0", "--allow-loopback-endpoints"].map(Into::into).into();
        arguments.extend(["--publishes-per-second", "1000000", "--publisher", &grant].map(Into::into));
        arguments.extend(["--data-dir".into(), data.into()]);
        arguments.extend(url.iter().flat_map(|url| ["--database-url", url]).map(Into::into));
        arguments.extend(flags.iter().map(Into::into));
        let service = Service::start(Settings::parse(arguments)?).await?;
        Ok(Self { service, client: Client::new() })
    }

    /// One publication, and where its broadcast is.
    async fn publish(&self) -> Result<String> {
        let url = format!("{}v0/channels/news", self.service.url());
        let request = signed(self.client.post(url)).header("TTL", "3600");
        let response = request.body(r#"{"data":{"title":"hello","body":"world"}}"#).send().await?;
        let status = response.status();
        let location = response.headers().get("location").and_then(|location| location.to_str().ok());
        location.map(str::to_owned).ok_or_else(|| format!("it was answered {status}").into())
    }

    async fn abort(&self, broadcast: &str) -> Result<()> {
        signed(self.client.delete(broadcast)).send().await?.error_for_status()?;
        Ok(())
    }

    /// The milliseconds of each. They are aborted at once.
    async fn posts(&self, posts: usize) -> Result<Vec<f64>> {
        // The connection is not what is measured.
        self.abort(&self.publish().await?).await?;
        let mut times = Vec::new();
        for _ in 0..posts {
            times.push(self.post().await?);
        }
        Ok(times)
    }

    async fn post(&self) -> Result<f64> {
        let began = Instant::now();
        let broadcast = self.publish().await?;
        let took = began.elapsed();
        self.abort(&broadcast).await?;
        Ok(took.as_secs_f64() * 1e3)
    }

    /// The same, each of them while pushes of another broadcast are in flight.
    async fn posts_while_sending(&self, posts: usize, push: &PushService) -> Result<Vec<f64>> {
        let mut times = Vec::new();
        let mut running = self.publish().await?;
        while times.len() < posts {
            if self.has_ended(&running).await? {
                running = self.publish().await?;
            }
            push.wait_for(|counters| counters.in_flight > 0).await;
            times.push(self.post().await?);
        }
        self.abort(&running).await?;
        Ok(times)
    }

    async fn has_ended(&self, broadcast: &str) -> Result<bool> {
        let text = signed(self.client.get(broadcast)).send().await?.text().await?;
        let report: serde_json::Value = serde_json::from_str(&text)?;
        Ok(report["data"]["state"] != "running")
    }
}

fn signed(request: RequestBuilder) -> RequestBuilder {
    request.basic_auth(PUBLISHER.0, Some(PUBLISHER.1))
}
