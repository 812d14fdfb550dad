//! What a push service does with a request, apart from moving its octets.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, LOCATION};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use tokio::sync::Notify;

use super::answer::Answer;
use super::checks::{Asked, Body, check_framing, check_message};
use super::counters::Counts;
use super::directory::{Directory, Target};
use super::inbox::{Inbox, Placed, Stored};
use super::token::Tokens;
use super::violation::Violation;
use crate::clock::unix_seconds;
use crate::testing::lock;
use crate::{Clock, Origin};

/// How many refusals are kept by reason.
const KEPT_VIOLATIONS: usize = 256;

pub(super) type Expectation = Arc<dyn Fn(usize, Option<&[u8]>) -> bool + Send + Sync>;
pub(super) type Chooser = Arc<dyn Fn(usize) -> Answer + Send + Sync>;

/// What a service was built with.
pub(super) struct Settings {
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
    authority: Box<str>,
    pub(super) directory: Directory,
    script: Mutex<VecDeque<Answer>>,
    /// How many answers are in `script`, so that a service without a script takes no lock.
    scripted: AtomicUsize,
    tokens: Tokens,
    violations: Mutex<Vec<Violation>>,
}

impl Service {
    pub(super) fn new(origin: Origin, secret: u64, settings: Settings) -> Self {
        let authority = origin.as_str().split_once("://").map_or("", |(_, authority)| authority);
        Self {
            authority: authority.into(),
            tokens: Tokens::new(origin.as_str()),
            origin,
            settings,
            counts: Counts::default(),
            changed: Notify::new(),
            directory: Directory::new(secret),
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

    /// Begins a request: finds what it is for and how it shall be answered.
    pub(super) fn arrive(self: &Arc<Self>, head: &Parts) -> Flight {
        self.counts.requests.add();
        self.counts.in_flight_max.raise_to(self.counts.in_flight.add());
        let target = self.directory.target(head.uri.path());
        let answer = match &target {
            Target::Push(number, inbox) if head.method == Method::POST => self.answer(*number, inbox),
            _ => Answer::Normal,
        };
        self.changed.notify_waiters();
        Flight { service: Arc::clone(self), target, answer, ended: false }
    }

    /// The rules, for a request with its whole body.
    pub(super) fn judge(&self, head: Parts, body: Body, flight: &Flight) -> Response<Bytes> {
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
        self.counts.rejected.add();
        let mut violations = lock(&self.violations);
        if violations.len() < KEPT_VIOLATIONS {
            violations.push(violation);
        }
        violation.response()
    }

    /// Hands a message to the user agent.
    pub(super) fn deliver(&self, number: usize, inbox: &Inbox, message: Stored) {
        self.counts.delivered.add();
        if !self.settings.decrypt {
            return;
        }
        let payload = message.open(&inbox.agent);
        match &payload {
            Ok(payload) => {
                self.counts.decrypted.add();
                let as_expected =
                    self.settings.expect.as_ref().is_none_or(|expect| expect(number, payload.as_deref()));
                if !as_expected {
                    self.counts.mismatched.add();
                }
            }
            Err(_) => {
                self.counts.undecryptable.add();
            }
        }
        if self.settings.keep {
            inbox.keep(message.into_received(payload));
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

    /// In autopush's order: the token, the VAPID header, the subscription, the message.
    fn push(
        &self,
        head: Parts,
        body: Body,
        number: usize,
        inbox: &Arc<Inbox>,
    ) -> Result<Response<Bytes>, Violation> {
        check_framing(&head, &self.authority)?;
        let now = self.now();
        self.check_token(&head.headers, &body, inbox, now)?;
        if inbox.is_gone() {
            return Err(Violation::Gone);
        }
        let asked = check_message(&head.headers, &body)?;
        let message = Stored {
            number: inbox.next_number(),
            headers: head.headers,
            body: body.octets.into(),
            ttl: asked.ttl,
            topic: asked.topic.clone(),
            accepted: now,
        };
        let response = self.created(number, message.number, &asked);
        self.counts.accepted.add();
        match inbox.place(message) {
            Placed::Deliver(message) => self.deliver(number, inbox, message),
            Placed::Dropped => _ = self.counts.expired.add(),
            Placed::Kept { replaced } => (0..replaced).for_each(|_| _ = self.counts.replaced.add()),
        }
        Ok(response)
    }

    fn check_token(
        &self,
        headers: &HeaderMap,
        body: &Body,
        inbox: &Inbox,
        now: u64,
    ) -> Result<(), Violation> {
        let header = headers.get(AUTHORIZATION).ok_or(Violation::VapidMissing)?;
        let token = self.tokens.verify(header.as_bytes(), now)?;
        if inbox.bound.as_deref().is_some_and(|bound| *bound != token.key) {
            return Err(Violation::VapidKeyMismatch);
        }
        // Offset 21: the key id of RFC 8188's header.
        match body.octets.get(21..86) {
            Some(key_id) if key_id == token.key => Err(Violation::VapidKeyReused),
            _ => Ok(()),
        }
    }

    fn created(&self, number: usize, message: u64, asked: &Asked) -> Response<Bytes> {
        let location = format!("{}{}", self.origin, self.directory.message_path(number, message));
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::CREATED;
        let headers = response.headers_mut();
        let location = HeaderValue::try_from(location).expect("an origin and numbers can stand in a header");
        headers.insert(LOCATION, location);
        headers.insert("ttl", asked.ttl.into());
        response
    }

    fn cancel(&self, inbox: &Inbox, number: u64) -> Response<Bytes> {
        if inbox.cancel(number) {
            self.counts.cancelled.add();
        }
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        response
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// One request in progress.
pub(super) struct Flight {
    pub(super) service: Arc<Service>,
    target: Target,
    pub(super) answer: Answer,
    ended: bool,
}

impl Flight {
    /// The request got its answer, or the fault that it was to get.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let counts = &self.service.counts;
        counts.in_flight.subtract();
        if !self.ended {
            counts.abandoned.add();
        }
        self.service.changed.notify_waiters();
    }
}
