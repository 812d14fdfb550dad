//! What five push services that misbehave cost five others.
//!
//!     cargo bench --bench neighbours -- [--rounds N] [--each N] [--deferred N] [--smoke]
//!
//! Each round publishes twice: to a channel of five origins that answer, and to one of the same five
//! and five more that misbehave, each in its own way, with as many subscriptions each. Both times it is over
//! when the five have their messages. The sender has one core for itself, the push services
//! another; docs/benchmarks.md says more.

#[path = "../support/channel.rs"]
mod channel;
#[path = "../support/floor.rs"]
mod floor;
mod services;
#[path = "../budgets/table.rs"]
mod table;
#[path = "../budgets/usage.rs"]
mod usage;

use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;
use webpush_channels::channel::{Channel as _, Limits};
use webpush_channels::engine::encryption::AwsLc;
use webpush_channels::store::MemoryStore;
use webpush_channels::transport::{HyperTransport, HyperTransportBuilder};
use webpush_channels::{
    AddressPolicy, AuthSecret, EndpointPolicy, OutcomeKind, PublicKey, Subscription, SubscriptionKeys,
};

use self::services::{SOUND, Services};
use self::table::{Row, Samples, Table};

/// Subscriptions at each origin.
const EACH: usize = 10_000;
const SMOKE: usize = 100;
const BUDGET: f64 = 1.10;

enum Job {
    Serve,
    Measure { smoke: bool, each: usize, rounds: usize, deferred: usize },
}

fn job() -> Result<Job, lexopt::Error> {
    use lexopt::prelude::*;
    // Cargo adds `--bench` unless it only tests whether benches run.
    let (mut smoke, mut measure, mut serve, mut rounds, mut each) = (false, false, false, None, None);
    let mut deferred = Limits::default().deferred;
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("bench") => measure = true,
            Long("smoke" | "test") => smoke = true,
            Long("serve") => serve = true,
            Long("rounds") => rounds = Some(parser.value()?.parse::<usize>()?.max(1)),
            Long("each") => each = Some(parser.value()?.parse::<usize>()?.max(1)),
            Long("deferred") => deferred = parser.value()?.parse()?,
            other => return Err(other.unexpected()),
        }
    }
    let smoke = smoke || !measure;
    let each = each.unwrap_or(if smoke { SMOKE } else { EACH });
    let rounds = rounds.unwrap_or(if smoke { 1 } else { 9 });
    Ok(if serve { Job::Serve } else { Job::Measure { smoke, each, rounds, deferred } })
}

fn main() -> ExitCode {
    let (smoke, each, rounds, deferred) = match job() {
        Ok(Job::Serve) => {
            services::serve();
            return ExitCode::SUCCESS;
        }
        Ok(Job::Measure { smoke, each, rounds, deferred }) => (smoke, each, rounds, deferred),
        Err(error) => {
            eprintln!("neighbours: {error}");
            return ExitCode::FAILURE;
        }
    };
    if !usage::is_counted() {
        println!("nothing was measured: this needs Linux, which counts CPU time in /proc/self/schedstat");
        return if smoke { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if cores > 1 {
        // Before there are threads, which inherit it.
        pin(std::process::id(), 0);
    }
    println!("{}", measure(each, rounds, deferred, cores));
    println!("{}; the sender has one core of {cores}", usage::machine());
    if smoke {
        println!("smoke run: tiny sizes, the figures mean nothing");
    } else {
        let deferred = if deferred == Limits::default().deferred {
            String::new()
        } else {
            format!(" --deferred {deferred}")
        };
        println!("cargo bench --bench neighbours -- --each {each} --rounds {rounds}{deferred}");
    }
    ExitCode::SUCCESS
}

/// Keeps a process on one core, where there is a tool that can.
fn pin(process: u32, core: usize) {
    let mut taskset = Command::new("taskset");
    taskset.args(["-cp", &core.to_string(), &process.to_string()]).stdout(Stdio::null());
    if !taskset.status().is_ok_and(|status| status.success()) {
        eprintln!("taskset is not there: sender and push services share the cores");
    }
}

fn measure(each: usize, rounds: usize, deferred: usize, cores: usize) -> Table {
    let services = Services::start();
    if cores > 1 {
        pin(services.id(), 1);
    }
    let alone = filled(&services.origins[..SOUND], each);
    let beside = filled(&services.origins, each);
    let [mut cpu_alone, mut cpu_beside, mut time_alone, mut time_beside] =
        [(); 4].map(|()| Samples::default());
    for round in 0..=rounds {
        eprintln!(
            "{}",
            if round == 0 { "warming up".to_owned() } else { format!("round {round} of {rounds}") }
        );
        // In turns, so that none is always the first.
        for leg in 0..2 {
            let is_alone = (leg + round) % 2 == 0;
            let (cpu, time) =
                publish(&services, if is_alone { &alone } else { &beside }, each * SOUND, deferred);
            match (round, is_alone) {
                (0, _) => {}
                (_, true) => (cpu_alone.0.push(cpu), time_alone.0.push(time)).0,
                (_, false) => (cpu_beside.0.push(cpu), time_beside.0.push(time)).0,
            }
        }
    }
    Table(vec![
        Row::ratio("CPU of a push to one of the five", &cpu_beside, "alone", &cpu_alone, BUDGET),
        Row::ratio("the same, elapsed", &time_beside, "alone", &time_alone, BUDGET),
    ])
}

/// Publishes until the sound origins have `expected` messages; microseconds of CPU and elapsed, for
/// each.
fn publish(services: &Services, store: &Arc<MemoryStore>, expected: usize, deferred: usize) -> (f64, f64) {
    let runtime = runtime();
    let transport = HyperTransport::builder()
        .address_policy(AddressPolicy::loopback_for_tests())
        .extra_root_pem(services.certificate_pem.as_bytes())
        .and_then(HyperTransportBuilder::build)
        .expect("TLS can be set up");
    let limits = Limits::default().with_encryption_threads(1).with_deferred(deferred);
    let policy = EndpointPolicy::loopback_for_tests();
    // It knows nothing of the origins yet.
    let channels = channel::channels(Arc::clone(store), transport, AwsLc::new(), policy, limits);
    let (cpu, began) = (cpu(), Instant::now());
    runtime.block_on(async {
        let mut deliveries = channels.channel(&channel::name()).deliveries(channel::broadcast());
        let mut left = expected;
        while left > 0 {
            let delivery = deliveries.next().await.expect("the five are not served").expect("a delivery");
            let origin = delivery.entry.subscription.endpoint().origin();
            let sound = services.origins[..SOUND].iter().any(|sound| sound == origin.as_str());
            assert!(sound == (delivery.outcome.kind() == OutcomeKind::Accepted), "{:?}", delivery.outcome);
            left -= usize::from(sound);
        }
        let used = (self::cpu().saturating_sub(cpu), began.elapsed());
        (usage::micros(used.0, expected), usage::micros(used.1, expected))
    })
}

/// CPU time of this process by the hundredth of a second, with that of threads that have ended: each
/// publication has its own.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux tells it");
    // The name may hold anything; it ends with the last parenthesis. User and system are 14 and 15.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11);
    let ticks = fields.take(2).map(|field| field.parse::<u64>().expect("a number"));
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

/// A store with a channel of `each` subscriptions at every origin, in turns.
fn filled(origins: &[String], each: usize) -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::new());
    let subscription = |n: usize| {
        let endpoint = format!("{}/p/{n:0154}", origins[n % origins.len()]);
        let key = PublicKey::from_bytes(&floor::P256DH).expect("a public key");
        let keys = SubscriptionKeys::new(key, AuthSecret::from_bytes(floor::AUTH));
        Subscription::new(endpoint.parse().expect("an endpoint"), keys)
    };
    runtime().block_on(channel::fill(&*store, each * origins.len(), subscription));
    store
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}
