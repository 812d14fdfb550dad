//! Whoever lets go, whenever: at each poll of what is awaited, and at each call of a store or a push service.

use std::future::Future;
use std::num::{NonZeroU16, NonZeroUsize};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::{sleep, timeout};
use webpush_channels::BroadcastState;
use webpush_channels::channel::{Channel as _, Worker};
use webpush_channels::store::Change;
use webpush_channels::store::journal::{Begun, Journal};

use super::checks;
use super::direct::{World, publication, quiet};
use super::durable::{Deeds, enqueue, id};
use super::members::{self, channel, user};
use super::mutants::Broken;
use super::plan::{Manner, Plan, rng};
use super::record::{Rule, Violation};

/// Lets a future go after so many polls. Nothing when it was done before.
struct Polls<F> {
    future: Pin<Box<F>>,
    left: usize,
}

impl<F: Future> Future for Polls<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        let polled = self.future.as_mut().poll(context);
        if polled.is_pending() && self.left == 0 {
            return Poll::Ready(None);
        }
        polled.map(Some)
    }
}

/// What it gives, where it is done within so many polls; else it is dropped.
async fn polled<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    Polls { future: Box::pin(future), left: polls }.await
}

/// Some push services of every kind, and few members: everything is tried at each point.
fn plan(window: usize) -> Plan {
    let mut plan = Plan::draw(11).calm();
    plan.manners = vec![
        Manner::Fine,
        Manner::Gone,
        Manner::Slow,
        Manner::Torn,
        Manner::Busy { after: 7, until: 20 },
        Manner::Dead,
    ];
    (plan.users, plan.volatile) = (vec![2, 1, 3, 1, 2, 3], 6);
    plan.limits = plan.limits.with_window(window).with_in_flight(4).with_deferred(3);
    (plan.per_origin, plan.attempts, plan.ttl) = (3, 3, 3600);
    (plan.send_within, plan.collapses, plan.fallback) = (Duration::from_secs(600), true, false);
    plan.withholding.clear();
    plan
}

fn run<F: Future<Output = T>, T>(case: F) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(case)
}

fn holds(world: &World, what: &str) {
    let violations: Vec<Violation> = world.violations();
    assert!(violations.is_empty(), "{what}: {violations:#?}");
}

/// A hub whose broadcast was let go sends another one to everybody: all places are free again.
async fn once_more(world: &World, hub: &webpush_channels::channel::Channels) {
    let publication = world.publication(1);
    let report = timeout(Duration::from_secs(900), hub.publish(publication)).await;
    match report {
        Ok(Ok(report)) => world.record.facts().check(
            report.state == BroadcastState::Finished && report.pending == 0,
            Rule::Ends,
            || format!("the next one: {report}"),
        ),
        other => world.record.facts().wrong(Rule::Ends, format!("the next one: {other:?}")),
    }
}

/// Lets a stream go after so many polls of it. Whether it had ended before.
async fn drop_stream(window: usize, polls: usize, broken: Option<Broken>) -> (World, bool) {
    let world = World::new(plan(window), broken, None).await;
    let hub = world.hub(0);
    let deliveries = hub.deliveries(world.publication(0));
    let ended = polled(deliveries.for_each(|_| std::future::ready(())), polls).await.is_some();
    quiet(&world, None).await;
    once_more(&world, &hub).await;
    checks::always(&world);
    members::check_rows(&world.inner, &world.plan, &world.record).await;
    (world, ended)
}

#[test]
fn a_stream_that_is_let_go_at_any_poll_leaves_nothing_behind() {
    for window in [2, 64] {
        let ends = (0..5000).find(|polls| {
            let (world, ended) = run(drop_stream(window, *polls, None));
            holds(&world, &format!("window {window}, let go after {polls} polls"));
            ended
        });
        let ends = ends.expect("it ends");
        println!("window {window}: {ends} polls");
        assert!(ends > 50, "there is something to let go: {ends}");
    }
}

#[test]
fn what_goes_on_after_it_was_let_go_is_found() {
    let found = (0..100).find(|polls| {
        let (world, _) = run(drop_stream(7, *polls, Some(Broken::Detaches)));
        world.violations().iter().any(|violation| violation.rule == Rule::Quiet)
    });
    assert!(found.is_some());
}

/// Lets a broadcast go at the call of this number. Whether it had ended before.
async fn drop_at_call(call: usize) -> bool {
    let world = World::new(plan(7), None, Some(call)).await;
    let hub = world.hub(0);
    let news = hub.channel(&channel(0));
    let ended = tokio::select! {
        report = news.publish(world.broadcast(0)) => report.is_ok(),
        () = world.record.steps.reached() => false,
    };
    world.record.steps.disarm();
    quiet(&world, None).await;
    once_more(&world, &hub).await;
    checks::always(&world);
    members::check_rows(&world.inner, &world.plan, &world.record).await;
    holds(&world, &format!("let go at call {call}"));
    ended
}

#[test]
fn a_broadcast_that_is_let_go_at_any_call_leaves_nothing_behind() {
    let calls = (0..5000).find(|call| run(drop_at_call(*call))).expect("it ends");
    println!("{calls} calls");
    assert!(calls > 40, "there is something to let go: {calls}");
}

const DEEDS: Deeds = Deeds { crashes: true, steered: false, rate: None };
const LEASES: NonZeroUsize = NonZeroUsize::new(2).unwrap();

/// Lets a worker go, then has another one finish. Whether the first had finished.
async fn drop_worker(polls: Option<usize>, call: Option<usize>) -> bool {
    let world = World::new(plan(3), None, call).await;
    let stable = members::stable(&world.inner, &world.plan).await;
    let what = format!("let go after {polls:?} polls, at call {call:?}");
    // At the call that enqueues, too.
    let enqueued = async {
        enqueue(world.clone(), 0, None, Duration::ZERO, 3).await;
        let worker = Worker::builder(world.hub(0), Arc::clone(&world.store)).leases(LEASES).build();
        polled(worker.run_until_idle(), polls.unwrap_or(usize::MAX)).await.is_some_and(|done| done.is_ok())
    };
    let done = tokio::select! {
        done = enqueued => done,
        () = world.record.steps.reached() => false,
    };
    world.record.steps.disarm();
    quiet(&world, Some(0)).await;
    enqueue(world.clone(), 0, None, Duration::ZERO, 3).await;
    let worker = Worker::builder(world.hub(1), Arc::clone(&world.store)).build();
    timeout(Duration::from_secs(3600), worker.run_until_idle()).await.expect("it ends").unwrap();
    quiet(&world, None).await;
    checks::durable(&world, 0, DEEDS, &stable).await;
    checks::always(&world);
    members::check_rows(&world.inner, &world.plan, &world.record).await;
    holds(&world, &what);
    done
}

#[test]
fn a_worker_that_is_let_go_at_any_poll_loses_nothing() {
    let polls = (0..5000).find(|polls| run(drop_worker(Some(*polls), None))).expect("it ends");
    println!("{polls} polls");
    assert!(polls > 30, "there is something to let go: {polls}");
}

#[test]
fn a_worker_that_is_let_go_at_any_call_loses_nothing() {
    let calls = (0..5000).find(|call| run(drop_worker(None, Some(*call)))).expect("it ends");
    println!("{calls} calls");
    assert!(calls > 100, "there is something to let go: {calls}");
}

/// A worker that is told to stop at the call of this number, and is let go at another.
async fn stop_worker(stops: Duration, polls: usize) -> bool {
    let world = World::new(plan(3), None, None).await;
    let stable = members::stable(&world.inner, &world.plan).await;
    enqueue(world.clone(), 0, None, Duration::ZERO, 3).await;
    let worker = Worker::builder(world.hub(0), Arc::clone(&world.store)).leases(LEASES);
    let worker = worker.grace(Duration::from_secs(2)).build();
    let done = polled(worker.run(sleep(stops)), polls).await.is_some();
    drop(worker);
    quiet(&world, Some(0)).await;
    let worker = Worker::builder(world.hub(1), Arc::clone(&world.store)).build();
    timeout(Duration::from_secs(3600), worker.run_until_idle()).await.expect("it ends").unwrap();
    let deeds = Deeds { crashes: !done, ..DEEDS };
    checks::durable(&world, 0, deeds, &stable).await;
    checks::always(&world);
    members::check_rows(&world.inner, &world.plan, &world.record).await;
    holds(&world, &format!("told to stop after {stops:?}, let go after {polls} polls"));
    done
}

#[test]
fn a_worker_that_is_let_go_while_it_stops_loses_nothing() {
    for stops in [1, 350, 2500] {
        let polls = (0..5000).find(|polls| run(stop_worker(Duration::from_millis(stops), *polls)));
        println!("{stops} ms: {polls:?} polls");
        assert!(polls.expect("it ends") > 5);
    }
}

/// Lets `enqueue` go after so many polls, then enqueues again. Whether it had been done.
async fn drop_enqueue(polls: usize) -> bool {
    let world = World::new(plan(7), None, None).await;
    let done = polled(enqueue(world.clone(), 0, None, Duration::ZERO, 3), polls).await.is_some();
    let begun = world.record.facts().begun.contains_key(&0);
    let channel = webpush_channels::channel::DurableChannel::new(Arc::clone(&world.store));
    let again = channel.enqueue(publication(0, world.broadcast(0).with_id(id(0)))).await.unwrap();
    assert_eq!(again.begun, if begun { Begun::Known } else { Begun::Created }, "after {polls} polls");
    let worker = Worker::builder(world.hub(0), Arc::clone(&world.store)).build();
    worker.run_until_idle().await.unwrap();
    let report = world.inner.report(&id(0)).await.unwrap().unwrap();
    assert_eq!((report.read, report.pending, report.takeovers), (12, 0, 0), "after {polls} polls: {report}");
    assert!(world.inner.unfinished(None, NonZeroU16::MIN).await.unwrap().is_empty());
    done
}

#[test]
fn enqueuing_that_is_let_go_at_any_poll_is_repeated() {
    let polls = (0..100).find(|polls| run(drop_enqueue(*polls))).expect("it ends");
    assert!(polls > 2, "{polls}");
}

/// Lets one message go after so many polls. Whether it had been sent.
async fn drop_message(number: usize, polls: usize) -> bool {
    let world = World::new(plan(7), None, None).await;
    let stable = members::stable(&world.inner, &world.plan).await;
    let (entry, _) = &stable[number];
    let (hub, message) = (world.hub(0), world.message(0));
    let (sender, applies) = (hub.sender(), number.is_multiple_of(2));
    let asked = async {
        if applies {
            hub.send_to(entry, &message).await.unwrap()
        } else {
            sender.send_to(entry, &message).await
        }
    };
    let sent = polled(asked, polls).await;
    quiet(&world, None).await;
    members::check_rows(&world.inner, &world.plan, &world.record).await;
    let made = world.record.facts().requests.len();
    if let Some(sent) = &sent {
        world.record.facts().check(made == usize::from(sent.attempts), Rule::Attempts, || {
            format!("{made} requests were made: {sent:?}")
        });
    }
    holds(&world, &format!("entry {number}, let go after {polls} polls"));
    sent.is_some()
}

#[test]
fn a_message_that_is_let_go_at_any_poll_is_not_sent_on() {
    for number in 0..12 {
        let polls = (0..200).find(|polls| run(drop_message(number, *polls))).expect("it ends");
        assert!(polls > 1, "{polls}");
    }
}

/// What a client's page asks for.
const ASKS: usize = 7;

async fn ask(world: &World, hub: &webpush_channels::channel::Channels, number: usize) {
    let rng = &mut rng((world.plan.seed, "ask"));
    let entry = world.inner.subscriptions(&user(2)).await.unwrap().remove(0);
    let new = members::new_entry(&world.plan, user(2), "asked", rng, &world.record);
    let news = hub.channel(&channel(0));
    match number {
        0 => drop(hub.put(new).await.unwrap()),
        1 => drop(hub.replace(&entry.subscription.id(), new).await.unwrap()),
        2 => drop(hub.unsubscribe(&user(2), &entry.subscription.id()).await.unwrap()),
        3 => news.leave(&user(2)).await.unwrap(),
        4 => hub.store().forget(&user(2)).await.unwrap(),
        5 => drop(hub.store().apply(&[(entry.reference(), Change::LimitPayload(9))]).await.unwrap()),
        _ => {
            let page = world.inner.unseen(Duration::ZERO, None, NonZeroU16::MAX).await.unwrap();
            let unseen = page.entries.into_iter().find(|unseen| unseen.entry.user == user(2)).unwrap();
            assert!(hub.remove_unseen(&unseen).await.unwrap());
        }
    }
}

/// What can be seen of a user: everything that an operation may change.
async fn state(world: &World) -> Vec<String> {
    let mut state: Vec<_> = world
        .inner
        .subscriptions(&user(2))
        .await
        .unwrap()
        .iter()
        .map(|entry| format!("{:?} {:?}", entry.reference(), entry.payload_limit))
        .collect();
    let mut channels = world.inner.channels(&user(2)).await.unwrap();
    channels.sort();
    state.extend(channels.iter().map(|channel| format!("{channel:?}")));
    state
}

/// Lets an operation go, then looks; then asks again. Whether it had been done.
async fn drop_operation(number: usize, polls: usize) -> bool {
    let world = World::new(plan(7), None, None).await;
    let hub = world.hub(0);
    let before = state(&world).await;
    let other = World::new(plan(7), None, None).await;
    ask(&other, &other.hub(0), number).await;
    let after = state(&other).await;
    let done = polled(ask(&world, &hub, number), polls).await.is_some();
    tokio::task::yield_now().await;
    let now = state(&world).await;
    assert!(now == before || now == after, "operation {number}, {polls} polls: {now:?} of {before:?}");
    assert!(!done || now == after, "operation {number}: it was done");
    if now == before && now != after {
        ask(&world, &hub, number).await;
        assert_eq!(state(&world).await, after, "operation {number}, {polls} polls, again");
    }
    done
}

#[test]
fn an_operation_that_is_let_go_at_any_poll_is_done_or_not() {
    for number in 0..ASKS {
        let polls = (0..100).find(|polls| run(drop_operation(number, *polls))).expect("it ends");
        assert!(polls > 1, "{number}: {polls}");
    }
}

/// The proof that the counting of polls lets go where it says.
#[test]
fn what_is_polled_so_often_is_let_go_then() {
    let twice = || async {
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
    };
    for (polls, done) in [(0, false), (1, false), (2, false), (3, true), (4, true)] {
        assert_eq!(run(polled(twice(), polls)).is_some(), done, "{polls}");
    }
    let mut counted = 0;
    run(async {
        let future = pin!(std::future::poll_fn(|context| {
            counted += 1;
            context.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
        polled(future, 5).await
    });
    assert_eq!(counted, 5);
}
