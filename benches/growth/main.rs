//! How the cost of a push grows: with the channel, with push services, with their latency, with
//! threads; and how long a push waits.
//!
//!     cargo bench --bench growth -- [--rounds N] [--smoke] [--resume] [--only LEG]
//!
//! CPU time of this process as in the budgets; the push service is another process, which waits by
//! timers. Each round measures every leg once, each round another one first. What was measured is
//! kept: `--resume` goes on with a run that was interrupted. docs/benchmarks.md says more.

#[path = "../support/channel.rs"]
mod channel;
mod cores;
#[path = "../support/floor.rs"]
mod floor;
mod legs;
#[path = "../budgets/peer.rs"]
mod peer;
mod rig;
mod rows;
mod samples;
#[path = "../budgets/table.rs"]
mod table;
#[path = "../budgets/usage.rs"]
mod usage;
mod waits;

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::Arc;

use webpush_channels::store::MemoryStore;

use self::cores::Cores;
use self::legs::{LEGS, Leg};
use self::peer::Peer;
use self::rig::Rig;
use self::samples::{Figures, Samples};

#[derive(Debug, Default)]
struct Arguments {
    smoke: bool,
    resume: bool,
    rounds: Option<usize>,
    only: Option<String>,
    serve: bool,
}

impl Arguments {
    fn parse() -> Result<Self, lexopt::Error> {
        use lexopt::prelude::*;
        // Cargo adds `--bench` unless it only tests whether benches run.
        let (mut arguments, mut measure) = (Self::default(), false);
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("bench") => measure = true,
                Long("smoke" | "test") => arguments.smoke = true,
                Long("resume") => arguments.resume = true,
                Long("rounds") => arguments.rounds = Some(parser.value()?.parse::<usize>()?.max(1)),
                Long("only") => arguments.only = Some(parser.value()?.string()?),
                Long("serve") => arguments.serve = true,
                other => return Err(other.unexpected()),
            }
        }
        arguments.smoke |= !measure;
        Ok(arguments)
    }

    fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.smoke { 1 } else { 5 })
    }

    /// All legs, or those whose names begin so.
    fn legs(&self) -> Result<Vec<Leg>, String> {
        let chosen = |leg: &&Leg| self.only.as_ref().is_none_or(|only| leg.name.starts_with(only));
        let sized = |leg: &Leg| if self.smoke { leg.tiny() } else { *leg };
        let legs: Vec<_> = LEGS.iter().filter(chosen).map(sized).collect();
        if legs.is_empty() {
            return Err(format!("no such leg: {}", LEGS.map(|leg| leg.name).join(", ")));
        }
        Ok(legs)
    }
}

fn main() -> ExitCode {
    match Arguments::parse().map_err(|error| error.to_string()).and_then(|arguments| run(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("growth: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    if arguments.serve {
        peer::serve();
        return Ok(());
    }
    let (legs, rounds) = (arguments.legs()?, arguments.rounds());
    if !usage::is_counted() {
        let why = "nothing was measured: this needs Linux, which counts CPU time in /proc/self/schedstat";
        println!("{why}");
        return if arguments.smoke { Ok(()) } else { Err("no figures".to_owned()) };
    }
    // Legs chosen alone are for looking: they leave what was kept alone.
    let mut samples = Samples::open(arguments.resume, arguments.smoke || arguments.only.is_some())?;
    let mut bench = Bench::new();
    bench.measure(&legs, rounds, &mut samples);
    if arguments.only.is_some() {
        for leg in &legs {
            println!("{}", rows::line(leg.name, rounds, &samples));
        }
        return Ok(());
    }
    println!("{}", rows::table(rounds, &samples));
    println!("{}; {}", usage::machine(), bench.cores());
    if arguments.smoke {
        println!("smoke run: tiny sizes, the figures mean nothing");
    } else {
        println!("cargo bench --bench growth -- --rounds {rounds}");
    }
    Ok(())
}

/// What the legs share.
struct Bench {
    cores: Option<Cores>,
    peer: Peer,
    stores: HashMap<(usize, usize), Arc<MemoryStore>>,
    rigs: HashMap<&'static str, Rig>,
}

impl Bench {
    fn new() -> Self {
        cores::raise_descriptors();
        let cores = Cores::find();
        let peer = if let Some(cores) = &cores {
            Peer::start_on(&cores.rest())
        } else {
            eprintln!("taskset is missing: sender and push service run on whatever core is free");
            Peer::start()
        };
        Self { cores, peer, stores: HashMap::new(), rigs: HashMap::new() }
    }

    fn cores(&self) -> String {
        match &self.cores {
            Some(cores) if cores.count() > 1 => {
                format!("the push service on core {} of {}", cores.rest(), cores.count())
            }
            Some(_) => "sender and push service on one core: rates mean nothing".to_owned(),
            None => "cores were not chosen".to_owned(),
        }
    }

    fn measure(&mut self, legs: &[Leg], rounds: usize, samples: &mut Samples) {
        for round in 1..=rounds {
            // In turns, so that none is always the first.
            for place in 0..legs.len() {
                let leg = &legs[(round + place) % legs.len()];
                if samples.get(round, leg.name).is_some() {
                    continue;
                }
                let figures = self.leg(leg);
                samples.keep(round, leg.name, figures);
                eprintln!("round {round} of {rounds}: {}", rows::figures(leg.name, figures));
            }
        }
    }

    fn leg(&mut self, leg: &Leg) -> Figures {
        if let Some(cores) = &self.cores {
            cores.pin(leg.threads);
        }
        if !self.rigs.contains_key(leg.name) {
            eprintln!("{}: {} subscriptions at {} push services", leg.name, leg.size, leg.origins);
            self.peer.take(std::time::Duration::ZERO);
            let (peer, of) = (&self.peer, (leg.size, leg.origins));
            let store = self.stores.entry(of).or_insert_with(|| rig::filled(peer, leg.size, leg.origins));
            self.rigs.insert(leg.name, Rig::new(peer, store, leg));
        }
        self.peer.take(leg.latency);
        self.rigs[leg.name].run(leg.broadcasts())
    }
}
