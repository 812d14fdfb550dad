//! Every budget beside its floor, in one interleaved run.
//!
//!     cargo bench --bench budgets -- [--rounds N] [--smoke] [--only bare|hyper|transport]
//!
//! Each round measures every leg once, in turn; figures are medians over the rounds, ratios are
//! medians of the ratios of each round. Times are CPU time of this process, by the nanosecond; the
//! push service is another process. docs/benchmarks.md says more.

mod broadcast;
#[path = "../support/channel.rs"]
mod channel;
#[path = "../support/floor.rs"]
mod floor;
mod large;
mod message;
#[path = "../support/null.rs"]
mod null;
mod peer;
mod table;
mod transport;
mod usage;

use std::process::ExitCode;

use webpush_channels::engine::encryption::{AwsLc, RustCrypto};

use self::broadcast::{Durable, Rig};
use self::large::Large;
use self::peer::Peer;
use self::table::{Row, Samples, Table};
use self::transport::Clients;

/// How much of everything one round does.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    fast_messages: usize,
    slow_messages: usize,
    requests: usize,
    bare: usize,
    whole: usize,
    large: usize,
}

const FULL: Sizes = Sizes {
    fast_messages: 10_000,
    slow_messages: 2_000,
    requests: 50_000,
    bare: 200_000,
    whole: 100_000,
    large: 1_000_000,
};
/// Only to see that everything runs.
const SMOKE: Sizes =
    Sizes { fast_messages: 20, slow_messages: 5, requests: 256, bare: 2_000, whole: 500, large: 5_000 };

#[derive(Debug)]
enum Job {
    Measure {
        smoke: bool,
        rounds: usize,
    },
    Serve,
    Large {
        entries: usize,
        rounds: usize,
    },
    /// One leg alone, for a profiler.
    Only {
        leg: String,
        sizes: Sizes,
        rounds: usize,
    },
}

impl Job {
    fn parse() -> Result<Self, lexopt::Error> {
        use lexopt::prelude::*;
        // Cargo adds `--bench` unless it only tests whether benches run.
        let (mut smoke, mut measure, mut rounds) = (false, false, None);
        let (mut serve, mut large, mut only) = (false, None, None);
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("bench") => measure = true,
                Long("smoke" | "test") => smoke = true,
                Long("rounds") => rounds = Some(parser.value()?.parse::<usize>()?.max(1)),
                Long("only") => only = Some(parser.value()?.string()?),
                Long("serve") => serve = true,
                Long("large") => large = Some(parser.value()?.parse()?),
                other => return Err(other.unexpected()),
            }
        }
        let smoke = smoke || !measure;
        let rounds = rounds.unwrap_or(if smoke { 1 } else { 5 });
        Ok(match (large, only) {
            _ if serve => Self::Serve,
            (Some(entries), _) => Self::Large { entries, rounds },
            (None, Some(leg)) => Self::Only { leg, sizes: if smoke { SMOKE } else { FULL }, rounds },
            (None, None) => Self::Measure { smoke, rounds },
        })
    }
}

fn main() -> ExitCode {
    match Job::parse() {
        Err(error) => {
            eprintln!("budgets: {error}");
            return ExitCode::FAILURE;
        }
        Ok(Job::Serve) => peer::serve(),
        Ok(Job::Large { entries, rounds }) => large::run(entries, rounds),
        Ok(Job::Only { leg, sizes, rounds }) => only(&leg, sizes, rounds),
        Ok(Job::Measure { smoke, .. }) if !usage::is_counted() => {
            println!("nothing was measured: this needs Linux, which counts CPU time in /proc/self/schedstat");
            return if smoke { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        Ok(Job::Measure { smoke, rounds }) => {
            let table = measure(if smoke { SMOKE } else { FULL }, rounds);
            println!("{table}");
            println!("{}", usage::machine());
            if smoke {
                println!("smoke run: tiny sizes, the figures mean nothing");
            } else {
                println!("cargo bench --bench budgets -- --rounds {rounds}");
            }
        }
    }
    ExitCode::SUCCESS
}

/// One thing that each round measures.
struct Leg<'a> {
    run: Box<dyn Fn() -> f64 + 'a>,
    samples: Samples,
}

impl<'a> Leg<'a> {
    fn new(run: impl Fn() -> f64 + 'a) -> Self {
        Self { run: Box::new(run), samples: Samples::default() }
    }
}

/// The difference of two runs with different `rounds` is free of what only begins.
fn only(leg: &str, sizes: Sizes, rounds: usize) {
    let run: Box<dyn Fn() -> f64> = match leg {
        "bare" => {
            let rig = Rig::bare(sizes.bare);
            Box::new(move || rig.publish())
        }
        "hyper" | "transport" => {
            let (peer, raw) = (Peer::start(), leg == "hyper");
            let clients = Clients::connect(&peer);
            Box::new(move || {
                let _peer = &peer;
                if raw { clients.raw(sizes.requests) } else { clients.ours(sizes.requests) }
            })
        }
        _ => panic!("no such leg: bare, hyper or transport"),
    };
    let samples = (0..rounds).map(|_| run()).collect();
    println!("{:.2} us", table::median(samples));
}

fn measure(sizes: Sizes, rounds: usize) -> Table {
    let peer = Peer::start();
    let clients = Clients::connect(&peer);
    let bare = Rig::bare(sizes.bare);
    let store = broadcast::filled(&peer.origin(), sizes.whole);
    let [one, two] = [1, 2].map(|threads| Rig::whole(&peer, &store, sizes.whole, threads));
    let durable = Durable::new(&peer, sizes.whole);
    let mut legs = [
        Leg::new(|| message::floor(sizes.fast_messages, floor::aws_lc)),
        Leg::new(|| message::message(sizes.fast_messages, &AwsLc::new())),
        Leg::new(|| message::floor(sizes.slow_messages, floor::rustcrypto)),
        Leg::new(|| message::message(sizes.slow_messages, &RustCrypto::new())),
        Leg::new(|| clients.raw(sizes.requests)),
        Leg::new(|| clients.ours(sizes.requests)),
        Leg::new(|| bare.publish()),
        Leg::new(|| one.publish()),
        Leg::new(|| two.publish()),
        Leg::new(|| durable.publish()),
    ];
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        for leg in &mut legs {
            leg.samples.0.push((leg.run)());
        }
    }
    eprintln!("a channel of {}", sizes.large);
    let large = Large::measure(sizes.large, rounds);
    table(legs.map(|leg| leg.samples), large)
}

fn table(samples: [Samples; 10], large: Large) -> Table {
    let [floor, fast, slow_floor, slow, hyper, transport, bare, one, two, durable] = samples;
    let push_floor = floor.plus(&hyper);
    Table(vec![
        Row::ratio("encrypt 1 KB + request, aws-lc-rs", &fast, "aws-lc-rs alone", &floor, 1.05),
        Row::ratio("encrypt 1 KB + request, RustCrypto", &slow, "p256 alone", &slow_floor, 1.05),
        Row::ratio("POST of 4 KB, HTTP/2 and TLS", &transport, "hyper alone", &hyper, 1.15),
        // 4 us where the floor is 40.8 us, and 60 and 66 us where both floors are 53 us.
        Row::ratio("everything else of a push", &bare, "a message on aws-lc-rs", &floor, 0.098),
        Row::ratio("whole push, one thread", &one, "a message + hyper", &push_floor, 1.13),
        Row::ratio("whole push, two threads", &two, "one thread", &one, 1.1),
        Row::ratio("whole push from SQLite, journal on", &durable, "a message + hyper", &push_floor, 1.245),
        memory(large),
        Row::plain("a row of a page", "-".into(), large.row, 5.0, " us"),
        Row::ratio(
            "a page at the end of the channel",
            &Samples(vec![large.last]),
            "at its beginning",
            &Samples(vec![large.first]),
            1.5,
        ),
    ])
}

#[allow(clippy::cast_precision_loss, reason = "octets of memory are far below 2^52")]
fn memory(large: Large) -> Row {
    let [before, added] = [large.before, large.added].map(|octets| octets as f64 / f64::from(1 << 20));
    let floor = format!("{before:.0} MiB (the store)");
    Row::plain("peak memory of a broadcast above the store", floor, added, 64.0, " MiB")
}
