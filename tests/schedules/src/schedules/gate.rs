//! Broadcasts at the gate of a hub. A part of each copy.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use shuttle::future::{block_on, spawn, yield_now};

use super::gate::{Gate, Place, Share};
use crate::explore::Case;

pub(crate) const CASES: [Case; 4] = [
    ("gate: never more than the limit", || fly_all(3, 2, 1)),
    ("gate: shares of two places", || fly_all(3, 2, 2)),
    ("gate: who leaves makes room", leaves),
    ("gate: who stops waiting takes nothing", gives_up),
];

/// A place, waited for as a driver does: it asks for more, and sleeps until there may be room.
async fn wait(share: &Share) -> Place {
    loop {
        if let Some(place) = share.take() {
            return place;
        }
        share.ask(true);
        share.room().await;
    }
}

/// One request in flight.
async fn fly(place: Place, flying: &AtomicUsize, limit: usize) {
    assert!(flying.fetch_add(1, Ordering::SeqCst) < limit, "more in flight than the limit");
    yield_now().await;
    flying.fetch_sub(1, Ordering::SeqCst);
    drop(place);
}

/// All places are free again: one who asks alone gets each.
fn assert_free(gate: &Arc<Gate>, limit: usize) {
    let share = gate.join();
    let places: Vec<_> = (0..=limit).map_while(|_| share.take()).collect();
    assert_eq!(places.len(), limit, "places are free again");
}

fn fly_all(broadcasts: usize, each: usize, limit: usize) {
    let (gate, flying) = (Gate::new(limit), Arc::new(AtomicUsize::new(0)));
    let tasks: Vec<_> = (0..broadcasts)
        .map(|_| {
            let (share, flying) = (gate.join(), Arc::clone(&flying));
            spawn(async move {
                for _ in 0..each {
                    let place = wait(&share).await;
                    share.ask(false);
                    fly(place, &flying, limit).await;
                }
                // Who leaves wakes everybody, which would make up for a wake-up that was lost.
                share
            })
        })
        .collect();
    let mut shares = Vec::new();
    block_on(async {
        for task in tasks {
            shares.push(task.await.expect("it ends"));
        }
    });
    drop(shares);
    assert_free(&gate, limit);
}

/// While both ask, each has its half; with the other gone, one has it all.
fn leaves() {
    let gate = Gate::new(2);
    let (stays, goes) = (gate.join(), gate.join());
    goes.ask(true);
    let other = spawn(async move {
        yield_now().await;
        drop(goes);
    });
    block_on(async {
        let first = wait(&stays).await;
        let second = wait(&stays).await;
        drop((first, second));
        other.await.expect("it ends");
    });
    drop(stays);
    assert_free(&gate, 2);
}

fn gives_up() {
    let (gate, flying) = (Gate::new(1), Arc::new(AtomicUsize::new(0)));
    let mut tasks = Vec::new();
    for patient in [true, false, true] {
        let (share, flying) = (gate.join(), Arc::clone(&flying));
        tasks.push(spawn(async move {
            share.ask(true);
            if patient {
                let place = wait(&share).await;
                share.ask(false);
                fly(place, &flying, 1).await;
            } else {
                let mut room = Box::pin(share.room());
                std::future::poll_fn(|cx| {
                    let _ = room.as_mut().poll(cx);
                    std::task::Poll::Ready(())
                })
                .await;
                yield_now().await;
            }
        }));
    }
    block_on(async {
        for task in tasks {
            task.await.expect("it ends");
        }
    });
    assert_free(&gate, 1);
}
