//! The run: everything that is measured, by turns.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use crate::conductor::{Cost, Process};
use crate::options::Options;
use crate::push_service::Arrived;
use crate::rows::{By, ROWS, Row, What};
use crate::sample::{self, Measured, Sample};
use crate::system::Cores;
use crate::versions::Versions;
use crate::{Result, footprint, opened, report, setup};

/// Payloads, in octets.
pub(crate) const SIZES: [usize; 3] = [100, 1024, 3000];
/// Not counted: connections that have idled too long are opened again.
const WARM_UP: usize = 128;

pub(crate) fn run(options: &Options) -> Result<()> {
    fs::create_dir_all(&options.directory)?;
    let cores = Cores::find()?;
    let rows: Vec<_> = ROWS.iter().filter(|row| is_wanted(row, options)).collect();
    if rows.is_empty() {
        let names = ROWS.map(|row| row.name).join(", ");
        return Err(format!("no row has that in its name; there are {names}").into());
    }
    let mut measured = Measured::load(options)?;
    let programs = if options.only.is_none() {
        Some(footprint::build(options, &mut measured)?)
    } else {
        eprintln!(
            "only some rows: what is built and started is left out, and nothing is written to the documents"
        );
        None
    };
    let mut service = Service::start(&options.directory, cores)?;
    let most = rows.iter().map(|row| row.times(What::Push, options.smoke)).max().unwrap_or(0).max(WARM_UP);
    setup::write(&options.directory, &service.origin, most)?;
    if let Some(programs) = &programs {
        footprint::start(options, programs, &mut service, cores, &mut measured)?;
    }
    let mut senders =
        rows.iter().map(|row| Sender::start(row, options, cores)).collect::<Result<Vec<_>>>()?;
    while measured.rounds() < options.rounds {
        let round = measured.rounds();
        eprintln!("round {} of {}", round + 1, options.rounds);
        let samples = self::round(round, &mut senders, &mut service, options.smoke, &mut measured)?;
        measured.add(samples);
        measured.keep()?;
    }
    report::write(options, &rows, &measured, &Versions::find(options)?)?;
    measured.end()
}

fn is_wanted(row: &Row, options: &Options) -> bool {
    options.only.as_ref().is_none_or(|only| row.name.contains(only.as_str()))
}

/// Each row with each size once. Who began the last round is the last of this one.
fn round(
    round: usize,
    senders: &mut [Sender],
    service: &mut Service,
    smoke: bool,
    measured: &mut Measured,
) -> Result<BTreeMap<String, Sample>> {
    let mut samples = BTreeMap::new();
    let first = round % senders.len();
    senders.rotate_left(first);
    for (size, what) in SIZES.into_iter().flat_map(|size| [(size, What::Push), (size, What::Message)]) {
        for sender in &mut *senders {
            let times = sender.row.times(what, smoke);
            if times == 0 {
                continue;
            }
            progress(&format!("  {}: {} of {size} octets", sender.row.name, what.name()));
            let cost = match what {
                What::Push => sender.push(size, times, service, measured),
                What::Message => sender.message(size, times),
            };
            let cost =
                cost.map_err(|error| format!("{}, {} of {size}: {error}", sender.row.name, what.name()))?;
            samples.insert(sample::key(sender.row, what, size), cost.each(times));
        }
    }
    progress("");
    senders.rotate_right(first);
    Ok(samples)
}

/// A line that the next one replaces, for who watches.
fn progress(what: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r{what:<60}\r");
    }
}

/// The process of one row.
struct Sender {
    row: &'static Row,
    process: Process,
}

impl Sender {
    fn start(row: &'static Row, options: &Options, cores: Cores) -> Result<Self> {
        let senders = Path::new(env!("CARGO_MANIFEST_DIR")).join("senders");
        let mut command = match row.by {
            By::Rust => {
                let mut this = Command::new(env::current_exe()?);
                this.args(["--send", row.name, "--directory"]);
                this
            }
            By::Node => {
                let mut node = Command::new("node");
                node.env("NODE_PATH", &options.node_modules).arg(senders.join("web_push.cjs"));
                node
            }
            By::Python => {
                let mut python = Command::new(&options.python);
                python.arg(senders.join("pywebpush_sender.py"));
                python
            }
        };
        command.arg(&options.directory);
        trust(&mut command, &setup::authority(&options.directory));
        let mut process = Process::start(row.name, command, cores.sender)?;
        for times in [WARM_UP, row.times(What::Push, options.smoke)] {
            process.ask::<()>(&format!("prepare {times}"))?;
        }
        Ok(Self { row, process })
    }

    fn push(
        &mut self,
        size: usize,
        times: usize,
        service: &mut Service,
        seen: &mut Measured,
    ) -> Result<Cost> {
        self.process.ask::<()>(&format!("push {size} {WARM_UP}"))?;
        service.arrived(WARM_UP)?;
        let ((), cost) = self.process.measure(&format!("push {size} {times}"))?;
        let last = service.arrived(times)?.last.ok_or("nothing arrived")?;
        if !self.row.is_floor() {
            opened::push(&last, &service.origin, size)?;
        }
        seen.protocols.insert(self.row.name.to_owned(), last.version);
        Ok(cost)
    }

    fn message(&mut self, size: usize, times: usize) -> Result<Cost> {
        let (body, cost) = self.process.measure::<String>(&format!("message {size} {times}"))?;
        if !self.row.is_floor() {
            opened::body(&body, times - 1, size)?;
        }
        Ok(cost)
    }
}

/// Each looks for authorities elsewhere; senders that are given the file itself have no use for these.
pub(crate) fn trust(command: &mut Command, authority: &Path) {
    command.env("NODE_EXTRA_CA_CERTS", authority).env("REQUESTS_CA_BUNDLE", authority);
    command.env("SSL_CERT_FILE", authority);
}

/// The process of the push service.
#[derive(Debug)]
pub(crate) struct Service {
    process: Process,
    pub(crate) origin: String,
}

impl Service {
    fn start(directory: &Path, cores: Cores) -> Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.arg("--serve").arg("--directory").arg(directory);
        let process = Process::start("the push service", command, cores.other)?;
        let origin = format!("https://{}", process.line()?);
        Ok(Self { process, origin })
    }

    /// What arrived since the last question, which must be so many.
    pub(crate) fn arrived(&mut self, count: usize) -> Result<Arrived> {
        let arrived: Arrived = self.process.ask("")?;
        if arrived.count != count {
            return Err(format!("{} of {count} messages arrived", arrived.count).into());
        }
        Ok(arrived)
    }
}
