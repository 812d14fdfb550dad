//! Random operations on a journal, and on a plain model that says what must come of them.

mod act;
mod naive;

use self::naive::Model;
use super::JournalHarness;
use super::finish::totals;
use super::kit::*;
use crate::testing::store_suite::kit::user;
use crate::testing::store_suite::model::Random;
use crate::{BroadcastState, Urgency, UserId};

const NAMES: u32 = 5;
const USERS: [&str; 3] = ["ann", "bob", "cid"];
const STEPS: u32 = 800;
const MOST_OVER: usize = 3;
/// Each may move the clock by hours.
const MOST_EXPIRIES: u32 = 24;

/// A long random history of broadcasts is that of the model.
pub async fn agrees_with_a_model(harness: &dyn JournalHarness) {
    agrees_with_a_model_for(harness, 1).await;
}

/// The same with another history.
pub async fn agrees_with_a_model_for(harness: &dyn JournalHarness, seed: u64) {
    let nodes = handles(harness, 2).await;
    let mut run = Run {
        harness,
        nodes,
        model: Model::default(),
        random: Random::new(seed),
        held: Vec::new(),
        numbers: 0,
        expiries: 0,
    };
    for _ in 0..STEPS {
        run.step().await;
        let name = run.name();
        run.compare(&name).await;
    }
    run.compare_all().await;
}

/// What became of a lease.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Standing {
    Live,
    /// It was live when its broadcast was aborted.
    Aborted,
    Lost,
    /// The contract does not say what is answered, only that nothing is done.
    Open,
}

struct Held {
    number: u64,
    name: String,
    lease: Lease,
    standing: Standing,
    /// Of the last checkpoint.
    step: u64,
}

struct Run<'a> {
    harness: &'a dyn JournalHarness,
    nodes: Vec<Box<dyn Journal>>,
    model: Model,
    random: Random,
    held: Vec<Held>,
    /// Of leases, retries and failures: never the same twice.
    numbers: u64,
    expiries: u32,
}

/// The one endpoint of a user.
fn endpoint(of: &UserId) -> u32 {
    let place = USERS.iter().position(|name| of.as_str() == *name).expect("it is one of the users");
    u32::try_from(place).expect("small") + 1
}

impl Run<'_> {
    fn below(&mut self, end: usize) -> usize {
        self.random.below(u32::try_from(end).expect("small")) as usize
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn name(&mut self) -> String {
        format!("b{}", self.random.below(NAMES))
    }

    fn user(&mut self) -> UserId {
        let n = self.below(USERS.len());
        user(USERS[n])
    }

    async fn step(&mut self) {
        match self.random.below(48) {
            0..5 => self.begin().await,
            5..17 => self.lease().await,
            17..37 => self.checkpoint().await,
            37..39 => self.release().await,
            39 => self.expire().await,
            40 if self.random.below(2) == 0 => self.abort().await,
            41 => self.pause().await,
            42 if self.random.below(2) == 0 => self.forget().await,
            43 => self.purge().await,
            _ => self.put().await,
        }
    }

    async fn begin(&mut self) {
        let (name, variant) = (self.name(), u32::from(self.random.below(5) == 0));
        let urgency = if name.ends_with(['1', '3']) { Urgency::High } else { Urgency::Normal };
        let message = message(&format!("variant {variant}")).with_urgency(urgency);
        let new = NewBroadcast { message, ..broadcast(&name) };
        let parts = self.random.below(4).into();
        let node = self.below(self.nodes.len());
        let begun = self.nodes[node].begin(&new, &ranges(parts)).await;
        match self.model.broadcasts.get(&name).map(|known| known.variant) {
            None => {
                assert_eq!(begun.expect("begin"), Begun::Created);
                self.model.begin(&name, variant, urgency, parts);
            }
            Some(known) if known == variant => assert_eq!(begun.expect("begin"), Begun::Known),
            Some(_) => {
                let error = begun.expect_err("another broadcast");
                assert_eq!(error.kind(), JournalErrorKind::Conflict);
            }
        }
    }

    async fn lease(&mut self) {
        let (node, asked) = (self.below(self.nodes.len()), self.below(3) + 1);
        let batch = u16::try_from(asked).expect("small");
        let lease = lease(&*self.nodes[node], 1, batch).await;
        self.model.check_turn(lease.as_ref().map(|lease| lease.broadcast.id.as_str()));
        let Some(lease) = lease else { return };
        let (number, name) = (self.number(), lease.broadcast.id.to_string());
        let model = self.model.broadcasts.get_mut(&name).expect("it is known");
        match &lease.work {
            Work::Range { .. } => {
                let (part, after) = of_range(&lease);
                assert_eq!(model.take_part(part, number).after, after, "from the last checkpoint");
            }
            Work::Retries(batch) => {
                assert_eq!(batch.len(), asked.min(model.free_retries()));
                for due in batch {
                    let retry = model.retries.get_mut(&due.retry).expect("it is known");
                    assert!(retry.due && retry.lease.is_none(), "the retry is free");
                    assert_eq!((&due.user, due.tried), (&retry.user, retry.tried));
                    retry.lease = Some(number);
                    let now = entry(&*self.nodes[node], due.user.as_str(), endpoint(&due.user)).await;
                    let found = due.entry.as_ref().map(crate::store::Entry::reference);
                    assert_eq!(found, now.map(|entry| entry.reference()), "as it is now");
                }
            }
        }
        self.held.push(Held { number, name, lease, standing: Standing::Live, step: 0 });
        // Those that are over are tried again, but not only those.
        let over = self.held.iter().filter(|held| held.standing != Standing::Live).count();
        if over > MOST_OVER {
            let oldest = self.held.iter().position(|held| held.standing != Standing::Live);
            self.held.remove(oldest.expect("some are over"));
        }
    }

    async fn compare(&self, name: &str) {
        let journal = self.harness.journal();
        match self.model.broadcasts.get(name) {
            Some(model) => {
                model.check(&report(journal, name).await);
                assert_eq!(failures(journal, name, 50).await, model.failures());
            }
            None => assert!(journal.summary(&id(name)).await.expect("summary").is_none()),
        }
    }

    async fn compare_all(&self) {
        let journal = self.harness.journal();
        for name in (0..NAMES).map(|n| format!("b{n}")) {
            self.compare(&name).await;
        }
        assert_eq!(totals(journal, "news").await, self.model.totals);
        let listed = journal.recent(None, limit(100)).await.expect("recent");
        let names: Vec<_> = listed.iter().map(|summary| summary.id.to_string()).collect();
        assert_eq!(names, self.model.recent());
        let unfinished = journal.unfinished(None, limit(100)).await.expect("unfinished");
        let running = self.model.broadcasts.iter().filter(|(_, broadcast)| broadcast.runs());
        assert_eq!(unfinished, running.map(|(name, _)| id(name)).collect::<Vec<_>>());
        assert!(listed.iter().all(|summary| summary.report.state != BroadcastState::Failed));
    }
}
