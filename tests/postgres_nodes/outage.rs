//! The server goes away in the middle of a broadcast.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use webpush_channels::channel::DurableChannel;
use webpush_channels::store::journal::{Journal as _, JournalErrorKind};
use webpush_channels::{BroadcastState, OutcomeKind};

use crate::load::LISTENS;
use crate::nodes::{HOST, each_once, enqueue, finish, publication, report, times, until, worker};
use crate::postgres::{Database, port};
use crate::proxy::Proxy;
use crate::server::Server;
use crate::support::{Double, at, broadcast, members, status};

const MEMBERS: usize = 800;
const AWAY: Duration = Duration::from_secs(3);

fn slow() -> Double {
    Double::slow(|_, _| (Duration::from_millis(20), status(201)))
}

/// Both stores hear of new work.
async fn both_listen(server: &Server) {
    let client = server.client().await;
    until("both listen", async || client.query_one(LISTENS, &[]).await.unwrap().get::<_, i64>(0) == 2).await;
}

#[tokio::test]
async fn a_server_that_crashes_costs_neither_leases_nor_messages() {
    let server = Server::start().await;
    let (one, other) = (server.store().await, server.store().await);
    members(Arc::clone(&one), at(HOST, MEMBERS)).await;
    let id = enqueue(&one, broadcast()).await;
    for store in [&one, &other] {
        store.wait(Duration::ZERO).await;
    }
    both_listen(&server).await;
    let transport = slow();
    let workers = [worker(&one, &transport, 16).build(), worker(&other, &transport, 16).build()];
    let crash = async {
        until("the middle", async || transport.seen().len() >= 100).await;
        assert!(transport.seen().len() < MEMBERS / 2);
        server.crash().await;
        let crashed = Instant::now();
        let channel = DurableChannel::new(Arc::clone(&one));
        for _ in 0..2 {
            let error = channel.enqueue(publication(broadcast())).await.unwrap_err();
            assert_eq!((error.kind(), error.is_retryable()), (JournalErrorKind::Unavailable, true));
        }
        assert!(crashed.elapsed() < Duration::from_secs(1), "it fails after {:?}", crashed.elapsed());
        sleep_until(crashed + AWAY).await;
        server.recover().await;
        until("an answer", async || channel.journal().check().await.is_ok()).await;
        both_listen(&server).await;
    };
    tokio::join!(finish(&workers), crash);
    let last = report(&one, &id).await;
    assert_eq!(last.state, BroadcastState::Finished, "{last}");
    each_once(&last, &[transport], MEMBERS);
    drop((workers, one, other));
    server.remove().await;
}

#[tokio::test]
async fn an_outage_that_outlasts_leases_repeats_their_windows_at_most() {
    const WINDOW: usize = 16;
    let database = Database::new().await;
    let mut proxy = Proxy::new(port(database.url())).await;
    let url = proxy.url(database.url());
    let connect = async || Arc::new(database.builder().url(url.as_str()).connect().await.unwrap());
    let (one, other) = (connect().await, connect().await);
    members(Arc::clone(&one), at(HOST, MEMBERS)).await;
    let id = enqueue(&one, broadcast()).await;
    let transport = slow();
    let term = Duration::from_secs(1);
    let workers = [&one, &other].map(|store| worker(store, &transport, WINDOW).term(term).build());
    let away = async {
        until("the middle", async || transport.seen().len() >= 100).await;
        proxy.stop().await;
        sleep(2 * term).await;
        proxy.start();
    };
    tokio::join!(finish(&workers), away);
    let last = report(&one, &id).await;
    let members = MEMBERS as u64;
    assert_eq!((last.state, last.read, last.pending), (BroadcastState::Finished, members, 0), "{last}");
    assert_eq!(last.counts[OutcomeKind::Accepted], members, "{last}");
    let times = times(std::slice::from_ref(&transport));
    assert_eq!(times.len(), MEMBERS, "nobody is left out");
    let extra = u64::try_from(transport.seen().len() - MEMBERS).unwrap();
    assert!(last.takeovers > 0 && extra > 0, "{extra} were sent to again: {last}");
    assert!(extra <= last.takeovers * WINDOW as u64, "{extra} were sent to again: {last}");
}
