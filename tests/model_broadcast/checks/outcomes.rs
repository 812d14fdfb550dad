//! Which outcome may follow which answers.

use std::time::Duration;

use webpush_channels::{OutcomeKind, SkipReason};

use super::super::plan::Plan;
use super::super::record::{End, Facts, Request};

/// What is known when an entry is settled.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "four facts that have nothing to do with one another")]
pub(super) struct Case<'a> {
    pub(super) plan: &'a Plan,
    pub(super) facts: &'a Facts,
    pub(super) origin: &'a str,
    /// The last request's end, if there was a request.
    pub(super) last: Option<End>,
    /// The broadcast's time was, or may have been, used up.
    pub(super) late: bool,
    /// When it was settled before that, something was told to wait.
    pub(super) expires: bool,
    pub(super) limited: bool,
    pub(super) marked: bool,
}

impl Case<'_> {
    fn code(&self) -> Option<u16> {
        self.last.and_then(End::code)
    }

    fn anybody(&self, found: impl Fn(&Request) -> bool) -> bool {
        self.facts.requests.iter().any(|request| request.origin == self.origin && found(request))
    }

    /// Others of its push service were refused.
    fn is_stopped(&self) -> bool {
        self.anybody(|request| matches!(request.end.and_then(|(_, end)| end.code()), Some(401 | 403)))
    }

    /// Its push service is broken: whoever waits for it has used up tries.
    fn is_broken(&self) -> bool {
        let failed = |request: &Request| matches!(request.end, Some((_, End::Failed { .. })));
        let failures =
            self.facts.requests.iter().filter(|request| request.origin == self.origin && failed(request));
        failures.count() >= 8 || self.was_silent()
    }

    /// It was silent for so long that it is taken to be broken where nothing more can wait.
    fn was_silent(&self) -> bool {
        const BROKEN: Duration = Duration::from_secs(10);
        let crowds = self.plan.limits.deferred < 1000;
        crowds && self.anybody(|request| request.end.is_none_or(|(end, _)| end - request.at >= BROKEN))
    }

    /// Whether the answers lead to this.
    pub(super) fn allows(&self, outcome: OutcomeKind) -> bool {
        let (last, code) = (self.last, self.code());
        let failed = last.is_some_and(End::is_failure);
        let ambiguous = last.is_some_and(End::is_ambiguous);
        let mismatch = matches!(last, Some(End::Status { mismatch: true, .. }));
        match outcome {
            OutcomeKind::Accepted => last.is_some_and(End::is_accepted),
            OutcomeKind::Gone => last.is_some_and(End::is_gone),
            OutcomeKind::KeyMismatch => mismatch,
            OutcomeKind::AuthRefused => {
                !mismatch && (matches!(code, Some(401 | 403)) || (!ambiguous && self.is_stopped()))
            }
            OutcomeKind::BadRequest => code == Some(400),
            OutcomeKind::Moved => matches!(code, Some(301 | 302)),
            OutcomeKind::Unexpected => code == Some(418),
            OutcomeKind::TooLarge => code == Some(413) || (last.is_none() && self.limited),
            OutcomeKind::Throttled => code == Some(429) || (self.is_broken() && failed && !ambiguous),
            OutcomeKind::GaveUp => {
                let unsent = self.plan.odd.is_some();
                let answered = failed && code != Some(429) && !ambiguous;
                // A payload that was refused before is not encrypted any more.
                answered || unsent || (self.is_broken() && !ambiguous)
            }
            OutcomeKind::Unconfirmed => ambiguous,
            OutcomeKind::Expired => {
                let ended = last.is_some_and(End::is_final) || ambiguous;
                !ended && (self.late || self.expires)
            }
            OutcomeKind::Skipped => {
                self.marked || !last.is_some_and(|end| end.is_final() || end.is_ambiguous())
            }
            _ => false,
        }
    }

    pub(super) fn allows_skip(&self, reason: SkipReason, expires: bool) -> bool {
        match reason {
            SkipReason::Expired => expires,
            SkipReason::NeedsRenewal => self.marked,
            _ => false,
        }
    }
}
