//! What this process used, as Linux counts it.

#![allow(dead_code, reason = "not every benchmark uses all of it")]

use std::fs;
use std::process::Command;
use std::time::Duration;

/// Whether this system counts CPU time by nanoseconds where we look for it.
pub(crate) fn is_counted() -> bool {
    fs::read_to_string("/proc/thread-self/schedstat").is_ok_and(|text| first_number(&text).is_some())
}

/// CPU time of all threads that are alive now: a measurement must keep its threads until the end.
pub(crate) fn cpu() -> Duration {
    // Reading this brings the caller's own account up to date; the others' are, unless they run.
    let _ = fs::read("/proc/self/stat");
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let used = |task: fs::DirEntry| first_number(&fs::read_to_string(task.path().join("schedstat")).ok()?);
    Duration::from_nanos(tasks.filter_map(used).sum())
}

/// Microseconds of CPU for each of `count` things that `work` does.
pub(crate) fn micros_each(count: usize, work: impl FnOnce()) -> f64 {
    let before = cpu();
    work();
    micros(cpu().saturating_sub(before), count)
}

#[allow(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
pub(crate) fn micros(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e6 / count.max(1) as f64
}

/// Resident memory now, in octets.
pub(crate) fn resident() -> u64 {
    status("VmRSS:")
}

/// The most resident memory since [`forget_peak`], in octets.
pub(crate) fn peak() -> u64 {
    status("VmHWM:")
}

/// Starts to measure the peak anew.
pub(crate) fn forget_peak() {
    fs::write("/proc/self/clear_refs", "5").expect("the kernel lets a process reset its own peak");
}

/// The machine, for the foot of the table.
pub(crate) fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|it| it.1);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let rustc = Command::new("rustc").arg("--version").output().map(|it| it.stdout).unwrap_or_default();
    let rustc = String::from_utf8_lossy(&rustc);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!(
        "{}, {cores} cores, Linux {}, {}, load average {}",
        cpu.unwrap_or("unknown processor"),
        kernel.trim(),
        if rustc.is_empty() { "rustc unknown" } else { rustc.trim() },
        load.split(' ').next().unwrap_or("unknown"),
    )
}

fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(first_number).expect("Linux tells the memory of a process") * 1024
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}
