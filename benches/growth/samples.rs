//! What was measured, kept in a file, so that a long run which was interrupted goes on.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// What one leg of one round showed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// Microseconds of CPU for each push.
    pub(crate) cpu: f64,
    /// Pushes a second.
    pub(crate) rate: f64,
    /// Milliseconds from the page to the transport, where that was looked at: the median push's.
    pub(crate) wait: f64,
    /// And the longest.
    pub(crate) longest: f64,
}

#[derive(Debug)]
pub(crate) struct Samples {
    known: HashMap<(usize, String), Figures>,
    file: File,
}

impl Samples {
    /// Goes on with what is there if `resume`, else begins anew.
    ///
    /// # Errors
    ///
    /// What is there is from another programme or of other sizes, in words.
    pub(crate) fn open(resume: bool, smoke: bool) -> Result<Self, String> {
        let name = if smoke { "growth-smoke.samples" } else { "growth.samples" };
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let programme = programme();
        let text = if resume { fs::read_to_string(&path).unwrap_or_default() } else { String::new() };
        let mut lines = text.lines();
        if lines.next().is_some_and(|first| first != programme) {
            return Err(format!("{} is from another build: run without --resume", path.display()));
        }
        let known: HashMap<_, _> = lines.filter_map(sample).collect();
        if resume {
            eprintln!("{} samples are there already", known.len());
        }
        let begun = if text.is_empty() { begin(&path, &programme) } else { append(&path) };
        let file = begun.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { known, file })
    }

    pub(crate) fn get(&self, round: usize, leg: &str) -> Option<Figures> {
        self.known.get(&(round, leg.to_owned())).copied()
    }

    pub(crate) fn keep(&mut self, round: usize, leg: &str, figures: Figures) {
        let Figures { cpu, rate, wait, longest } = figures;
        self.known.insert((round, leg.to_owned()), figures);
        writeln!(self.file, "{round} {leg} {cpu} {rate} {wait} {longest}").expect("the file takes a line");
    }

    /// One figure of a leg, round by round.
    pub(crate) fn of(&self, leg: &str, rounds: usize, figure: fn(Figures) -> f64) -> Vec<f64> {
        (1..=rounds).filter_map(|round| self.get(round, leg)).map(figure).collect()
    }
}

fn begin(path: &PathBuf, programme: &str) -> std::io::Result<File> {
    let mut file = File::create(path)?;
    writeln!(file, "{programme}")?;
    Ok(file)
}

fn append(path: &PathBuf) -> std::io::Result<File> {
    OpenOptions::new().append(true).open(path)
}

/// Which build this is.
fn programme() -> String {
    let this = std::env::current_exe().and_then(fs::metadata).ok();
    let changed = this.as_ref().and_then(|it| it.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok());
    format!("{} octets, {} s", this.map_or(0, |it| it.len()), changed.unwrap_or_default().as_secs())
}

/// A line that was cut off in the middle is measured again.
fn sample(line: &str) -> Option<((usize, String), Figures)> {
    let fields: Vec<_> = line.split(' ').collect();
    let [round, leg, cpu, rate, wait, longest] = fields[..] else { return None };
    let number = |text: &str| text.parse().ok();
    let figures =
        Figures { cpu: number(cpu)?, rate: number(rate)?, wait: number(wait)?, longest: number(longest)? };
    Some(((round.parse().ok()?, leg.to_owned()), figures))
}
