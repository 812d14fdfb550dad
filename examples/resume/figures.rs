//! What arrived, and what was promised.

use std::fmt;

use serde_json::{Value, json};
use webpush_channels::Report;

use super::push_service::is_dead;
use super::{Options, worker};

/// The figures of one run.
#[derive(Debug)]
pub(super) struct Figures {
    live: u64,
    before: u64,
    after: u64,
    reached: u64,
    duplicates: u64,
    /// The most duplicates that are promised.
    bound: u64,
    wrong: u64,
    report: Report,
}

impl Figures {
    pub(super) fn new(options: &Options, before: u64, peer: &Value, report: &Report) -> Self {
        let count = |name: &str| peer[name].as_u64().unwrap_or(0);
        let (arrived, reached) = (count("decrypted"), count("reached"));
        let in_hand = (worker::WINDOW + worker::IN_FLIGHT) as u64;
        Self {
            live: (0..options.subscribers).filter(|number| !is_dead(*number)).count() as u64,
            before,
            after: arrived - before,
            reached,
            duplicates: arrived - reached,
            bound: in_hand * report.takeovers + report.repeats,
            wrong: count("mismatched") + count("violations"),
            report: report.clone(),
        }
    }

    /// Everybody was reached, within the bound, and the report says so.
    pub(super) fn hold(&self) -> bool {
        self.reached == self.live
            && self.duplicates <= self.bound
            && self.wrong == 0
            && self.report.takeovers > 0
            && self.report.pending == 0
            && self.report.counts.total() == self.report.read
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "subscriptions": self.report.read,
            "live": self.live,
            "reached": self.reached,
            "sent_before": self.before,
            "sent_after": self.after,
            "duplicates": self.duplicates,
            "duplicates_bound": self.bound,
            "takeovers": self.report.takeovers,
            "pruned": self.report.pruned,
            "holds": self.hold(),
        })
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.report)?;
        writeln!(f, "arrived before the worker was killed: {}, after: {}", self.before, self.after)?;
        writeln!(f, "live subscriptions reached: {} of {}", self.reached, self.live)?;
        write!(
            f,
            "twice: {} (at most {}: {} leases were taken over, {} requests repeated)",
            self.duplicates, self.bound, self.report.takeovers, self.report.repeats
        )?;
        if !self.hold() {
            write!(f, "\nsomething is wrong: {self:?}")?;
        }
        Ok(())
    }
}
