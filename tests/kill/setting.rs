//! What the tests have in common: subscriptions in a database, a broadcast to them, and the receivers.

use std::sync::Arc;
use std::time::Duration;

use webpush_channels::channel::{Broadcast, DurableChannel, Publication};
use webpush_channels::engine::vapid::VapidKey;
use webpush_channels::store::journal::Journal;
use webpush_channels::store::{Audience, NewEntry};
use webpush_channels::testing::UserAgent;
use webpush_channels::{
    BroadcastId, BroadcastState, ChannelName, Message, Payload, Report, Subscription, SubscriptionKeys, Ttl,
    UserId,
};

use super::database::Database;
use super::node::Node;
use super::receivers::{Kind, Receivers};
use super::support::temp::TempDir;

/// Entries that a node has in hand of one lease, and requests that it has in flight: small, so that the bound on
/// duplicates says something.
pub const WINDOW: usize = 64;
pub const IN_FLIGHT: usize = 64;
pub const TERM: Duration = Duration::from_secs(3);

/// Two devices each.
const DEVICES: usize = 2;

pub struct Setting {
    pub database: Database,
    pub journal: Arc<dyn Journal>,
    pub receivers: Receivers,
    pub subscriptions: usize,
    directory: TempDir,
    started: usize,
}

impl Setting {
    /// A broadcast that was begun, and that nobody sends yet.
    pub async fn new(database: Database, subscriptions: usize) -> Self {
        let directory = TempDir::new();
        let key = VapidKey::generate().unwrap().to_pkcs8_pem();
        std::fs::write(directory.join("vapid.pem"), key.expose()).unwrap();
        let journal = database.open().await;
        let receivers = Receivers::start(subscriptions).await;
        let setting = Self { database, journal, receivers, subscriptions, directory, started: 0 };
        setting.fill().await;
        let message = Message::new(Payload::new("goal!").unwrap(), Ttl::hours(1));
        let publication = Publication::new(channel(), Broadcast::new(message).with_id(id()));
        DurableChannel::new(Arc::clone(&setting.journal)).enqueue(publication).await.unwrap();
        setting
    }

    async fn fill(&self) {
        // Making keys takes longer than anything else, and nobody decrypts.
        let keys: Vec<SubscriptionKeys> = (0..8).map(|seed| UserAgent::seeded(seed).keys().clone()).collect();
        let numbers: Vec<_> = (0..self.subscriptions).collect();
        let Audience::Channel(name) = channel() else { unreachable!("it is one") };
        for batch in numbers.chunks(1000) {
            let entry = |number: &usize| {
                let endpoint = self.receivers.endpoint(*number).parse().unwrap();
                let user = UserId::new(format!("user-{}", number / DEVICES)).unwrap();
                NewEntry::new(user, Subscription::new(endpoint, keys[number % keys.len()].clone()))
            };
            let entries: Vec<_> = batch.iter().map(entry).collect();
            let mut users: Vec<_> = entries.iter().map(|entry| entry.user.clone()).collect();
            users.dedup();
            self.journal.put(&entries).await.unwrap();
            self.journal.join(&name, &users).await.unwrap();
        }
    }

    /// How many subscriptions are to get the message.
    pub fn live(&self) -> u64 {
        (0..self.subscriptions).filter(|number| Kind::of(*number) != Kind::Dead).count() as u64
    }

    /// Starts another node.
    pub fn node(&mut self) -> Node {
        self.started += 1;
        Node::start(&self.database, self.directory.path(), self.started)
    }

    pub async fn report(&self) -> Report {
        self.journal.report(&id()).await.unwrap().unwrap()
    }

    /// Waits until so many were reached, as long as the nodes live.
    pub async fn reached(&self, at_least: u64, nodes: &mut [Node]) {
        for _ in 0..60_000 {
            if self.receivers.reached() >= at_least {
                return;
            }
            nodes.iter_mut().for_each(Node::expect_running);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("{} of {at_least} were reached: {:?}", self.receivers.reached(), self.report().await);
    }

    /// Waits until the broadcast has ended, as long as the nodes live.
    pub async fn ended(&self, nodes: &mut [Node]) -> Report {
        for _ in 0..1500 {
            let report = self.report().await;
            if report.state != BroadcastState::Running {
                return report;
            }
            nodes.iter_mut().for_each(Node::expect_running);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let logs: Vec<_> = nodes.iter().map(Node::log).collect();
        panic!("it does not end: {:?}\n{}", self.report().await, logs.join("\n"));
    }
}

pub fn channel() -> Audience {
    Audience::Channel(ChannelName::new("news").unwrap())
}

pub fn id() -> BroadcastId {
    BroadcastId::new("goal-1").unwrap()
}
