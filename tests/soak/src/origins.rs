//! The push services: four that check every rule, and that misbehave in turns.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use webpush_channels::Subscription;
use webpush_channels::testing::{Answer, ConnectionFault, PushService, UserAgent};

use crate::Result;
use crate::shared::lock;

/// How a service behaves.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Manner {
    #[default]
    Sound,
    /// 429.
    Throttling,
    /// 503.
    Unavailable,
    /// 500.
    Broken,
    /// Resets streams.
    Resetting,
    /// Refuses streams.
    Refusing,
    /// Wants every connection to end, requests in flight unprocessed.
    Goaway,
    /// Wants no second request on a connection.
    Parting,
    /// Closes connections instead of an answer.
    Cutting,
    /// Takes messages, and closes connections instead of an answer.
    TakingAndCutting,
    /// Sends half an answer.
    Halving,
    /// Takes requests and says nothing.
    Silent,
    /// Answers late, some later than a sender waits for.
    Slow,
    /// Takes no connections.
    Closed,
}

impl Manner {
    /// Every bad one.
    pub(crate) const BAD: [Self; 13] = [
        Self::Throttling,
        Self::Unavailable,
        Self::Broken,
        Self::Resetting,
        Self::Refusing,
        Self::Goaway,
        Self::Parting,
        Self::Cutting,
        Self::TakingAndCutting,
        Self::Halving,
        Self::Silent,
        Self::Slow,
        Self::Closed,
    ];

    /// The answer to one request: most are bad, so that some go through and nobody gives the service up.
    fn answer(self, random: &mut Rng) -> Answer {
        let second = Some(Duration::from_secs(1));
        let bad = match self {
            Self::Sound | Self::Closed => return Answer::Normal,
            // A request without an answer is held for half a minute, and its broadcast with it.
            Self::Silent => return if random.u8(..16) == 0 { Answer::Hang } else { Answer::Normal },
            Self::Slow => return Answer::Normal.after(Duration::from_millis(random.u64(..2500))),
            Self::Throttling => Answer::throttled(second),
            Self::Unavailable => Answer::unavailable(second),
            Self::Broken => Answer::server_error(),
            Self::Resetting => Answer::ResetStream,
            Self::Refusing => Answer::RefuseStream,
            Self::Goaway => Answer::Goaway,
            Self::Parting => Answer::AcceptAndClose,
            Self::Cutting => Answer::CutBeforeStatus,
            Self::TakingAndCutting => Answer::AcceptAndCut,
            Self::Halving => Answer::CutAfterHeaders,
        };
        if random.u8(..8) == 0 { Answer::Normal } else { bad }
    }
}

/// One push service.
pub(crate) struct Origin {
    pub(crate) push: PushService,
    manner: Arc<Mutex<Manner>>,
}

impl Origin {
    pub(crate) fn behave(&self, manner: Manner) {
        *lock(&self.manner) = manner;
    }

    /// A subscription of the browser, bound to a key, and its number here.
    pub(crate) fn subscribe(&self, agent: &UserAgent, key: &[u8; 65]) -> (Subscription, usize) {
        let subscription = self.push.subscribe_bound(agent, key);
        let number = self.push.number(&subscription);
        (subscription, number)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.push.fmt(f)
    }
}

/// What is done with each message that a user agent has opened: the service and how it behaves, the subscription's number,
/// the payload.
type Opened = Arc<dyn Fn(usize, Manner, usize, Option<&[u8]>) -> bool + Send + Sync>;

/// Two in cleartext, one in TLS, and one of the past: HTTP/1.1 in TLS.
pub(crate) async fn start(seed: u64, opened: Opened) -> Result<Vec<Origin>> {
    let mut origins = Vec::new();
    for (service, (tls, http1_only)) in
        [(false, false), (false, false), (true, false), (true, true)].into_iter().enumerate()
    {
        let manner = Arc::new(Mutex::new(Manner::Sound));
        let random = Mutex::new(Rng::with_seed(seed.wrapping_add(service as u64)));
        let (opened, opening) = (Arc::clone(&opened), Arc::clone(&manner));
        let (answering, connecting) = (Arc::clone(&manner), Arc::clone(&manner));
        let push = PushService::builder()
            .tls(tls)
            .http1_only(http1_only)
            .keep_payloads(false)
            .latency(Duration::from_millis(5))
            .expect(move |number, payload| {
                let manner = *lock(&opening);
                opened(service, manner, number, payload)
            })
            .answer(move |_| {
                let manner = *lock(&answering);
                manner.answer(&mut lock(&random))
            })
            .connection_fault(move |_| match *lock(&connecting) {
                Manner::Closed => ConnectionFault::Close,
                _ => ConnectionFault::None,
            })
            .start()
            .await?;
        origins.push(Origin { push, manner });
    }
    Ok(origins)
}
