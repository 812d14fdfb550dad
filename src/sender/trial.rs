//! One subscription's attempts: what each answer means and what comes next.

use std::time::Duration;

use tokio::time::Instant;

use super::origin::OriginState;
use super::stops::Stop;
use super::{Core, Unsigned, later};
use crate::engine::response::{Classified, Verdict};
use crate::engine::vapid::{Keyring, Renewal, Vapid};
use crate::store::Change;
use crate::store::journal::Tried;
use crate::telemetry::Pause;
use crate::transport::{Processed, TransportError, TransportErrorKind};
use crate::{KeyId, LastFailure, Outcome, Refusal, ResponseDetail, SkipReason, Subscription, Ttl};

/// What is remembered of one subscription between attempts. Small: tens of thousands may wait.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "four facts that have nothing to do with one another")]
pub(crate) struct Trial {
    /// Requests made.
    pub(crate) attempts: u8,
    /// Tries used up: requests that failed, and times that a broken origin or a budget was waited for.
    pub(crate) failures: u8,
    /// When the first request was made: the TTL runs from here.
    pub(crate) first: Option<Instant>,
    /// What was used of the TTL before that, where the attempts began in another lease.
    spent: Duration,
    /// The last request may have arrived.
    pub(crate) unconfirmed: bool,
    /// Requests of former leases that used up no try: answers to the wrong key, as a rule.
    passed: u8,
    /// The keys that were not the right one. By id: the keyring may change in between.
    wrong: Vec<KeyId>,
    /// The token was rebuilt for this subscription already.
    refreshed: bool,
    /// The payload was too large: what is sent is the fallback.
    pub(crate) refused: bool,
    /// The octets of body that are left to try, where more were refused.
    pub(crate) limit: Option<u16>,
    /// The last thing that the push service said.
    detail: Option<Box<ResponseDetail>>,
    last: Option<LastFailure>,
    throttled: bool,
}

/// What comes after an attempt.
#[derive(Debug)]
pub(crate) enum Step {
    /// The end.
    Settle(Settled),
    /// Again, after this long.
    Again(Duration),
}

/// The end of one subscription's attempts.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) outcome: Outcome,
    pub(crate) change: Option<Change>,
    /// The body's length that remains after a refusal, whatever came after it.
    pub(crate) limit: Option<u16>,
    pub(crate) detail: Option<Box<ResponseDetail>>,
}

impl Settled {
    pub(crate) const fn new(outcome: Outcome) -> Self {
        Self { outcome, change: None, limit: None, detail: None }
    }

    /// What is to be remembered of the subscription.
    pub(crate) fn changes(&self) -> [Option<Change>; 2] {
        let gone = self.change == Some(Change::Remove);
        [self.limit.filter(|_| !gone).map(Change::LimitPayload), self.change]
    }

    const fn with_change(mut self, change: Change) -> Self {
        self.change = Some(change);
        self
    }
}

impl From<Settled> for Step {
    fn from(settled: Settled) -> Self {
        Self::Settle(settled)
    }
}

/// What an attempt was made with.
#[derive(Debug)]
pub(crate) struct Made<'a> {
    pub(crate) vapid: &'a Vapid,
    /// The keyring now; that of the request may have been another one.
    pub(crate) keyring: &'a Keyring,
    /// The key that the subscription is known to be bound to.
    pub(crate) bound: Option<KeyId>,
    /// The generation of the token.
    pub(crate) generation: u32,
    /// Whether a repeat replaces an undelivered first.
    pub(crate) has_topic: bool,
    /// The octets of its body.
    pub(crate) body_len: usize,
    /// Whether there is a shorter payload.
    pub(crate) has_fallback: bool,
    pub(crate) subscription: &'a Subscription,
}

impl Trial {
    /// The attempts of a message that was deferred, with this much of its TTL left.
    pub(crate) fn resumed(tried: Tried, ttl: Ttl, ttl_left: Duration, now: Instant) -> Self {
        Self {
            attempts: tried.attempts,
            failures: tried.failures,
            first: (tried.attempts > 0).then_some(now),
            spent: ttl.as_duration().saturating_sub(ttl_left),
            unconfirmed: tried.unconfirmed,
            passed: tried.attempts.saturating_sub(tried.failures),
            ..Self::default()
        }
    }

    /// What a journal keeps of the attempts.
    pub(crate) const fn tried(&self) -> Tried {
        Tried::new(self.attempts, self.failures, self.unconfirmed)
    }

    /// The key to sign with; none when no key of ours can be right. Journals do not keep which were
    /// wrong: another lease begins with the key after those that were tried.
    pub(crate) fn vapid<'a>(&self, keyring: &'a Keyring, bound: Option<KeyId>) -> Option<&'a Vapid> {
        let keys = || keyring.candidates(bound);
        let passed = if self.passed == 0 { 0 } else { usize::from(self.passed) % keys().count().max(1) };
        let possible = |vapid: &&Vapid| !self.wrong.contains(&vapid.key_id());
        keys().skip(passed).chain(keys().take(passed)).find(possible)
    }

    /// Whether every key was wrong: in this lease, or counted over several.
    fn knows_no_key(&self, keyring: &Keyring, bound: Option<KeyId>) -> bool {
        // Twice, because other answers may be among those counted.
        let enough = 2 * keyring.candidates(bound).count();
        self.vapid(keyring, bound).is_none() || usize::from(self.passed) + self.wrong.len() >= enough
    }

    /// The end where there is no key to sign with.
    pub(crate) fn keyless(&mut self, keyring: &Keyring, bound: Option<KeyId>) -> Settled {
        match unbound(keyring, bound) {
            Some(Settled { outcome, change, .. }) => Settled { change, ..self.settle(outcome) },
            None => self.settle(Outcome::KeyMismatch).with_change(Change::NeedsRenewal),
        }
    }

    /// What is left of the message's lifetime; none when it is used up. The first attempt has all
    /// of it (H-6).
    pub(crate) fn ttl_left(&self, ttl: Ttl, now: Instant) -> Option<Ttl> {
        if self.first.is_none() {
            return Some(ttl);
        }
        let left = self.lifetime_left(ttl, now);
        // A message of TTL 0 has no lifetime to wait in: a repeat at once is as good as the first.
        let immediate = ttl == Ttl::ZERO && self.failures == 0;
        // The last part of a second is written as 0: deliver now or drop.
        (!left.is_zero() || immediate).then(|| Ttl::from(left))
    }

    /// The same to the millisecond; zero once it is used up.
    pub(crate) fn lifetime_left(&self, ttl: Ttl, now: Instant) -> Duration {
        let used = self.first.map_or(Duration::ZERO, |first| self.spent + now.duration_since(first));
        ttl.as_duration().saturating_sub(used)
    }

    /// When the lifetime ends; none where it did not begin.
    pub(crate) fn ends(&self, ttl: Ttl, now: Instant) -> Option<Instant> {
        self.first.is_some().then(|| later(now, self.lifetime_left(ttl, now)))
    }

    /// Whether the next request, or the one on its way, repeats one because it failed.
    pub(crate) const fn is_retry(&self) -> bool {
        self.attempts > 0 && self.failures > 0
    }

    /// A request is made. Returns whether it repeats one that may have arrived.
    pub(crate) fn begin(&mut self, now: Instant) -> bool {
        self.first.get_or_insert(now);
        self.attempts = self.attempts.saturating_add(1);
        std::mem::take(&mut self.unconfirmed)
    }

    /// The end because no time is left.
    pub(crate) fn expire(&mut self) -> Settled {
        self.settle(Outcome::Expired)
    }

    /// the end before a request that would be made after this wait, where the subscription has
    /// expired by then.
    pub(crate) fn outlived(
        &mut self,
        core: &Core,
        subscription: &Subscription,
        wait: Duration,
    ) -> Option<Settled> {
        expires_within(core, subscription, wait).then(|| self.settle(Outcome::Skipped(SkipReason::Expired)))
    }

    /// The end before another request, where no try is left: the last request was deferred
    /// without an answer, and none came.
    pub(crate) fn exhausted(&mut self, core: &Core) -> Option<Settled> {
        (self.failures >= core.retry.attempts).then(|| self.used_up())
    }

    /// Reads the result of a request.
    pub(crate) fn judge(
        &mut self,
        core: &Core,
        origin: &OriginState,
        made: &Made<'_>,
        result: Result<Classified, TransportError>,
        now: Instant,
    ) -> Step {
        let (retry, failures, answered) = (self.is_retry(), self.failures, result.is_ok());
        let step = match result {
            Ok(classified) => {
                self.last = Some(LastFailure::Status(classified.detail.status));
                self.detail = None;
                let (key, subscription) = (made.vapid.key_id(), || made.subscription.id());
                match classified.verdict {
                    Verdict::Accepted { .. } => origin.accepted(key, subscription, now),
                    Verdict::AuthError | Verdict::SenderBlocked => {}
                    _ => origin.unproven(key, subscription),
                }
                if !matches!(classified.verdict, Verdict::Accepted { .. }) {
                    self.detail = Some(Box::new(classified.detail));
                }
                self.judge_verdict(core, origin, made, classified.verdict, now)
            }
            Err(error) => {
                origin.unproven(made.vapid.key_id(), || made.subscription.id());
                self.judge_error(core, origin, made, &error, now)
            }
        };
        if matches!(step, Step::Again(_)) {
            origin.service().retried();
        }
        if retry && answered && self.failures == failures {
            origin.retry_succeeded(now);
        }
        step
    }

    /// The message could not be encrypted or signed: ours to repair, and the same next time.
    pub(crate) fn engine_failed(&mut self) -> Settled {
        self.last = Some(LastFailure::Engine);
        self.settle(Outcome::GaveUp { last: LastFailure::Engine })
    }

    /// No token was signed: the signer may answer later, and the subscription is not at fault.
    pub(crate) fn unsigned(&mut self, core: &Core, unsigned: &Unsigned, now: Instant) -> Step {
        self.last = Some(LastFailure::Engine);
        self.detail = None;
        self.throttled = false;
        let rest = unsigned.until.saturating_duration_since(now);
        self.again(core, Some(rest.min(core.retry.max_retry_after)))
    }

    /// A pause of a broken origin was sat through, or others were held up: a try is used up.
    pub(crate) fn sat_through(&mut self, core: &Core) -> Option<Settled> {
        self.failures = self.failures.saturating_add(1);
        (self.failures >= core.retry.attempts).then(|| self.used_up())
    }

    /// The end, with what the push service said last. Where the last request may have arrived, that
    /// is the outcome, whatever kept it from being repeated.
    pub(crate) fn settle(&mut self, outcome: Outcome) -> Settled {
        let outcome = if self.unconfirmed { Outcome::Unconfirmed } else { outcome };
        Settled { outcome, change: None, limit: self.limit.take(), detail: self.detail.take() }
    }

    /// The end because nothing more is sent to the origin.
    pub(crate) fn settle_stopped(&mut self, stop: Stop) -> Settled {
        self.settle(match stop {
            Stop::Auth => Outcome::AuthRefused,
            Stop::Blocked => Outcome::SenderBlocked,
        })
    }

    fn judge_verdict(
        &mut self,
        core: &Core,
        origin: &OriginState,
        made: &Made<'_>,
        verdict: Verdict,
        now: Instant,
    ) -> Step {
        match verdict {
            Verdict::Accepted { message_url, granted_ttl, receipt_url } => {
                let settled = self.settle(Outcome::Accepted { message_url, granted_ttl, receipt_url });
                // Worth remembering only where there was a choice.
                let learned = made.bound.is_none() && (made.keyring.is_choice() || !self.wrong.is_empty());
                if learned { settled.with_change(Change::UseKey(made.vapid.key_id())) } else { settled }
                    .into()
            }
            Verdict::AcceptedDropped => self.settle(Outcome::AcceptedDropped).into(),
            Verdict::AuthError => self.auth_error(origin, made, now),
            Verdict::BadRequest => self.settle(Outcome::BadRequest).into(),
            Verdict::Gone => self.settle(Outcome::Gone).with_change(Change::Remove).into(),
            Verdict::KeyMismatch => self.key_mismatch(made),
            Verdict::Moved { location, permanent } => {
                self.settle(Outcome::Moved { location, permanent }).into()
            }
            Verdict::PayloadTooLarge => self.too_large(made),
            Verdict::RateLimited { after } => {
                self.throttled = true;
                self.slow_down(core, origin, made, after, now)
            }
            Verdict::Retry { after } => {
                self.throttled = false;
                if self.last == Some(LastFailure::Status(503)) {
                    return self.slow_down(core, origin, made, after, now);
                }
                self.again(core, after)
            }
            Verdict::SenderBlocked => {
                self.refused(origin, made, true, now);
                self.settle(Outcome::SenderBlocked).into()
            }
            // `Unexpected`, and what a later version of the engine tells apart.
            _ => self.settle(Outcome::Unexpected).into(),
        }
    }

    /// rebuild the token once per (key, origin) and hour, repeat once, then count it for the
    /// stop. Never prune.
    fn auth_error(&mut self, origin: &OriginState, made: &Made<'_>, now: Instant) -> Step {
        if !self.refreshed
            && !matches!(made.vapid.renew_after(origin.origin(), made.generation), Renewal::TooSoon)
        {
            self.refreshed = true;
            return Step::Again(Duration::ZERO);
        }
        self.refused(origin, made, false, now);
        self.settle(Outcome::AuthRefused).into()
    }

    /// Counts for the key's stop at the origin; `blocked`: it is us that are refused.
    fn refused(&self, origin: &OriginState, made: &Made<'_>, blocked: bool, now: Instant) {
        let (key, subscription) = (made.vapid.key_id(), made.subscription.id());
        origin.refused(key, subscription, blocked, self.detail.as_deref(), now);
    }

    /// V-13: the subscription is bound to another key. With the binding unknown, the next key may
    /// be the one; else the client must subscribe anew.
    fn key_mismatch(&mut self, made: &Made<'_>) -> Step {
        self.wrong.push(made.vapid.key_id());
        if !self.knows_no_key(made.keyring, made.bound) {
            return Step::Again(Duration::ZERO);
        }
        self.settle(Outcome::KeyMismatch).with_change(Change::NeedsRenewal).into()
    }

    /// The subscription takes less than this: the next body is shorter, or not sent at all. No body
    /// is no payload that could be too large: the answer means something else.
    fn too_large(&mut self, made: &Made<'_>) -> Step {
        let left = made.body_len.checked_sub(1).and_then(|left| u16::try_from(left).ok());
        self.limit = left.or(self.limit);
        if made.has_fallback && !self.refused {
            self.refused = true;
            return Step::Again(Duration::ZERO);
        }
        self.settle(Outcome::TooLarge).into()
    }

    /// the wait is this subscription's; the origin's too when several were told so, also where
    /// these have no try left.
    fn slow_down(
        &mut self,
        core: &Core,
        origin: &OriginState,
        made: &Made<'_>,
        after: Option<Duration>,
        now: Instant,
    ) -> Step {
        let step = self.again(core, after);
        let wait = match step {
            Step::Again(wait) => Some(wait),
            Step::Settle(_) => core.retry.wait(self.failures, after, core.draw()),
        };
        if let Some(wait) = wait
            && origin.slow_down(made.subscription.id(), wait, now)
        {
            origin.service().paused(Pause::Asked);
            tracing::warn!(origin = %origin.origin(), seconds = wait.as_secs(), "the push service asks to slow down: it is paused");
        }
        step
    }

    fn judge_error(
        &mut self,
        core: &Core,
        origin: &OriginState,
        made: &Made<'_>,
        error: &TransportError,
        now: Instant,
    ) -> Step {
        self.last = Some(LastFailure::Transport(error.kind().as_str()));
        self.detail = None;
        self.throttled = false;
        match error.kind() {
            TransportErrorKind::AddressRefused => {
                return self.settle(Outcome::Refused(Refusal::Address)).into();
            }
            TransportErrorKind::InvalidRequest => return self.settle(Outcome::BadRequest).into(),
            // Our own queue was full: nothing is known of the origin.
            TransportErrorKind::Busy => {}
            _ => {
                if let Some(pause) = origin.failed(now, core.retry.base) {
                    origin.service().paused(Pause::Broken);
                    tracing::warn!(origin = %origin.origin(), seconds = pause.as_secs(), error = %error, "the push service fails: it is paused");
                }
            }
        }
        // H-21: a repeat is harmless when the first cannot have arrived, or is replaced.
        self.unconfirmed = error.processed() == Processed::Unknown;
        if self.unconfirmed && !made.has_topic {
            return self.settle(Outcome::Unconfirmed).into();
        }
        self.again(core, None)
    }

    /// The larger of `Retry-After` and the backoff, unless attempts or patience are used up.
    fn again(&mut self, core: &Core, after: Option<Duration>) -> Step {
        self.failures = self.failures.saturating_add(1);
        match core.retry.pause(self.failures, after, core.draw()) {
            Some(wait) => Step::Again(wait),
            None => self.used_up().into(),
        }
    }

    fn used_up(&mut self) -> Settled {
        let last = self.last.unwrap_or(LastFailure::Transport(TransportErrorKind::Connect.as_str()));
        self.settle(if self.throttled { Outcome::Throttled } else { Outcome::GaveUp { last } })
    }
}

/// The end before any request, for reasons that lie in the subscription.
pub(crate) fn refusal(
    core: &Core,
    keyring: &Keyring,
    subscription: &Subscription,
    bound: Option<KeyId>,
    needs_renewal: bool,
) -> Option<Settled> {
    if let Err(error) = core.policy.check(subscription.endpoint()) {
        return Some(Settled::new(Outcome::Refused(Refusal::Policy(error))));
    }
    if expires_within(core, subscription, Duration::ZERO) {
        return Some(Settled::new(Outcome::Skipped(SkipReason::Expired)));
    }
    if needs_renewal {
        return Some(Settled::new(Outcome::Skipped(SkipReason::NeedsRenewal)));
    }
    unbound(keyring, bound)
}

/// The end of a subscription that is bound to a key that we do not sign with (V-14). It is marked
/// where the key was given up; a key that is only unknown may be another node's newest.
fn unbound(keyring: &Keyring, bound: Option<KeyId>) -> Option<Settled> {
    let key = bound.filter(|key| keyring.get(key).is_none())?;
    let settled = Settled::new(Outcome::Skipped(SkipReason::NeedsRenewal));
    Some(if keyring.is_retired(&key) { settled.with_change(Change::NeedsRenewal) } else { settled })
}

fn expires_within(core: &Core, subscription: &Subscription, wait: Duration) -> bool {
    let expires = |at| core.clock.now().checked_add(wait).is_none_or(|then| at <= then);
    subscription.expiration_time().is_some_and(expires)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn the_lifetime_goes_on_where_another_lease_left_it() {
        let (ttl, now) = (Ttl::from_secs(100), Instant::now());
        let mut fresh = Trial::resumed(Tried::new(0, 2, false), ttl, 100 * SECOND, now);
        assert_eq!(fresh.ttl_left(ttl, now + 500 * SECOND), Some(ttl), "it begins with the first attempt");
        assert_eq!(fresh.ends(ttl, now), None);
        assert!(!fresh.begin(now));
        assert_eq!(fresh.ends(ttl, now + SECOND), Some(now + 100 * SECOND));
        let resumed = Trial::resumed(Tried::new(1, 1, false), ttl, 30 * SECOND, now);
        assert_eq!(resumed.ttl_left(ttl, now + 10 * SECOND), Some(Ttl::from_secs(20)));
        assert_eq!(resumed.lifetime_left(ttl, now + 10 * SECOND), 20 * SECOND);
        assert_eq!(resumed.ttl_left(ttl, now + 30 * SECOND), None);
        assert_eq!(
            Trial::resumed(Tried::new(1, 1, false), ttl, Duration::ZERO, now).ttl_left(ttl, now),
            None
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_have_arrived_is_repeated_once_and_else_unconfirmed() {
        let now = Instant::now();
        let mut trial = Trial::resumed(Tried::new(1, 1, true), Ttl::hours(1), 60 * SECOND, now);
        assert_eq!(trial.expire().outcome, Outcome::Unconfirmed);
        assert!(trial.begin(now), "this one repeats it");
        assert_eq!(trial.tried(), Tried::new(2, 1, false));
        assert!(!trial.begin(now), "and this one follows a request that was answered");
        assert_eq!(trial.expire().outcome, Outcome::Expired);
    }
}
