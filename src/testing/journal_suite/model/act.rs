//! What workers and operators do.

use super::naive::outcomes;
use super::*;
use crate::store::Change;
use crate::{OriginReport, OutcomeKind};

/// Longer than all the hours that a clock may be moved by.
const LATER: std::time::Duration = WEEKS;

impl Run<'_> {
    pub(super) async fn checkpoint(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let at = self.below(self.held.len());
        let node = self.below(self.nodes.len());
        let Held { number, ref name, ref lease, standing, step: last } = self.held[at];
        let (name, token) = (name.clone(), lease.token);
        let is_range = matches!(lease.work, Work::Range { .. });
        if standing == Standing::Open || self.is_empty(number, &name, standing) {
            // Whatever is answered: it does nothing.
            drop(self.nodes[node].checkpoint(&token, step(last + 1)).await);
            self.held[at].step = last + 1;
            return;
        }
        let repeated = last > 0 && self.random.below(6) == 0;
        let step = if repeated { last } else { last + 1 };
        let checkpoint =
            if is_range { self.of_range(step, &name).await } else { self.of_batch(step, number, &name) };
        let current = self.current(&checkpoint).await;
        let state = self.nodes[node].checkpoint(&token, checkpoint.clone()).await;
        match standing {
            Standing::Lost => {
                let error = state.expect_err("the lease is lost");
                assert_eq!(error.kind(), JournalErrorKind::LeaseLost);
                return;
            }
            Standing::Aborted => return assert_eq!(state.expect("checkpoint"), State::Aborted),
            Standing::Live | Standing::Open => self.held[at].step = step,
        }
        let broadcast = self.model.broadcasts.get_mut(&name).expect("it runs");
        let running = State::Running(Control { paused: broadcast.paused, ..Control::default() });
        if repeated {
            return assert_eq!(state.expect("checkpoint"), running);
        }
        broadcast.add(number, &checkpoint, current);
        if checkpoint.done {
            self.held[at].standing = Standing::Lost;
        }
        let finished = self.end(&name);
        assert_eq!(state.expect("checkpoint"), if finished { State::Finished } else { running });
    }

    /// A batch whose retries all were settled or forgotten meanwhile.
    fn is_empty(&self, number: u64, name: &str, standing: Standing) -> bool {
        let broadcast = self.model.broadcasts.get(name);
        standing == Standing::Live && broadcast.is_none_or(|broadcast| !broadcast.holds(number))
    }

    /// How many entries the changes remove.
    async fn current(&self, checkpoint: &Checkpoint) -> u64 {
        let mut current = 0;
        for (reference, _) in &checkpoint.changes {
            for name in USERS {
                let now = entry(&*self.nodes[0], name, endpoint(&user(name))).await;
                current += u64::from(now.is_some_and(|now| now.reference() == *reference));
            }
        }
        current
    }

    async fn of_range(&mut self, step: u64, name: &str) -> Checkpoint {
        let (accepted, gone) = (self.random.below(5).into(), self.random.below(2).into());
        let mut checkpoint = self::step(step);
        checkpoint.counts = vec![OriginReport::new(FCM, outcomes(accepted, gone))];
        checkpoint.attempts = accepted + gone;
        for _ in 0..gone {
            let (owner, number) = (self.user(), self.number());
            checkpoint.failures.push(failed(owner.as_str(), number));
        }
        for _ in 0..self.random.below(3) {
            let (number, owner) = (self.number(), self.user());
            let after = [NOW, NOW, NOW, LATER][self.below(4)];
            let deferred = deferred_of(owner.as_str(), number, after);
            checkpoint.deferred.push(Deferred { entry: reference(endpoint(&owner).into()), ..deferred });
        }
        checkpoint.read = accepted + gone + checkpoint.deferred.len() as u64;
        if self.random.below(3) > 0 {
            checkpoint.position = Some(position(self.number()));
        }
        let known = self.model.broadcasts.get(name).map(|b| b.retries.keys().copied().collect::<Vec<_>>());
        let known = known.unwrap_or_default();
        if !known.is_empty() && self.random.below(3) == 0 {
            let retry = known[self.below(known.len())];
            checkpoint.settled.push(SettledRetry { retry, ..settled(0) });
        }
        if self.random.below(4) == 0 {
            let owner = self.user();
            let stale = reference(endpoint(&owner).into());
            let now = entry(&*self.nodes[0], owner.as_str(), endpoint(&owner)).await;
            let reference = now.filter(|_| self.below(2) == 0).map_or(stale, |now| now.reference());
            checkpoint.changes.push((reference, Change::Remove));
        }
        checkpoint.done = self.random.below(2) == 0;
        checkpoint.timed_out = checkpoint.done && self.random.below(4) == 0;
        checkpoint
    }

    fn of_batch(&mut self, step: u64, number: u64, name: &str) -> Checkpoint {
        let mut checkpoint = self::step(step);
        checkpoint.done = self.below(2) == 0;
        let broadcast = self.model.broadcasts.get(name);
        let held = broadcast.into_iter().flat_map(|broadcast| &broadcast.retries);
        let held: Vec<_> = held
            .filter(|(_, retry)| retry.lease == Some(number))
            .map(|(id, retry)| (*id, retry.user.clone()))
            .collect();
        for (retry, owner) in held {
            match self.random.below(4) {
                0 | 1 => {
                    let number = self.number();
                    let failure = Some(failed(owner.as_str(), number));
                    let (outcome, failure) =
                        [(OutcomeKind::Accepted, None), (OutcomeKind::Gone, failure)][self.below(2)].clone();
                    checkpoint.settled.push(SettledRetry { retry, outcome, failure, ..settled(0) });
                }
                // Whether others may have it while the lease goes on is not said.
                2 if checkpoint.done => {
                    let after = [NOW, NOW, NOW, LATER][self.below(4)];
                    let tried = Tried::new(u8::try_from(self.random.below(9)).expect("small"), 1, true);
                    let deferred = deferred_of(owner.as_str(), 0, after);
                    let entry = reference(endpoint(&owner).into());
                    checkpoint.deferred.push(Deferred { retry, entry, tried, ..deferred });
                }
                _ => {}
            }
        }
        checkpoint.attempts = checkpoint.settled.len() as u64;
        checkpoint
    }

    /// Ends a broadcast that has nothing left.
    fn end(&mut self, name: &str) -> bool {
        let ended = self.model.end(name);
        if ended {
            self.stand(name, Standing::Open);
        }
        ended
    }

    /// Where the live leases of a broadcast stand now.
    fn stand(&mut self, name: &str, standing: Standing) {
        for held in self.held.iter_mut().filter(|held| held.name == name) {
            if held.standing == Standing::Live {
                held.standing = standing;
            }
        }
    }

    pub(super) async fn release(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let at = self.below(self.held.len());
        let held = &mut self.held[at];
        release(&*self.nodes[0], &held.lease).await;
        match held.standing {
            Standing::Live => {
                held.standing = Standing::Lost;
                let broadcast = self.model.broadcasts.get_mut(&held.name).expect("it runs");
                broadcast.give_back(held.number, false);
            }
            Standing::Aborted => held.standing = Standing::Open,
            Standing::Lost | Standing::Open => {}
        }
    }

    pub(super) async fn expire(&mut self) {
        if self.expiries == MOST_EXPIRIES {
            return;
        }
        self.expiries += 1;
        self.harness.expire_leases().await;
        for held in &mut self.held {
            match held.standing {
                Standing::Live => {
                    held.standing = Standing::Lost;
                    let broadcast = self.model.broadcasts.get_mut(&held.name).expect("it runs");
                    broadcast.give_back(held.number, true);
                }
                Standing::Aborted => held.standing = Standing::Open,
                Standing::Lost | Standing::Open => {}
            }
        }
    }

    pub(super) async fn abort(&mut self) {
        let name = self.name();
        let report = self.nodes[0].abort(&id(&name)).await;
        let Some(broadcast) = self.model.broadcasts.get_mut(&name) else {
            return assert_eq!(report.expect_err("it is unknown").kind(), JournalErrorKind::Unknown);
        };
        if broadcast.runs() {
            broadcast.abort();
            broadcast.check(&report.expect("abort"));
            self.stand(&name, Standing::Aborted);
        } else {
            broadcast.check(&report.expect("abort"));
        }
    }

    pub(super) async fn pause(&mut self) {
        let name = self.name();
        let Some(broadcast) = self.model.broadcasts.get_mut(&name).filter(|broadcast| broadcast.runs())
        else {
            return;
        };
        broadcast.paused = !broadcast.paused;
        let control = Control { paused: broadcast.paused, ..Control::default() };
        self.nodes[0].control(&id(&name), control).await.expect("control");
    }

    pub(super) async fn forget(&mut self) {
        let user = self.user();
        self.nodes[1].forget(&user).await.expect("forget");
        let names: Vec<String> = self.model.broadcasts.keys().cloned().collect();
        for name in names {
            self.model.broadcasts.get_mut(&name).expect("it is known").forget(&user);
            self.end(&name);
        }
    }

    pub(super) async fn purge(&mut self) {
        let ended = self.model.ended();
        assert_eq!(self.nodes[1].purge(NOW).await.expect("purge"), ended.len() as u64);
        self.model.broadcasts.retain(|name, _| !ended.contains(name));
        self.held.retain(|held| !ended.contains(&held.name));
    }

    pub(super) async fn put(&mut self) {
        let (owner, keys) = (self.user(), u8::try_from(self.random.below(4)).expect("small"));
        let new = entry_of(owner.as_str(), endpoint(&owner), keys);
        self.nodes[0].put(&[new]).await.expect("put");
    }
}
