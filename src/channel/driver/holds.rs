//! Entries that wait for a signer: they hold no place and no thread, and soon not the window.

use std::sync::Arc;

use slab::Slab;
use tokio::time::Instant;

use super::Driver;
use super::book::Book;
use super::flight::Arrival;
use super::queues::Stall;
use crate::engine::vapid::{Readiness, Token, Vapid};
use crate::sender::origin::{OriginState, SILENCE};
use crate::sender::trial::Step;
use crate::sender::{Unsigned, later};
use crate::{KeyId, Origin};

/// By what they wait for.
#[derive(Debug, Default)]
pub(super) struct Holds(Slab<Hold>);

/// Those that wait for one key's token for one origin.
#[derive(Debug)]
struct Hold {
    key: KeyId,
    origin: Origin,
    since: Instant,
    /// It takes so long that they are better counted outside the window.
    slow: bool,
    entries: Vec<usize>,
}

/// An entry waits.
#[derive(Debug)]
pub(super) struct Held;

impl Holds {
    fn find(&self, key: KeyId, origin: &Origin) -> Option<usize> {
        let mut holds = self.0.iter();
        holds.find(|(_, hold)| hold.key == key && hold.origin == *origin).map(|(number, _)| number)
    }

    /// When the next one is found to be slow.
    pub(super) fn wake(&self) -> Option<Instant> {
        self.0.iter().filter(|(_, hold)| !hold.slow).map(|(_, hold)| hold.since + SILENCE).min()
    }

    /// Nobody waits any more. What the signers answer is for others.
    pub(super) fn clear(&mut self) {
        self.0.iter_mut().for_each(|(_, hold)| hold.entries.clear());
    }
}

impl<B: Book> Driver<B> {
    /// The token that an entry is signed with; none where the key is at hand.
    pub(super) fn sign(
        &mut self,
        key: usize,
        vapid: Vapid,
        origin: &Arc<OriginState>,
        now: Instant,
    ) -> Result<Option<Token>, Held> {
        let token = match vapid.readiness(origin.origin().as_str()) {
            Readiness::OnDemand => None,
            Readiness::Ready { token, ending } => {
                if ending {
                    self.hub.sender.core().signing.next_token(&vapid, origin.origin());
                }
                Some(token)
            }
            Readiness::Missing => {
                self.hold(key, &vapid, origin.origin(), now);
                return Err(Held);
            }
        };
        self.jobs[key].vapid = Some(vapid);
        Ok(token)
    }

    fn hold(&mut self, key: usize, vapid: &Vapid, origin: &Origin, now: Instant) {
        let number = self.holds.find(vapid.key_id(), origin).unwrap_or_else(|| self.ask(vapid, origin, now));
        self.holds.0[number].entries.push(key);
        if self.holds.0[number].slow {
            self.relieve_hold(number, now);
        }
    }

    /// Asks the signer, in a task that nobody needs to poll. Returns the number of who waits.
    fn ask(&mut self, vapid: &Vapid, origin: &Origin, now: Instant) -> usize {
        let (key, origin) = (vapid.key_id(), origin.clone());
        let (signed, since) = self.hub.sender.core().signing.token(vapid, &origin);
        // Others may wait for it already.
        let slow = since + SILENCE <= now;
        let hold = Hold { key, origin, since, slow, entries: Vec::new() };
        let number = self.holds.0.insert(hold);
        let arrivals = self.arrivals.clone();
        self.flights.spawn(async move {
            let result = signed.await;
            // The driver may be gone, and this task with it in a moment.
            let _ = arrivals.send(Arrival::Signed { hold: number, result });
        });
        number
    }

    /// A signer answered: the entries go on, or fail for this time.
    pub(super) fn signed(&mut self, number: usize, result: Result<(), Unsigned>, now: Instant) {
        let Some(hold) = self.holds.0.try_remove(number) else { return };
        for key in hold.entries {
            let Err(unsigned) = &result else {
                self.ready(key, now);
                continue;
            };
            match self.jobs[key].trial.unsigned(self.hub.sender.core(), unsigned, now) {
                Step::Settle(settled) => self.settle(key, settled, now),
                Step::Again(wait) => self.retry(key, later(now, wait), now),
            }
        }
    }

    /// The keyring is another one: whoever waits may have another key now.
    pub(super) fn release_holds(&mut self, now: Instant) {
        let waiting = self.holds.0.iter_mut().flat_map(|(_, hold)| std::mem::take(&mut hold.entries));
        for key in waiting.collect::<Vec<_>>() {
            self.ready(key, now);
        }
    }

    /// Takes the entries that wait for slow signers out of the window.
    pub(super) fn relieve_holds(&mut self, now: Instant) {
        let slow =
            |(number, hold): (usize, &Hold)| (!hold.slow && hold.since + SILENCE <= now).then_some(number);
        for number in self.holds.0.iter().filter_map(slow).collect::<Vec<_>>() {
            self.holds.0[number].slow = true;
            self.relieve_hold(number, now);
        }
    }

    fn relieve_hold(&mut self, number: usize, now: Instant) {
        let hold = &mut self.holds.0[number];
        if self.book.ledger().is_none() {
            for key in &hold.entries {
                self.window.defer(&mut self.jobs[*key]);
            }
            return;
        }
        for key in std::mem::take(&mut hold.entries) {
            self.put_off(key, Stall::Slow, now);
        }
    }
}
