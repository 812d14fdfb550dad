//! The service under load: registrations and reads by `wrk`, while broadcasts are sent and while none is.
//!
//! `scripts/load [SECONDS]` builds everything and starts this. It runs the service as a process of its own, and is
//! itself the push service; both and `wrk` share the machine.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Parser;
use tokio::process::Command;
use tokio::time::Instant;
use webpush_channels::testing::PushService;

mod server;
mod wrk;

use server::Server;
use wrk::{Figures, Kind};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// What a push service takes for an answer.
const LATENCY: Duration = Duration::from_millis(20);

#[derive(Debug, Parser)]
struct Options {
    /// Seconds of each of the four runs
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// The members of the channel that is published to, one subscription each
    #[arg(long, default_value_t = 100_000)]
    members: u64,
    /// Connections that send requests
    #[arg(long, default_value_t = 64)]
    connections: u16,
    /// The service's binary
    #[arg(long)]
    server: PathBuf,
    /// postgres://... instead of a file
    #[arg(long)]
    database_url: Option<String>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run(&options))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<()> {
    if Command::new("wrk").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).spawn().is_err() {
        return Err("wrk is not installed (Debian: apt-get install wrk)".into());
    }
    let push = PushService::builder().latency(LATENCY).decrypt(false).keep_payloads(false).start().await?;
    eprintln!("{} members of the channel are written", options.members);
    let server = Arc::new(Server::start(options, &push).await?);
    let mut lines = Vec::new();
    for sending in [false, true] {
        for kind in [Kind::Registrations, Kind::Reads] {
            eprintln!(
                "{kind}{} for {} s",
                if sending { " while broadcasts are sent" } else { "" },
                options.seconds
            );
            lines.push(phase(options, &server, &push, kind, sending).await?);
        }
    }
    println!("| what | requests/s | median | 90 % | 99 % | longest | failed | pushes/s | peak memory |");
    println!("|---|---|---|---|---|---|---|---|---|");
    for line in &lines {
        println!("{line}");
    }
    let failed = lines.iter().any(|line| line.figures.failed() > 0);
    if failed { Err("some requests failed".into()) } else { Ok(()) }
}

/// One run.
struct Line {
    kind: Kind,
    sending: bool,
    figures: Figures,
    pushes_per_second: f64,
    peak: u64,
}

async fn phase(
    options: &Options,
    server: &Arc<Server>,
    push: &PushService,
    kind: Kind,
    sending: bool,
) -> Result<Line> {
    server.forget_peak()?;
    let stop = Arc::new(AtomicBool::new(!sending));
    let broadcasts = tokio::spawn(publish_until(Arc::clone(server), Arc::clone(&stop)));
    if sending {
        push.wait_for(|counters| counters.in_flight > 0).await;
    }
    let (began, before) = (Instant::now(), push.counters().accepted);
    let figures = wrk::run(options, &server.base, push, kind, sending).await?;
    let pushed = push.counters().accepted - before;
    #[allow(clippy::cast_precision_loss, reason = "a rate has no more digits")]
    let pushes_per_second = pushed as f64 / began.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    broadcasts.await??;
    Ok(Line { kind, sending, figures, pushes_per_second, peak: server.peak_memory()? })
}

/// One broadcast after another; the last is aborted.
async fn publish_until(server: Arc<Server>, stop: Arc<AtomicBool>) -> Result<()> {
    while !stop.load(Ordering::Relaxed) {
        let broadcast = server.publish().await?;
        while !server.has_ended(&broadcast).await? {
            if stop.load(Ordering::Relaxed) {
                server.abort(&broadcast).await?;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { per_second, median, most, nearly_all, longest, .. } = self.figures;
        let sending = if self.sending { ", while broadcasts are sent" } else { "" };
        write!(
            f,
            "| {}{sending} | {per_second:.0} | {median:.1} ms | {most:.1} ms | {nearly_all:.1} ms | {longest:.1} ms \
             | {} | {:.0} | {} MiB |",
            self.kind,
            self.figures.failed(),
            self.pushes_per_second,
            self.peak >> 20,
        )
    }
}
