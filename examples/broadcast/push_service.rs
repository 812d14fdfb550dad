//! The other process: a push service and its browsers.

use std::collections::HashSet;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use webpush_channels::Subscription;
use webpush_channels::testing::{Answer, PushService, UserAgent};

use super::{Options, Result};

/// Subscriptions that are gone, by number.
pub(super) fn is_dead(number: usize) -> bool {
    number % 50 == 3
}

fn is_throttled_once(number: usize) -> bool {
    number % 100 == 7
}

/// Runs as the push service: tells its subscriptions, then its counters for each line that it
/// reads, until there is none.
pub(super) async fn serve(options: &Options) -> Result<()> {
    let throttled = Mutex::new(HashSet::new());
    let reached = Arc::new(Mutex::new(HashSet::new()));
    let payload = options.payload();
    let expected = Arc::clone(&reached);
    let service = PushService::builder()
        .tls(options.tls)
        .keep_payloads(false)
        .latency(options.latency)
        .expect(move |number, received| {
            let same = received == Some(&payload);
            if same {
                expected.lock().expect("no panic").insert(number);
            }
            same
        })
        .answer(move |number| match number {
            _ if is_dead(number) => Answer::gone_410(),
            _ if is_throttled_once(number) && throttled.lock().expect("no panic").insert(number) => {
                Answer::throttled(Some(Duration::from_secs(1)))
            }
            _ => Answer::Normal,
        })
        .start()
        .await?;
    let mut out = tokio::io::BufWriter::new(tokio::io::stdout());
    out.write_all(format!("{}\n", serde_json::json!(service.ca_pem())).as_bytes()).await?;
    for number in 0..options.subscribers {
        let subscription = service.subscribe(&UserAgent::seeded(number as u64));
        out.write_all(serde_json::to_string(&subscription)?.as_bytes()).await?;
        out.write_all(b"\n").await?;
    }
    out.flush().await?;
    let mut asked = BufReader::new(tokio::io::stdin()).lines();
    while asked.next_line().await?.is_some() {
        let counters = service.counters();
        let line = serde_json::json!({
            "accepted": counters.accepted,
            "decrypted": counters.decrypted,
            "mismatched": counters.mismatched,
            "reached": reached.lock().expect("no panic").len(),
            "violations": service.violations().len(),
        });
        out.write_all(format!("{line}\n").as_bytes()).await?;
        out.flush().await?;
    }
    Ok(())
}

/// The push service, as the sender's process sees it. Ends when it is dropped.
pub(super) struct Peer {
    _process: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    pub(super) ca_pem: Option<String>,
}

impl Peer {
    pub(super) async fn start(options: &Options) -> Result<(Self, Vec<Subscription>)> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--serve").args(["--subscribers", &options.subscribers.to_string()]);
        command.args(["--payload-size", &options.payload_size.to_string()]);
        command.args(["--latency-ms", &options.latency.as_millis().to_string()]);
        if options.tls {
            command.arg("--tls");
        }
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let stdin = process.stdin.take().ok_or("no standard input")?;
        let mut lines = BufReader::new(process.stdout.take().ok_or("no standard output")?).lines();
        let ca_pem = serde_json::from_str(&next(&mut lines).await?)?;
        let mut subscriptions = Vec::with_capacity(options.subscribers);
        for _ in 0..options.subscribers {
            subscriptions.push(Subscription::from_json(next(&mut lines).await?)?);
        }
        Ok((Self { _process: process, stdin, lines, ca_pem }, subscriptions))
    }

    /// What the push service counted.
    pub(super) async fn counters(&mut self) -> Result<serde_json::Value> {
        self.stdin.write_all(b"counters\n").await?;
        Ok(serde_json::from_str(&next(&mut self.lines).await?)?)
    }
}

async fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> Result<String> {
    Ok(lines.next_line().await?.ok_or("the push service ended early")?)
}
