//! What another node does to a broadcast while workers run: they see it within their next checkpoint.

use std::time::Duration;

use tokio::time::sleep;
use webpush_channels::channel::Worker;
use webpush_channels::store::journal::{Control, Journal as _};
use webpush_channels::{BroadcastId, BroadcastState};

use crate::nodes::{Store, each_once, enqueue, finish, nodes, report, until, worker};
use crate::postgres::Database;
use crate::support::{Double, broadcast, status};

const WINDOW: usize = 8;
/// What both workers may still send before their checkpoints are answered: a window that is in hand, and the rest of
/// one whose checkpoint is on its way, for each of two leases.
const IN_HAND: usize = 2 * 2 * 2 * WINDOW;

struct Setting {
    database: Database,
    other: Store,
    transport: Double,
    workers: [Worker; 2],
    id: BroadcastId,
}

async fn setting(members: usize) -> Setting {
    let (database, [one, two, other]) = nodes(members).await;
    let id = enqueue(&other, broadcast()).await;
    let transport = Double::slow(|_, _| (Duration::from_millis(20), status(201)));
    let workers = [worker(&one, &transport, WINDOW).build(), worker(&two, &transport, WINDOW).build()];
    Setting { database, other, transport, workers, id }
}

impl Setting {
    async fn busy(&self) {
        until("the middle", async || self.transport.seen().len() >= 64).await;
    }

    async fn set(&self, control: Control) {
        self.other.control(&self.id, control).await.unwrap();
    }

    async fn leases(&self) -> i64 {
        let client = self.database.client().await;
        client.query_one("SELECT count(*) FROM webpush_channels.leases", &[]).await.unwrap().get(0)
    }
}

fn at_rate(per_minute: Option<u32>) -> Control {
    let mut control = Control::default();
    control.per_minute = per_minute.map(|rate| rate.try_into().unwrap());
    control
}

#[tokio::test]
async fn an_abort_by_another_node_stops_workers() {
    let setting = setting(1000).await;
    let abort = async {
        setting.busy().await;
        let before = setting.transport.seen().len();
        let report = setting.other.abort(&setting.id).await.unwrap();
        assert_eq!(report.state, BroadcastState::Aborted);
        (before, report)
    };
    let ((), (before, aborted)) = tokio::join!(finish(&setting.workers), abort);
    let after = setting.transport.seen().len() - before;
    assert!(after <= IN_HAND, "{after} were sent after the abort");
    let last = report(&setting.other, &setting.id).await;
    assert_eq!(
        (last.state, last.counts),
        (BroadcastState::Aborted, aborted.counts),
        "nothing is counted any more"
    );
    assert_eq!(setting.transport.in_flight(), 0);
}

#[tokio::test]
async fn a_pause_by_another_node_is_kept_until_it_ends() {
    let setting = setting(400).await;
    let pause = async {
        setting.busy().await;
        let before = setting.transport.seen().len();
        let mut paused = Control::default();
        paused.paused = true;
        setting.set(paused).await;
        until("the release", async || setting.leases().await == 0).await;
        let sent = setting.transport.seen().len();
        assert!(sent - before <= IN_HAND, "{} were sent after the pause", sent - before);
        sleep(Duration::from_millis(300)).await;
        assert_eq!((setting.transport.seen().len(), setting.leases().await), (sent, 0));
        assert_eq!(report(&setting.other, &setting.id).await.state, BroadcastState::Running);
        setting.set(Control::default()).await;
    };
    tokio::join!(finish(&setting.workers), pause);
    let last = report(&setting.other, &setting.id).await;
    assert_eq!(last.state, BroadcastState::Finished, "{last}");
    each_once(&last, &[setting.transport], 400);
}

#[tokio::test]
async fn a_rate_by_another_node_is_that_of_all_workers_together() {
    let setting = setting(600).await;
    let limit = async {
        setting.busy().await;
        let before = setting.transport.seen().len();
        setting.set(at_rate(Some(1200))).await;
        sleep(Duration::from_secs(2)).await;
        let sent = setting.transport.seen().len() - before;
        // Twenty a second, and what a bucket holds for each lease.
        assert!((10..=IN_HAND + 2 * 40).contains(&sent), "{sent} were sent in two seconds");
        setting.set(at_rate(None)).await;
    };
    tokio::join!(finish(&setting.workers), limit);
    let last = report(&setting.other, &setting.id).await;
    assert_eq!(last.state, BroadcastState::Finished, "{last}");
    each_once(&last, &[setting.transport], 600);
}
