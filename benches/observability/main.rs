//! What metrics and spans add to a push.
//!
//!     cargo bench --bench observability -- [--rounds N] [--deliveries N] [--smoke]
//!
//! The same broadcast four times in each round: with neither, with one of the two, with both. CPU time of this process,
//! as in the budgets; docs/benchmarks.md says more.

#[path = "../support/channel.rs"]
mod channel;
#[path = "../support/floor.rs"]
mod floor;
#[path = "../budgets/table.rs"]
mod table;
#[path = "../budgets/usage.rs"]
mod usage;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::runtime::{Builder, Runtime};
use webpush_channels::channel::{Channels, Limits};
use webpush_channels::engine::encryption::AwsLc;
use webpush_channels::store::MemoryStore;
use webpush_channels::testing::StubTransport;
use webpush_channels::{AuthSecret, EndpointPolicy, PublicKey, Subscription, SubscriptionKeys};

use self::table::{Row, Samples, Table};

const DELIVERIES: usize = 100_000;
const SMOKE: usize = 500;
const BUDGET: f64 = 1.05;
const BUCKETS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];
/// Browsers are spread over push services.
const HOSTS: [&str; 4] =
    ["fcm.googleapis.com", "updates.push.services.mozilla.com", "web.push.apple.com", "push.example.net"];

#[derive(Clone, Copy, Debug)]
struct Arguments {
    smoke: bool,
    deliveries: usize,
    rounds: usize,
}

fn arguments() -> Result<Arguments, lexopt::Error> {
    use lexopt::prelude::*;
    // Cargo adds `--bench` unless it only tests whether benches run.
    let (mut smoke, mut measure, mut rounds, mut deliveries) = (false, false, None, None);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("bench") => measure = true,
            Long("smoke" | "test") => smoke = true,
            Long("rounds") => rounds = Some(parser.value()?.parse::<usize>()?.max(1)),
            Long("deliveries") => deliveries = Some(parser.value()?.parse::<usize>()?.max(1)),
            other => return Err(other.unexpected()),
        }
    }
    let smoke = smoke || !measure;
    let deliveries = deliveries.unwrap_or(if smoke { SMOKE } else { DELIVERIES });
    Ok(Arguments { smoke, deliveries, rounds: rounds.unwrap_or(if smoke { 1 } else { 10 }) })
}

fn main() -> ExitCode {
    let Arguments { smoke, deliveries, rounds } = match arguments() {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("observability: {error}");
            return ExitCode::FAILURE;
        }
    };
    if !usage::is_counted() {
        println!("nothing was measured: this needs Linux, which counts CPU time in /proc/self/schedstat");
        return if smoke { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    println!("{}", measure(deliveries, rounds));
    println!("{}", usage::machine());
    if smoke {
        println!("smoke run: tiny sizes, the figures mean nothing");
    } else {
        println!("cargo bench --bench observability -- --deliveries {deliveries} --rounds {rounds}");
    }
    ExitCode::SUCCESS
}

fn measure(deliveries: usize, rounds: usize) -> Table {
    let store = filled(deliveries);
    let legs = [(false, false), (true, false), (false, true), (true, true)]
        .map(|(counts, traces)| Leg::new(&store, deliveries, counts, traces));
    let mut samples = [(); 4].map(|()| Samples::default());
    eprintln!("warming up");
    for leg in &legs {
        leg.publish();
    }
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        // In turns, so that none is always the first.
        for place in 0..legs.len() {
            let leg = (round + place) % legs.len();
            samples[leg].0.push(legs[leg].publish());
        }
    }
    let [off, counted, traced, both] = samples;
    Table(vec![
        Row::ratio("a push with metrics", &counted, "with neither", &off, BUDGET),
        Row::ratio("a push with spans and events at info", &traced, "with neither", &off, BUDGET),
        Row::ratio("a push with both", &both, "with neither", &off, BUDGET),
    ])
}

/// A hub over the store, and who watches it.
#[derive(Debug)]
struct Leg {
    runtime: Runtime,
    channels: Channels,
    deliveries: usize,
    scrape: Option<PrometheusHandle>,
    traces: bool,
}

impl Leg {
    fn new(store: &Arc<MemoryStore>, deliveries: usize, counts: bool, traces: bool) -> Self {
        let hub = || {
            let limits = Limits::default().with_encryption_threads(1);
            let policy = EndpointPolicy::public_internet();
            channel::channels(Arc::clone(store), StubTransport::forgetful(), AwsLc::new(), policy, limits)
        };
        let (channels, scrape) = if counts {
            let builder = PrometheusBuilder::new().set_buckets(&BUCKETS).expect("there are buckets");
            let recorder = builder.build_recorder();
            (metrics::with_local_recorder(&recorder, hub), Some(recorder.handle()))
        } else {
            (hub(), None)
        };
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { runtime, channels, deliveries, scrape, traces }
    }

    /// Publishes once, and is scraped once; microseconds for each push.
    fn publish(&self) -> f64 {
        usage::micros_each(self.deliveries, || {
            let publish = || self.runtime.block_on(channel::publish(&self.channels, self.deliveries));
            if self.traces {
                // Only for as long as it is measured: while a subscriber is there, everybody asks it.
                let subscriber = tracing_subscriber::fmt().with_writer(io::sink).finish();
                tracing::subscriber::with_default(subscriber, publish);
            } else {
                publish();
            }
            if let Some(scrape) = &self.scrape {
                let text = scrape.render();
                assert!(text.contains("webpush_encryption_seconds_bucket"), "nothing was counted");
            }
        })
    }
}

fn filled(entries: usize) -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::new());
    let subscription = |n: usize| {
        let endpoint = format!("https://{}/p/{n:0154}", HOSTS[n % HOSTS.len()]);
        let key = PublicKey::from_bytes(&floor::P256DH).expect("a public key");
        let keys = SubscriptionKeys::new(key, AuthSecret::from_bytes(floor::AUTH));
        Subscription::new(endpoint.parse().expect("an endpoint"), keys)
    };
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(channel::fill(&*store, entries, subscription));
    store
}
