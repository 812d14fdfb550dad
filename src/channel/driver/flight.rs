//! From the queues through the encryption to the push service.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::super::encryption::{BATCH, Batch, Encrypted, Sealed, Unsent};
use super::super::gate::Place;
use super::Driver;
use super::book::Book;
use super::queues::{Popped, Stall};
use crate::engine::response::Classified;
use crate::engine::vapid::Token;
use crate::sender::origin::Guest;
use crate::sender::{Core, Leave, Prepared, Unsigned, later};
use crate::transport::{TransportError, TransportErrorKind};
use crate::{Subscription, Ttl};

/// Entries that wait for another's answer come back within this after it.
const AFTER_PROBE: Duration = Duration::from_secs(1);

/// A request's place: one of its origin's, and one of the hub's until it is overdue.
#[derive(Debug)]
pub(super) struct Slot {
    guest: Arc<Guest>,
    place: Mutex<Option<Place>>,
    started: OnceLock<Instant>,
}

impl Slot {
    /// Gives the hub's place back.
    pub(super) fn give_back(&self) {
        self.place.lock().expect("no panic while giving back").take();
    }

    /// When the request was handed to the transport, if it was.
    pub(super) fn started(&self) -> Option<Instant> {
        self.started.get().copied()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.guest.release(self.started.get().is_some());
    }
}

/// What a batch tells the driver.
#[derive(Debug)]
pub(super) enum Arrival {
    /// It left the encryption.
    Encrypted,
    /// A signer answered those who wait for a token, by number.
    Signed { hold: usize, result: Result<(), Unsigned> },
    /// One of its entries came back.
    Landed(Landed),
}

/// An entry that came back.
#[derive(Debug)]
pub(super) struct Landed {
    pub(super) key: usize,
    /// An error: nothing was sent.
    pub(super) flown: Result<Flown, Unsent>,
}

/// A request that ended.
#[derive(Debug)]
pub(super) struct Flown {
    pub(super) started: Instant,
    /// The generation of the token that signed it.
    pub(super) generation: u32,
    /// The octets of its body.
    pub(super) body_len: usize,
    /// Whether there is a shorter payload.
    pub(super) has_fallback: bool,
    pub(super) result: Result<Classified, TransportError>,
}

/// An entry that has its place.
#[derive(Debug)]
pub(super) struct Boarding {
    key: usize,
    slot: Arc<Slot>,
    ttl: Ttl,
    /// The token of a signer; none where the key is at hand.
    token: Option<Token>,
    /// The number of this attempt, from 1.
    attempt: u8,
}

impl<B: Book> Driver<B> {
    /// Fills the encryption with entries that may be sent.
    pub(super) fn pump(&mut self, now: Instant) {
        // Two batches a thread: one in hand, one waiting.
        let most = 2 * self.hub.pool.threads().max(1);
        self.gate_closed = false;
        while !self.halted && !self.gate_closed && self.encrypting < most {
            let boarding = self.board(now);
            if boarding.is_empty() {
                break;
            }
            self.submit(boarding, now);
        }
        self.share.ask(self.gate_closed);
        self.expire_paused(now);
    }

    /// Takes a batch of entries off the queues, in turns, with a place for each.
    fn board(&mut self, now: Instant) -> Vec<Boarding> {
        let mut boarding = Vec::new();
        while boarding.len() < BATCH
            && let Some(turn) = self.queues.turn(BATCH - boarding.len(), now)
        {
            for _ in 0..turn.entries {
                let Some(place) = self.share.take() else {
                    self.gate_closed = true;
                    break;
                };
                let Some(slot) = self.slot(turn.queue, place, now) else { break };
                let Some(Popped { key, paced }) = self.queues.pop(turn.queue, now) else { break };
                let boards = self.seat(key, slot, now);
                if paced && boards.is_none() {
                    self.queues.give_back();
                }
                boarding.extend(boards);
            }
            if self.queues.exists(turn.queue) {
                self.queues.list(turn.queue);
            }
            if self.gate_closed {
                break;
            }
        }
        boarding
    }

    /// A place at an origin too, if there is one.
    fn slot(&self, queue: usize, place: Place, now: Instant) -> Option<Slot> {
        let guest = self.queues.guest(queue).filter(|guest| guest.begin(now))?;
        let (guest, place) = (Arc::clone(guest), Mutex::new(Some(place)));
        Some(Slot { guest, place, started: OnceLock::new() })
    }

    /// Gives one entry its place, or settles it, or has it wait: for a signer, a probe or the budget.
    fn seat(&mut self, key: usize, slot: Slot, now: Instant) -> Option<Boarding> {
        let job = &mut self.jobs[key];
        let attempt = job.trial.attempts.saturating_add(1);
        let core = self.hub.sender.core();
        if let Some(settled) = job.trial.outlived(core, &job.entry.subscription, Duration::ZERO) {
            self.settle(key, settled, now);
            return None;
        }
        if !self.pays(key, now) {
            self.wait_for_budget(key, now);
            return None;
        }
        let job = &mut self.jobs[key];
        let (keyring, bound) = (self.keyring.keyring(), job.entry.key);
        let vapid = job.trial.vapid(keyring, bound).cloned();
        let origin = slot.guest.origin();
        let subscription = || job.entry.subscription.id();
        let settled = match (job.trial.ttl_left(self.message.ttl(), now), vapid) {
            (None, _) => job.trial.expire(),
            (_, None) => job.trial.keyless(keyring, bound),
            (Some(ttl), Some(vapid)) => match origin.leave(vapid.key_id(), subscription, now) {
                Leave::Go => {
                    let token = self.sign(key, vapid, origin, now).ok()?;
                    return Some(Boarding { key, slot: Arc::new(slot), ttl, token, attempt });
                }
                Leave::Wait(until) => {
                    // Not all at once: one of them is the next probe.
                    let due = later(until, AFTER_PROBE.mul_f64(self.rng.f64()));
                    self.retry(key, due, now);
                    return None;
                }
                Leave::Stopped(stop) => job.trial.settle_stopped(stop),
            },
        };
        self.settle(key, settled, now);
        None
    }

    /// Encrypts and sends a batch, in a task that needs no consumer to go on: what has its place
    /// must not keep it from others.
    fn submit(&mut self, boarding: Vec<Boarding>, now: Instant) {
        let hub = Arc::clone(&self.hub);
        let core = hub.sender.core();
        let mut lanes = Vec::with_capacity(boarding.len());
        for Boarding { key, slot, ttl, token, .. } in &boarding {
            let job = &mut self.jobs[*key];
            let vapid = job.vapid.clone().expect("boarding looked for it");
            lanes.push(job.lane(vapid, token.clone(), *ttl));
            job.slot = Arc::downgrade(slot);
            self.window.started(*key, job, now);
        }
        self.aloft += lanes.len();
        self.encrypting += 1;
        let subscriptions: Vec<_> = lanes.iter().map(|lane| Arc::clone(&lane.entry.subscription)).collect();
        let batch = Batch { core: Arc::clone(core), content: Arc::clone(&self.content), lanes };
        let encrypted = hub.pool.submit(batch);
        let span = tracing::debug_span!("batch", messages = boarding.len()).or_current();
        let passengers = boarding.into_iter().zip(subscriptions).collect();
        let flight = fly_batch(Arc::clone(core), passengers, encrypted, self.arrivals.clone());
        self.flights.spawn(flight.instrument(span));
    }

    /// The entries of a paused origin leave the window; a pause beyond the deadline is their end.
    fn expire_paused(&mut self, now: Instant) {
        while let Some((queue, pause)) = self.queues.pop_paused() {
            if self.book.ledger().is_some() {
                for key in self.queues.drain(queue).keys() {
                    self.put_off(key, Stall::Paused(pause), now);
                }
            } else if pause.until < self.deadline {
                self.queues.defer(queue, now, &mut self.jobs, &mut self.window);
            } else {
                for key in self.queues.drain(queue).keys() {
                    let settled = self.jobs[key].trial.expire();
                    self.settle(key, settled, now);
                }
            }
        }
    }
}

/// Waits for a batch's encryption, then sends it.
async fn fly_batch(
    core: Arc<Core>,
    passengers: Vec<(Boarding, Arc<Subscription>)>,
    encrypted: oneshot::Receiver<Vec<Encrypted>>,
    arrivals: mpsc::UnboundedSender<Arrival>,
) {
    // Empty when the encryptor panicked.
    let mut encrypted = encrypted.await.unwrap_or_default().into_iter();
    // The driver may be gone, and this task with it in a moment.
    let _ = arrivals.send(Arrival::Encrypted);
    let core = &*core;
    let mut flights: FuturesUnordered<_> =
        passengers.into_iter().map(|passenger| fly(core, passenger, encrypted.next())).collect();
    while let Some(landed) = flights.next().await {
        let _ = arrivals.send(Arrival::Landed(landed));
    }
}

async fn fly(
    core: &Core,
    (Boarding { key, slot, ttl, attempt, .. }, subscription): (Boarding, Arc<Subscription>),
    encrypted: Option<Encrypted>,
) -> Landed {
    let Sealed { prepared: Prepared { request, generation }, has_fallback } = match encrypted {
        Some(Ok(sealed)) => sealed,
        Some(Err(unsent)) => {
            if let Unsent::Engine(error) = &unsent {
                tracing::error!(%error, "a message could not be encrypted");
            }
            return Landed { key, flown: Err(unsent) };
        }
        None => return Landed { key, flown: Err(Unsent::Panicked) },
    };
    let body_len = request.body().len();
    let started = *slot.started.get_or_init(Instant::now);
    let exchange = core.exchange(slot.guest.origin(), &subscription, ttl, attempt, request);
    let result = AssertUnwindSafe(exchange).catch_unwind().await.unwrap_or_else(|_| {
        Err(TransportError::new(TransportErrorKind::Interrupted).with_source("the transport panicked"))
    });
    Landed { key, flown: Ok(Flown { started, generation, body_len, has_fallback, result }) }
}
