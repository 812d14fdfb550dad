//! What a push service does with a request, apart from moving its octets.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response};
use tokio::sync::Notify;

use super::answer::Answer;
use super::checks::Body;
use super::counters::Counts;
use super::directory::{Directory, Paths, Target};
use super::flight::Flight;
use super::inbox::Inbox;
use super::receiver::Receiver;
use super::token::Tokens;
use super::violation::Violation;
use crate::clock::unix_seconds;
use crate::testing::lock;
use crate::{Clock, Origin};

#[cfg(feature = "testing-browser")]
use super::browser::Browsers;
#[cfg(feature = "testing-browser")]
use super::mozilla::Signatures;

/// How many refusals are kept by reason.
const KEPT_VIOLATIONS: usize = 256;

pub(super) type Expectation = Arc<dyn Fn(usize, Option<&[u8]>) -> bool + Send + Sync>;
pub(super) type Chooser = Arc<dyn Fn(usize) -> Answer + Send + Sync>;

/// Whose rules a service follows.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Rules {
    /// The strictest vendor's, for each rule.
    #[default]
    Strictest,
    /// Mozilla's, and its WebSocket for browsers.
    #[cfg(feature = "testing-browser")]
    Mozilla,
}

impl Rules {
    /// Whether a message with a topic is called by it, so that all of one topic have one URL.
    pub(super) const fn names_by_topic(self) -> bool {
        match self {
            Self::Strictest => false,
            #[cfg(feature = "testing-browser")]
            Self::Mozilla => true,
        }
    }

    const fn paths(self) -> Paths {
        match self {
            Self::Strictest => Paths::Plain,
            #[cfg(feature = "testing-browser")]
            Self::Mozilla => Paths::Versioned,
        }
    }
}

/// What a service was built with.
pub(super) struct Settings {
    pub(super) rules: Rules,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) latency: Duration,
    pub(super) keep: bool,
    pub(super) decrypt: bool,
    pub(super) expect: Option<Expectation>,
    pub(super) choose: Option<Chooser>,
    pub(super) max_streams: u32,
}

/// The state that all connections share.
pub(super) struct Service {
    pub(super) origin: Origin,
    pub(super) settings: Settings,
    pub(super) counts: Counts,
    /// Told whenever a count changes.
    pub(super) changed: Notify,
    #[cfg(feature = "testing-browser")]
    pub(super) browsers: Browsers,
    #[cfg(feature = "testing-browser")]
    pub(super) signatures: Signatures,
    pub(super) authority: Box<str>,
    pub(super) directory: Directory,
    script: Mutex<VecDeque<Answer>>,
    /// How many answers are in `script`, so that a service without a script takes no lock.
    scripted: AtomicUsize,
    pub(super) tokens: Tokens,
    violations: Mutex<Vec<Violation>>,
}

impl Service {
    pub(super) fn new(origin: Origin, secret: u64, settings: Settings) -> Self {
        let authority = origin.as_str().split_once("://").map_or("", |(_, authority)| authority);
        Self {
            authority: authority.into(),
            tokens: Tokens::new(origin.as_str()),
            origin,
            directory: Directory::new(settings.rules.paths(), secret),
            settings,
            counts: Counts::default(),
            changed: Notify::new(),
            #[cfg(feature = "testing-browser")]
            browsers: Browsers::default(),
            #[cfg(feature = "testing-browser")]
            signatures: Signatures::default(),
            script: Mutex::default(),
            scripted: AtomicUsize::new(0),
            violations: Mutex::default(),
        }
    }

    pub(super) fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        let mut script = lock(&self.script);
        script.extend(answers);
        self.scripted.store(script.len(), Ordering::Release);
    }

    pub(super) fn violations(&self) -> Vec<Violation> {
        lock(&self.violations).clone()
    }

    /// Makes a subscription; returns its number, too.
    pub(super) fn subscribe(&self, receiver: Receiver, bound: Option<[u8; 65]>) -> (usize, Arc<Inbox>) {
        let inbox = Arc::new(Inbox::new(receiver, bound));
        (self.directory.add(Arc::clone(&inbox)), inbox)
    }

    pub(super) fn endpoint(&self, number: usize, inbox: &Inbox) -> String {
        format!("{}{}", self.origin, self.directory.path(number, inbox))
    }

    /// Begins a request: finds what it is for and how it shall be answered.
    pub(super) fn arrive(self: &Arc<Self>, head: &Parts) -> Flight {
        self.counts.requests.add();
        self.counts.in_flight_max.raise_to(self.counts.in_flight.add());
        let target = self.directory.target(head.uri.path());
        let answer = match &target {
            Target::Push(number, inbox) if head.method == Method::POST => self.answer(*number, inbox),
            Target::Message(inbox, _) if head.method == Method::DELETE => {
                inbox.next_delete_answer().unwrap_or_default()
            }
            _ => Answer::Normal,
        };
        self.changed.notify_waiters();
        Flight::new(self, target, answer)
    }

    /// The rules, for a request with its whole body.
    pub(super) fn judge(&self, head: Parts, body: Body, flight: &Flight) -> Response<Bytes> {
        #[cfg(feature = "testing-browser")]
        if self.settings.rules == Rules::Mozilla {
            return self.judge_as_mozilla(head, body, &flight.target);
        }
        let result = match (&flight.target, &head.method) {
            (Target::Unknown, _) => Err(Violation::NotFound),
            (Target::UnknownMessage, &Method::DELETE) => Err(Violation::MessageId),
            (Target::Push(number, inbox), &Method::POST) => self.push(head, body, *number, inbox),
            (Target::Message(inbox, number), &Method::DELETE) => Ok(self.cancel(inbox, *number)),
            _ => Err(Violation::Method),
        };
        result.unwrap_or_else(|violation| self.refuse(violation))
    }

    pub(super) fn refuse(&self, violation: Violation) -> Response<Bytes> {
        self.count_refusal(violation);
        violation.response()
    }

    pub(super) fn count_refusal(&self, violation: Violation) {
        self.counts.rejected.add();
        self.note(violation);
    }

    pub(super) fn note(&self, violation: Violation) {
        let mut violations = lock(&self.violations);
        if violations.len() < KEPT_VIOLATIONS {
            violations.push(violation);
        }
    }

    pub(super) fn now(&self) -> u64 {
        unix_seconds(self.settings.clock.now())
    }

    fn answer(&self, number: usize, inbox: &Inbox) -> Answer {
        if let Some(answer) = inbox.next_answer() {
            return answer;
        }
        if self.scripted.load(Ordering::Acquire) > 0 {
            let mut script = lock(&self.script);
            let next = script.pop_front();
            self.scripted.store(script.len(), Ordering::Release);
            if let Some(answer) = next {
                return answer;
            }
        }
        self.settings.choose.as_ref().map_or(Answer::Normal, |choose| choose(number))
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("origin", &self.origin).finish_non_exhaustive()
    }
}
