//! How long a publisher waits until a broadcast is safe.

use std::sync::Arc;

use tokio::runtime::Runtime;
use webpush_channels::channel::{DurableChannel, Publication};
use webpush_channels::store::Audience;
use webpush_channels::store::journal::Journal;

use super::rows::now;
use super::table::{self, Row};
use super::{Sizes, channel};

/// Begins broadcasts one after another; nobody works on them. They are aborted at the end.
pub(crate) fn measure(runtime: &Runtime, store: &Arc<dyn Journal>, sizes: Sizes) -> [Row; 2] {
    let channel = DurableChannel::new(Arc::clone(store));
    let mut times = Vec::new();
    for _ in 0..sizes.begun {
        let publication = Publication::new(Audience::Channel(channel::name()), channel::broadcast());
        let began = now();
        let enqueued = runtime.block_on(channel.enqueue(publication)).expect("it is stored");
        times.push(began.elapsed().as_secs_f64() * 1e3);
        runtime.block_on(store.abort(&enqueued.id)).expect("it is there");
    }
    let most = times.iter().copied().fold(0.0, f64::max);
    [
        Row::plain("`enqueue`, elapsed, median", "-".into(), table::median(times), 20.0, " ms"),
        Row::plain("`enqueue`, elapsed, the longest", "-".into(), most, 20.0, " ms"),
    ]
}
