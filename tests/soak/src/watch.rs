//! Memory and sockets of the nodes, from `/proc`: Linux only.

use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use crate::Result;
use crate::shared::Shared;

/// What a process takes at first says nothing about what it takes on: caches and pools fill.
const WARM_UP: Duration = Duration::from_secs(90);
/// A slope over less time is noise.
const LONG: Duration = Duration::from_secs(8 * 60);
/// MiB in a minute.
const STEEPEST: f64 = 1.0;
/// MiB.
const MOST_MEMORY: f64 = 256.0;
const MOST_SOCKETS: usize = 256;

#[derive(Clone, Copy, Debug)]
struct Sample {
    /// Since the beginning of the run.
    at: Duration,
    memory: f64,
    sockets: usize,
}

/// A process, from its start to its end.
#[derive(Debug)]
pub(crate) struct Life {
    node: &'static str,
    pid: u32,
    samples: Vec<Sample>,
    /// The kernel's own, between the samples, too.
    peak: f64,
}

impl Life {
    /// MiB in a minute, by least squares, if it lived for long enough.
    fn slope(&self) -> Option<(f64, Duration)> {
        let first = self.samples.first()?.at;
        let warm: Vec<_> = self.samples.iter().filter(|sample| sample.at >= first + WARM_UP).collect();
        let time = warm.last()?.at.saturating_sub(warm.first()?.at);
        let points: Vec<_> = warm.iter().map(|it| (it.at.as_secs_f64() / 60.0, it.memory)).collect();
        (time >= LONG).then(|| (least_squares(&points), time))
    }

    fn sockets(&self) -> usize {
        self.samples.iter().map(|sample| sample.sockets).max().unwrap_or_default()
    }

    pub(crate) fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if let Some((slope, _)) = self.slope().filter(|(slope, _)| *slope > STEEPEST) {
            wrong.push(format!("the memory of the {} grows by {slope:.2} MiB in a minute", self.node));
        }
        if self.peak > MOST_MEMORY {
            wrong.push(format!("the {} took {:.0} MiB", self.node, self.peak));
        }
        if self.sockets() > MOST_SOCKETS {
            wrong.push(format!("the {} had {} sockets", self.node, self.sockets()));
        }
        wrong
    }
}

/// What all processes of a node took, one after another.
pub(crate) fn told(lives: &[Life], node: &str) -> String {
    let lives: Vec<_> = lives.iter().filter(|life| life.node == node).collect();
    let peak = lives.iter().map(|life| life.peak).fold(0.0, f64::max);
    let sockets = lives.iter().map(|life| life.sockets()).max().unwrap_or_default();
    let last = lives.last().and_then(|life| life.samples.last());
    let (memory, left) = last.map_or((0.0, 0), |sample| (sample.memory, sample.sockets));
    let mut told = format!(
        "{node:14} {:2} processes, memory {peak:.1} MiB at most, {memory:.1} at the end, sockets {sockets} at most, \
         {left} at the end",
        lives.len()
    );
    for (life, (slope, time)) in lives.iter().filter_map(|life| Some((life, life.slope()?))) {
        let minutes: Vec<_> = life.samples.iter().step_by(60).map(|it| format!("{:.1}", it.memory)).collect();
        let (seconds, minutes) = (time.as_secs(), minutes.join(" "));
        let _ = write!(told, "\n{:14} slope {slope:+.3} MiB/min over {seconds} s; each minute {minutes}", "");
    }
    told
}

/// The slope of the line with the least squares of distances.
fn least_squares(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let covariance: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let variance: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    covariance / variance
}

/// Looks once a second, until it is aborted; also whether all of them live.
pub(crate) async fn watch(shared: Arc<Shared>, lives: Arc<std::sync::Mutex<Vec<Life>>>) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        for node in &shared.nodes.all {
            let Some(pid) = node.pid() else { continue };
            // It may have ended since.
            let Ok((memory, peak, sockets)) = look(pid) else { continue };
            let sample = Sample { at: shared.now(), memory, sockets };
            let mut lives = crate::shared::lock(&lives);
            match lives.iter_mut().find(|life| life.pid == pid) {
                Some(life) => {
                    life.samples.push(sample);
                    life.peak = life.peak.max(peak);
                }
                None => lives.push(Life { node: node.name, pid, samples: vec![sample], peak }),
            }
        }
    }
}

/// Resident memory now and at most, in MiB, and open sockets.
fn look(pid: u32) -> Result<(f64, f64, usize)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| -> Result<f64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("it has ended")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
    };
    let mut sockets = 0;
    for descriptor in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let target = fs::read_link(descriptor?.path());
        sockets += usize::from(target.is_ok_and(|it| it.to_string_lossy().starts_with("socket:")));
    }
    Ok((field("VmRSS:")?, field("VmHWM:")?, sockets))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A life of so many minutes whose memory is a function of the time in minutes.
    fn life(minutes: u64, memory: fn(f64) -> f64) -> Life {
        let sample = |second| Sample {
            at: Duration::from_secs(second),
            memory: memory(second as f64 / 60.0),
            sockets: 3,
        };
        Life { node: "node", pid: 1, samples: (0..=minutes * 60).map(sample).collect(), peak: 50.0 }
    }

    #[test]
    fn memory_that_grows_steadily_is_told_and_what_fills_at_first_is_not() {
        let leaking = life(10, |minute| 30.0 + 2.0 * minute);
        assert!(leaking.wrong()[0].contains("grows by 2.00 MiB"), "{:?}", leaking.wrong());
        let filling = life(10, |minute| 30.0 + 20.0 * minute.min(1.5));
        assert_eq!(filling.wrong(), Vec::<String>::new());
        let waving = life(10, |minute| 30.0 + 5.0 * (minute * 40.0).sin());
        assert_eq!(waving.wrong(), Vec::<String>::new());
    }

    #[test]
    fn a_short_life_has_no_slope_and_its_bounds_all_the_same() {
        let mut short = life(5, |minute| 30.0 + 9.0 * minute);
        assert_eq!((short.slope(), short.wrong()), (None, Vec::new()));
        short.peak = 300.0;
        short.samples[7].sockets = 300;
        assert_eq!(short.wrong(), ["the node took 300 MiB", "the node had 300 sockets"]);
    }
}
