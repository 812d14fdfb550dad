//! A durable broadcast to everybody: memory above the store's own, and what durability adds. In a
//! process of its own, whose heap holds nothing else.

use std::process::{Command, Stdio};
use std::sync::Arc;

use webpush_channels::EndpointPolicy;
use webpush_channels::channel::Limits;
use webpush_channels::testing::StubTransport;

use super::engine::{self, Engine};
use super::null::Null;
use super::table::Row;
use super::{Sizes, channel, usage};

/// Measures in another process.
pub(crate) fn measure(engine: &Engine, sizes: Sizes) -> [Row; 2] {
    let this = std::env::current_exe().expect("the programme knows its path");
    let output = Command::new(this)
        .args(["--memory", engine.place(), "--subscriptions", &sizes.subscriptions.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .expect("the programme starts once more");
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|it| it.parse().ok()).collect();
    let [before, added, direct, durable] = numbers[..] else { panic!("no figures: {text}") };
    let floor = format!("{before:.0} MiB (the store)");
    [
        Row::plain("peak memory of a durable broadcast above the store", floor, added, 64.0, " MiB"),
        Row::told(
            "what durability adds to a push, its `Topic` included, CPU of this process",
            format!("{direct:.2} us (direct mode, no encryption, no sockets)"),
            durable - direct,
            " us",
        ),
    ]
}

/// Runs as the other process.
pub(crate) fn run(engine: &Engine, subscriptions: usize) {
    let runtime = engine::runtime();
    let store = runtime.block_on(engine.open());
    let channels = || {
        let limits = Limits::default().with_encryption_threads(1);
        let policy = EndpointPolicy::public_internet();
        channel::channels(Arc::clone(&store), StubTransport::forgetful(), Null, policy, limits)
    };
    // Also brings the store's own cache up to its size.
    let hub = channels();
    let direct = usage::micros_each(subscriptions, || {
        runtime.block_on(channel::publish(&hub, subscriptions));
    });
    drop(hub);
    usage::forget_peak();
    let before = usage::resident();
    let hub = channels();
    let durable = usage::micros_each(subscriptions, || {
        runtime.block_on(channel::publish_durably(&hub, &store, subscriptions));
    });
    let added = usage::peak().saturating_sub(before);
    println!("{} {} {direct} {durable}", mebibytes(before), mebibytes(added));
}

#[allow(clippy::cast_precision_loss, reason = "octets of memory are far below 2^52")]
fn mebibytes(octets: u64) -> f64 {
    octets as f64 / f64::from(1 << 20)
}
