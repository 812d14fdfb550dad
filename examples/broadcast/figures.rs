//! What the broadcast cost, and whether it did what it should.

use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use webpush_channels::{OutcomeKind, Report};

use super::Options;
use super::push_service::is_dead;

/// What this process used, as Linux counts it.
#[derive(Debug)]
pub(super) struct Usage {
    at: Instant,
    cpu: Option<Duration>,
}

impl Usage {
    #[allow(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]
    pub(super) fn now() -> Self {
        Self { at: Instant::now(), cpu: cpu_time() }
    }

    pub(super) fn since(&self, earlier: &Self) -> Used {
        Used {
            wall: self.at - earlier.at,
            cpu: self.cpu.zip(earlier.cpu).map(|(now, then)| now.saturating_sub(then)),
            peak_rss: peak_rss(),
        }
    }
}

/// The difference of two [`Usage`]s.
#[derive(Debug)]
pub(super) struct Used {
    wall: Duration,
    cpu: Option<Duration>,
    peak_rss: Option<u64>,
}

/// User and system time of this process: fields 14 and 15 of `/proc/self/stat`, in ticks of 10 ms.
fn cpu_time() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

fn peak_rss() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// The figures of one run.
#[derive(Debug)]
pub(super) struct Figures {
    subscriptions: u64,
    live: u64,
    accepted: u64,
    decrypted: u64,
    mismatched: u64,
    violations: u64,
    pruned: u64,
    attempts: u64,
    used: Used,
}

impl Figures {
    pub(super) fn new(options: &Options, report: &Report, peer: &Value, used: Used) -> Self {
        let count = |name: &str| peer[name].as_u64().unwrap_or(0);
        Self {
            subscriptions: report.read,
            live: (0..options.subscribers).filter(|number| !is_dead(*number)).count() as u64,
            accepted: report.counts[OutcomeKind::Accepted],
            decrypted: count("decrypted"),
            mismatched: count("mismatched"),
            violations: count("violations"),
            pruned: report.pruned,
            attempts: report.attempts,
            used,
        }
    }

    /// Every live subscription was accepted and decrypted as sent, every dead one was pruned.
    pub(super) fn hold(&self) -> bool {
        self.accepted == self.live
            && self.decrypted == self.live
            && self.mismatched == 0
            && self.violations == 0
            && self.pruned == self.subscriptions - self.live
    }

    #[allow(clippy::cast_precision_loss, reason = "for people")]
    fn per_second(&self) -> f64 {
        self.attempts as f64 / self.used.wall.as_secs_f64()
    }

    #[allow(clippy::cast_precision_loss, reason = "for people")]
    fn cpu_us_per_push(&self) -> Option<f64> {
        let cpu = self.used.cpu?;
        Some(cpu.as_secs_f64() * 1e6 / self.attempts.max(1) as f64)
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "subscriptions": self.subscriptions,
            "accepted": self.accepted,
            "decrypted": self.decrypted,
            "mismatched": self.mismatched,
            "pruned": self.pruned,
            "seconds": self.used.wall.as_secs_f64(),
            "pushes_per_second": self.per_second(),
            "cpu_us_per_push": self.cpu_us_per_push(),
            "peak_rss_bytes": self.used.peak_rss,
        })
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "decrypted and compared by the receivers: {}, different: {}",
            self.decrypted, self.mismatched
        )?;
        write!(f, "{:.0} pushes/s", self.per_second())?;
        if let Some(cpu) = self.cpu_us_per_push() {
            write!(f, ", {cpu:.1} us of the sender's CPU each")?;
        }
        if let Some(peak) = self.used.peak_rss {
            write!(f, ", peak memory {} MiB", peak >> 20)?;
        }
        if !self.hold() {
            write!(f, "\nsomething is wrong: {self:?}")?;
        }
        Ok(())
    }
}
