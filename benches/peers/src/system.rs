//! Clocks and cores, as the operating system has them.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::Result;

/// CPU time of each thread of a process, by the nanosecond: its own and the kernel's on its behalf.
#[derive(Debug)]
pub(crate) struct Account(BTreeMap<u32, Duration>);

impl Account {
    pub(crate) fn of(process: u32) -> Result<Self> {
        let mut threads = BTreeMap::new();
        for thread in fs::read_dir(format!("/proc/{process}/task"))? {
            let thread = thread?;
            let id = thread.file_name().to_string_lossy().parse()?;
            // Who ends meanwhile is missed by whoever compares.
            let Ok(text) = fs::read_to_string(thread.path().join("schedstat")) else { continue };
            let nanoseconds = text.split(' ').next().unwrap_or_default().parse();
            let nanoseconds = nanoseconds.map_err(|_| "this kernel does not count CPU time in schedstat")?;
            threads.insert(id, Duration::from_nanos(nanoseconds));
        }
        Ok(Self(threads))
    }

    /// What was used since. A thread that has ended has taken its account with it, and a process that was started
    /// has one of its own: then this is no measurement.
    pub(crate) fn since(&self, before: &Self) -> Result<Duration> {
        if before.0.keys().any(|thread| !self.0.contains_key(thread)) {
            return Err("a thread has ended, and what it used is unknown".into());
        }
        Ok(self.total().saturating_sub(before.total()))
    }

    pub(crate) fn total(&self) -> Duration {
        self.0.values().sum()
    }
}

/// What it started has an account of its own.
pub(crate) fn has_children(process: u32) -> bool {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
    children.is_ok_and(|children| !children.trim().is_empty())
}

/// CPU time of all children that this process has waited for, and of theirs, by the hundredth of a second.
pub(crate) fn cpu_of_children() -> Result<Duration> {
    let text = fs::read_to_string("/proc/self/stat")?;
    // proc(5): after the name in brackets come the fields from the third on; these are the 16th and the 17th.
    let fields = text.rsplit_once(") ").map_or("", |it| it.1).split(' ').skip(13).take(2);
    let ticks = fields.map(str::parse::<u64>).sum::<std::result::Result<u64, _>>()?;
    Ok(Duration::from_millis(10) * u32::try_from(ticks)?)
}

#[allow(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A core to send from, and another for the push service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    pub(crate) sender: usize,
    pub(crate) other: usize,
}

impl Cores {
    pub(crate) fn find() -> Result<Self> {
        let status = fs::read_to_string("/proc/self/status")?;
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        let cores = parse(list.ok_or("/proc/self/status does not say which cores there are")?.trim())?;
        match cores[..] {
            [sender, .., other] => Ok(Self { sender, other }),
            _ => Err("this needs two cores: one for the sender, one for the push service".into()),
        }
    }
}

/// Numbers and ranges of numbers, as the kernel writes them.
fn parse(list: &str) -> Result<Vec<usize>> {
    let mut cores = Vec::new();
    for part in list.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        cores.extend(from.parse::<usize>()?..=to.parse()?);
    }
    Ok(cores)
}

/// The same command on one core, with all that it starts. `taskset` becomes the program: there is one process.
pub(crate) fn on(core: usize, command: &Command) -> Command {
    let mut bound = Command::new("taskset");
    bound.args(["--cpu-list", &core.to_string()]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => bound.env(name, value),
            None => bound.env_remove(name),
        };
    }
    bound
}

#[cfg(test)]
mod tests {
    use super::{cpu_of_children, parse};

    #[test]
    fn lists_of_cores_have_numbers_and_ranges() {
        assert_eq!(parse("0-1").unwrap(), [0, 1]);
        assert_eq!(parse("3,5-7").unwrap(), [3, 5, 6, 7]);
    }

    #[test]
    fn the_account_of_children_is_found() {
        cpu_of_children().unwrap();
    }
}
