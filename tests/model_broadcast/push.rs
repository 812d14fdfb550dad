//! Push services that behave as the plan says, and write down what they see.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use base64::Engine as _;
use bytes::Bytes;
use http::{Request as HttpRequest, Response};
use tokio::time::Instant;
use webpush_channels::engine::encryption::{Encoded, EncryptError, Encryptor, Lane, Plaintext};
use webpush_channels::transport::{Processed, Transport, TransportError, TransportErrorKind};
use webpush_channels::{Clock, SubscriptionKeys};

use super::mutants::Broken;
use super::plan::{Plan, Reply};
use super::record::{Device, End, Record, Request, Rule, origin};

/// The push services as one node sees them.
#[derive(Clone)]
pub struct Push {
    pub node: usize,
    pub record: Arc<Record>,
    pub plan: Arc<Plan>,
    pub broken: Option<Broken>,
}

impl fmt::Debug for Push {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Push({})", self.node)
    }
}

/// An answer that stays away for so long lets its place go.
const OVERDUE: Duration = Duration::from_secs(2);

/// Writes down that a request was dropped, unless it ended before.
struct Flight {
    record: Arc<Record>,
    number: usize,
    ended: bool,
}

impl Flight {
    fn end(&mut self, end: End) {
        self.ended = true;
        self.record.facts().requests[self.number].end = Some((Instant::now(), end));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !self.ended {
            self.end(End::Dropped);
        }
    }
}

#[async_trait]
impl Transport for Push {
    async fn send(&self, request: HttpRequest<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let (push, twice) = (self.clone(), self.broken == Some(Broken::SendsTwice));
        match self.broken {
            // What was handed on goes on, whoever lets it go.
            Some(Broken::Detaches) => {
                let sending = tokio::spawn(async move { push.exchange(request).await });
                sending.await.expect("it does not panic")
            }
            _ if twice => {
                drop(self.exchange(request.clone()).await);
                self.exchange(request).await
            }
            _ => self.exchange(request).await,
        }
    }
}

impl Push {
    async fn exchange(&self, request: HttpRequest<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let (mut flight, nth) = self.begin(&request);
        self.record.steps.point().await;
        let (uri, broadcast, age) = {
            let seen = &self.record.facts().requests[flight.number];
            (seen.device.0.clone(), seen.broadcast, seen.at - self.record.start)
        };
        let (delay, reply) = self.plan.reply(&uri, broadcast, nth, request.body().len(), age);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        self.record.steps.point().await;
        self.answer(&mut flight, reply)
    }

    /// Writes a request down, and checks what can be checked now.
    fn begin(&self, request: &HttpRequest<Bytes>) -> (Flight, usize) {
        let header = |name: &str| request.headers()[name].to_str().expect("it is ASCII");
        let (broadcast, auth) = read_label(request.body());
        let uri = request.uri().to_string();
        let device: Device = (uri, auth);
        let wall = self.record.wall.seconds();
        let mut facts = self.record.facts();
        let now = Instant::now();
        let expires = expires(header("authorization"));
        let good = facts.jumps.contains(&now) || (wall <= expires && expires <= wall + 86_400);
        facts.check(good, Rule::Token, || format!("a token expires at {expires}, and it is {wall}"));
        let nth = facts.requests_to(broadcast, &device).count();
        let number = facts.requests.len();
        let ttl = header("ttl").parse().expect("a number");
        let origin = origin(&device.0);
        facts.requests.push(Request { node: self.node, broadcast, device, origin, at: now, ttl, end: None });
        drop(facts);
        self.check_in_flight(number);
        (Flight { record: Arc::clone(&self.record), number, ended: false }, nth)
    }

    fn check_in_flight(&self, number: usize) {
        let mut facts = self.record.facts();
        let now = Instant::now();
        let new = facts.requests[number].clone();
        let flying: Vec<_> = facts
            .requests
            .iter()
            .filter(|request| request.node == self.node && request.end.is_none())
            .map(|request| (request.origin == new.origin, now.duration_since(request.at) < OVERDUE))
            .collect();
        let fresh = flying.iter().filter(|(_, fresh)| *fresh).count();
        let here = flying.iter().filter(|(here, _)| *here).count();
        // A request may begin before a nap, for those who wait for it, and after it here.
        let most = if self.plan.naps.is_empty() { self.plan.limits.in_flight } else { usize::MAX };
        facts.check(fresh <= most, Rule::InFlight, || format!("{fresh} requests are in flight, not {most}"));
        let most = self.plan.per_origin;
        facts.check(here <= most, Rule::InFlight, || format!("{here} are at {}, not {most}", new.origin));
    }

    fn answer(&self, flight: &mut Flight, reply: Reply) -> Result<Response<Bytes>, TransportError> {
        let mut response = Response::builder();
        let (mut code, after, body) = match reply {
            Reply::Status(status) => (status, None, Bytes::new()),
            Reply::After(status, seconds) => (status, Some(seconds), Bytes::new()),
            Reply::Mismatch => (401, None, Bytes::from_static(MISMATCH)),
            Reply::Fails(kind, processed) => {
                flight.end(End::Failed { kind, processed });
                return Err(TransportError::new(kind).with_processed(processed));
            }
        };
        let mismatch = matches!(reply, Reply::Mismatch);
        flight.end(End::Status { code, after: after.map(Duration::from_secs), mismatch });
        if self.broken == Some(Broken::FindsGone) && code == 500 {
            code = 410;
        }
        if let Some(seconds) = after.filter(|_| self.broken != Some(Broken::ForgetsRetryAfter)) {
            response = response.header("retry-after", seconds.to_string());
        }
        Ok(response.status(code).body(body).expect("it is a response"))
    }
}

const MISMATCH: &[u8] = br#"{"code":401,"errno":109,"message":"VAPID public key mismatch"}"#;

/// When the token of a request expires.
fn expires(authorization: &str) -> u64 {
    let token = authorization.trim_start_matches("vapid t=").split(',').next().expect("a token");
    let claims = token.split('.').nth(1).expect("three parts");
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).expect("base64url");
    let claims: serde_json::Value = serde_json::from_slice(&claims).expect("JSON");
    claims["exp"].as_u64().expect("a number")
}

/// A payload that says which broadcast it is of, and is this long.
pub fn label(broadcast: usize, len: usize) -> Vec<u8> {
    let mut payload = format!("{broadcast:04}").into_bytes();
    payload.resize(len.max(4), b'.');
    payload
}

/// Which broadcast a body is of, and for whom.
fn read_label(body: &Bytes) -> (usize, [u8; 16]) {
    let number = std::str::from_utf8(&body[16..20]).expect("digits").parse().expect("a number");
    (number, body[..16].try_into().expect("sixteen octets"))
}

/// Writes the secret of whom it is for in front of the payload, and hides nothing.
#[derive(Debug)]
pub struct Labelling(pub Arc<Plan>);

impl Encryptor for Labelling {
    fn max_plaintext_len(&self) -> usize {
        3993
    }

    fn encrypt(
        &self,
        to: &SubscriptionKeys,
        plaintext: &Plaintext,
        out: &mut Vec<u8>,
    ) -> Result<Encoded, EncryptError> {
        out.clear();
        out.extend_from_slice(to.auth().as_bytes());
        out.extend_from_slice(plaintext.as_bytes());
        out.resize(plaintext.padded_len() + Plaintext::OVERHEAD, 0);
        Ok(Encoded::Aes128Gcm)
    }

    fn encrypt_batch(&self, plaintext: &Plaintext, lanes: &mut [Lane<'_>]) {
        for lane in lanes {
            let odd = self.0.odd.filter(|_| lane.to.auth().as_bytes()[1] % 5 == 0);
            lane.result = match odd {
                None => Some(self.encrypt(lane.to, plaintext, &mut lane.out)),
                Some(false) => Some(Err(EncryptError::Key)),
                Some(true) => panic!("an encryptor's bug"),
            };
        }
    }
}

/// The wall clock of the record, or one that is two days late.
#[derive(Debug)]
pub struct Walled(pub Arc<Record>, pub bool);

impl Clock for Walled {
    fn now(&self) -> SystemTime {
        self.0.wall.time() - Duration::from_secs(if self.1 { 2 * 86_400 } else { 0 })
    }
}

impl End {
    /// As a word, for the figures.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Dropped => "dropped",
            Self::Failed { kind: TransportErrorKind::Timeout, .. } => "never answered",
            Self::Failed { processed: Processed::Unknown, .. } => "failed after it was written",
            Self::Failed { .. } => "failed before it was written",
            Self::Status { code: 200..=299, .. } => "accepted",
            Self::Status { code: 404 | 410, .. } => "gone",
            Self::Status { code: 429 | 503, .. } => "told to slow down",
            Self::Status { code: 401 | 403, .. } => "refused",
            Self::Status { code: 500..=599, .. } => "5xx",
            Self::Status { .. } => "4xx and 3xx",
        }
    }
}
