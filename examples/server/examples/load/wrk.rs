//! `wrk`, and what it says.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use tokio::process::Command;
use webpush_channels::testing::{PushService, UserAgent};

use super::{Options, Result};

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Registrations,
    Reads,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Registrations => "registrations",
            Self::Reads => "reads",
        })
    }
}

/// Times in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figures {
    pub(super) per_second: f64,
    pub(super) median: f64,
    /// 90 %.
    pub(super) most: f64,
    /// 99 %.
    pub(super) nearly_all: f64,
    pub(super) longest: f64,
    /// Statuses above 399, time-outs, connections.
    failures: [u64; 3],
}

impl Figures {
    pub(super) fn failed(&self) -> u64 {
        self.failures.iter().sum()
    }

    #[allow(clippy::cast_precision_loss, reason = "counts and times here are far below 2^52")]
    fn parse(output: &str) -> Option<Self> {
        let line = output.lines().find_map(|line| line.strip_prefix("result "))?;
        let numbers: Vec<u64> =
            line.split(' ').map(str::parse).collect::<std::result::Result<_, _>>().ok()?;
        let [requests, took, median, most, nearly_all, longest, status, late, lost] = numbers[..] else {
            return None;
        };
        let millis = |micros: u64| micros as f64 / 1e3;
        Some(Self {
            per_second: requests as f64 / Duration::from_micros(took).as_secs_f64(),
            median: millis(median),
            most: millis(most),
            nearly_all: millis(nearly_all),
            longest: millis(longest),
            failures: [status, late, lost],
        })
    }
}

/// Sends for so many seconds.
pub(super) async fn run(
    options: &Options,
    base: &str,
    push: &PushService,
    kind: Kind,
    sending: bool,
) -> Result<Figures> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/load/requests.lua");
    // Its keys are as good as any; the endpoints are made up.
    let subscription = serde_json::to_value(push.subscribe(&UserAgent::seeded(1)))?;
    let key = |name: &str| subscription["keys"][name].as_str().unwrap_or_default().to_owned();
    let mut command = Command::new("wrk");
    command.args(["--threads", "1", "--timeout", "10s", "--connections", &options.connections.to_string()]);
    command.args(["--duration", &format!("{}s", options.seconds), "--script"]).arg(script);
    let name = if sending { "busy" } else { "quiet" };
    command.args([base, "--", &kind.to_string(), name, push.origin().as_str(), &key("p256dh"), &key("auth")]);
    let output = command.output().await?;
    let said = String::from_utf8_lossy(&output.stdout);
    Figures::parse(&said).ok_or_else(|| {
        format!("wrk ended with {}: {said}{}", output.status, String::from_utf8_lossy(&output.stderr)).into()
    })
}
