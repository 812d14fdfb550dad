//! Which core does what, and how many sockets this process may have. By util-linux, which every
//! distribution has: what it cannot do is said and not done.

use std::fs;
use std::process::{Command, Stdio};

/// For 1000 origins at both ends, and what other legs leave open.
const DESCRIPTORS: u64 = 8192;

/// The cores that this process may use.
#[derive(Debug)]
pub(crate) struct Cores(Vec<usize>);

impl Cores {
    /// None where cores cannot be chosen.
    pub(crate) fn find() -> Option<Self> {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
        let cores = list.trim().split(',').filter_map(range).flatten().collect();
        (runs("taskset", &["--version"])).then_some(Self(cores))
    }

    /// Gives the sender the first ones, as many as it has threads.
    pub(crate) fn pin(&self, threads: usize) {
        let cores = list(&self.0[..threads.min(self.0.len())]);
        let this = std::process::id().to_string();
        assert!(runs("taskset", &["-a", "-c", "-p", &cores, &this]), "taskset could not choose cores");
    }

    /// The push service's: those that a sender of one thread leaves, or of two where there are more.
    pub(crate) fn rest(&self) -> String {
        let first = match self.0.len() {
            0 | 1 => 0,
            2 => 1,
            _ => 2,
        };
        list(&self.0[first..])
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}

/// Lets this process, and the push service that it starts, have enough sockets.
pub(crate) fn raise_descriptors() {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let mut numbers = line.into_iter().flat_map(str::split_whitespace).map_while(|it| it.parse::<u64>().ok());
    let (Some(soft), Some(hard)) = (numbers.next(), numbers.next()) else { return };
    if soft >= DESCRIPTORS {
        return;
    }
    let limit = format!("--nofile={}:{hard}", hard.min(DESCRIPTORS));
    let pid = format!("--pid={}", std::process::id());
    if hard < DESCRIPTORS || !runs("prlimit", &[&pid, &limit]) {
        eprintln!(
            "only {soft} open files are allowed: the legs with 1000 origins may fail (ulimit -n {DESCRIPTORS})"
        );
    }
}

fn range(text: &str) -> Option<std::ops::RangeInclusive<usize>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some(first.parse().ok()?..=last.parse().ok()?)
}

fn list(cores: &[usize]) -> String {
    cores.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn runs(command: &str, arguments: &[&str]) -> bool {
    let quiet = Command::new(command).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}
