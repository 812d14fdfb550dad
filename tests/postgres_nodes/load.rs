//! What workers cost their server, and how soon they hear of work.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::meter::Meter;
use crate::nodes::{HOST, each_once, enqueue, finish, nodes, report, until, work_until, worker};
use crate::postgres::{Database, port};
use crate::support::{Double, answer, at, broadcast, members, status};

const POLL: Duration = Duration::from_secs(60);
pub const LISTENS: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";
const CONNECTIONS: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
    AND application_name = 'webpush-channels'";

#[tokio::test]
async fn a_worker_hears_at_once_of_what_another_node_enqueues() {
    let (database, [one, other]) = nodes(2).await;
    let client = database.client().await;
    let transport = Double::accepting();
    let worker = worker(&one, &transport, 8).poll(POLL).build();
    let mut enqueued = None;
    let mut heard = Vec::new();
    work_until(&worker, "the messages", async || {
        // It has looked, and waits now.
        let listens: i64 = client.query_one(LISTENS, &[]).await.unwrap().get(0);
        if listens == 1 && enqueued.is_none() {
            sleep(Duration::from_millis(200)).await;
            enqueue(&other, broadcast()).await;
            enqueued = Some(Instant::now());
        }
        heard = transport.seen();
        heard.len() == 2
    })
    .await;
    let first = heard.iter().map(|seen| seen.at).min().unwrap();
    let waited = first.saturating_duration_since(enqueued.unwrap());
    println!("heard after {waited:?}");
    assert!(waited < Duration::from_secs(2), "it heard of it after {waited:?}");
}

/// What begins is over: nothing but what comes from time to time is left.
async fn quiet(meter: &Meter) {
    let mut before = 0;
    until("quiet", async || {
        sleep(Duration::from_millis(500)).await;
        let more = meter.statements() - before;
        before += more;
        more <= 1
    })
    .await;
}

/// How many statements a second a worker sends while this is so.
async fn statements(meter: &Meter) -> f64 {
    let (before, from) = (meter.statements(), Instant::now());
    sleep(Duration::from_millis(2500)).await;
    let sent = f64::from(u32::try_from(meter.statements() - before).unwrap());
    sent / from.elapsed().as_secs_f64()
}

#[tokio::test]
async fn an_idle_worker_leaves_its_server_in_peace() {
    let database = Database::new().await;
    let meter = Meter::new(port(database.url())).await;
    let store = database.builder().url(meter.url(database.url())).connect().await.unwrap();
    let store = Arc::new(store);
    let other = Arc::new(database.store().await);
    members(Arc::clone(&other), at(HOST, 3)).await;
    let transport = Double::new(|_, _| answer(503, &[("retry-after", "600")], ""));
    let worker = worker(&store, &transport, 8).poll(POLL).build();
    let mut rates = [0.0; 2];
    work_until(&worker, "the measures", async || {
        quiet(&meter).await;
        rates[0] = statements(&meter).await;
        // Now there is something that is to be done, later.
        let id = enqueue(&other, broadcast()).await;
        until("deferral", async || report(&other, &id).await.pending == 3).await;
        quiet(&meter).await;
        rates[1] = statements(&meter).await;
        true
    })
    .await;
    let [nothing, later] = rates;
    println!("statements a second: {nothing} without work, {later} with work that is due later");
    assert!(nothing < 0.5, "{nothing} statements a second without work");
    assert!((0.2..2.0).contains(&later), "{later} statements a second while retries are due later");
}

#[tokio::test]
async fn one_connection_is_enough_for_many_leases() {
    let database = Database::new().await;
    let store = Arc::new(database.builder().max_connections(1).connect().await.unwrap());
    members(Arc::clone(&store), at(HOST, 600)).await;
    let id = enqueue(&store, broadcast()).await;
    let transport = Double::slow(|_, _| (Duration::from_millis(10), status(201)));
    finish(&[worker(&store, &transport, 32).leases(8.try_into().unwrap()).build()]).await;
    each_once(&report(&store, &id).await, &[transport], 600);
}

#[tokio::test]
async fn a_worker_uses_no_more_connections_than_it_was_given() {
    let (database, [one]) = nodes(200).await;
    let client = database.client().await;
    enqueue(&one, broadcast()).await;
    let transport = Double::slow(|_, _| (Duration::from_millis(10), status(201)));
    let workers = [worker(&one, &transport, 4).leases(8.try_into().unwrap()).build()];
    let mut most = 0;
    let watch = async {
        until("the end", async || {
            most = most.max(client.query_one(CONNECTIONS, &[]).await.unwrap().get::<_, i64>(0));
            transport.seen().len() == 200
        })
        .await;
    };
    tokio::join!(finish(&workers), watch);
    // Four, and the one that listens.
    assert!((2..=5).contains(&most), "{most}");
}
