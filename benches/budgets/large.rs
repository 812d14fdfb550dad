//! A channel of a million: memory of a broadcast, and what paging costs. In a process of its own,
//! whose heap holds nothing else.

use std::num::NonZeroU16;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::Builder;
use webpush_channels::EndpointPolicy;
use webpush_channels::channel::Limits;
use webpush_channels::store::{Audience, MemoryStore, SubscriptionStore as _};
use webpush_channels::testing::StubTransport;

use super::broadcast::{NOWHERE, filled};
use super::null::Null;
use super::{channel, table, usage};

const PAGE: NonZeroU16 = NonZeroU16::new(1000).expect("not zero");
/// Pages at the beginning and at the end that are compared.
const PART: usize = 100;

/// The figures of a large channel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Large {
    /// With the store filled, in octets.
    pub(crate) before: u64,
    /// On top of that, at the most, in octets.
    pub(crate) added: u64,
    /// CPU time of a row.
    pub(crate) row: f64,
    /// A page at the beginning and one at the end.
    pub(crate) first: f64,
    pub(crate) last: f64,
}

impl Large {
    /// Measures in another process.
    pub(crate) fn measure(entries: usize, rounds: usize) -> Self {
        let this = std::env::current_exe().expect("the programme knows its path");
        let output = Command::new(this)
            .args(["--large", &entries.to_string(), "--rounds", &rounds.to_string()])
            .stderr(Stdio::inherit())
            .output()
            .expect("the programme starts once more");
        let text = String::from_utf8_lossy(&output.stdout);
        let numbers: Vec<f64> = text.split_whitespace().filter_map(|it| it.parse().ok()).collect();
        let [before, added, row, first, last] = numbers[..] else { panic!("no figures: {text}") };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "they were octets")]
        Self { before: before as u64, added: added as u64, row, first, last }
    }
}

/// Runs as the other process.
pub(crate) fn run(entries: usize, rounds: usize) {
    let store = filled(NOWHERE, entries);
    let (before, added) = memory(&store, entries);
    let mut scans: Vec<_> = (0..rounds).map(|_| scan(&store, entries)).collect();
    let mut median = |part: fn(&mut Scan) -> f64| table::median(scans.iter_mut().map(part).collect());
    let (row, first, last) = (median(|it| it.row), median(|it| it.first), median(|it| it.last));
    println!("{before} {added} {row} {first} {last}");
}

fn memory(store: &Arc<MemoryStore>, entries: usize) -> (u64, u64) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (store, stub) = (Arc::clone(store), StubTransport::forgetful());
    let policy = EndpointPolicy::public_internet();
    let channels = channel::channels(store, stub, Null, policy, Limits::default());
    usage::forget_peak();
    let before = usage::resident();
    runtime.block_on(channel::publish(&channels, entries));
    (before, usage::peak().saturating_sub(before))
}

/// One scan.
struct Scan {
    row: f64,
    first: f64,
    last: f64,
}

fn scan(store: &MemoryStore, entries: usize) -> Scan {
    let runtime = Builder::new_current_thread().build().expect("a runtime without I/O always starts");
    let to = Audience::Channel(channel::name());
    let range = runtime.block_on(store.split(&to, NonZeroU16::MIN)).expect("it splits")[0];
    let (mut after, mut read, mut pages) = (None, 0, Vec::new());
    let row = usage::micros_each(entries, || {
        loop {
            let began = now();
            let page = runtime.block_on(store.page(&to, &range, after.as_ref(), PAGE)).expect("a page");
            read += page.entries.len();
            let next = page.next;
            drop(page.entries);
            pages.push(usage::micros(began.elapsed(), 1));
            after = next;
            if after.is_none() {
                break;
            }
        }
    });
    assert_eq!(read, entries);
    let part = PART.min(pages.len() / 2).max(1);
    // The last page is short: it does not count.
    let end = pages.len().saturating_sub(1).max(part);
    let (first, last) = (pages[..part].to_vec(), pages[end - part..end].to_vec());
    Scan { row, first: table::median(first), last: table::median(last) }
}

/// Pages are too short for the account of CPU time.
#[allow(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]
fn now() -> Instant {
    Instant::now()
}
