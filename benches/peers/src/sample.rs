//! What was measured so far. It is kept in a file, so that a run that was interrupted goes on where it ended.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::options::Options;
use crate::rows::{Row, What};
use crate::table::Samples;

/// One measurement, in microseconds for each push or message.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Sample {
    pub(crate) cpu: f64,
    pub(crate) elapsed: f64,
}

/// A program that sends one message, and its building.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Footprint {
    pub(crate) dependencies: usize,
    /// Elapsed and of the CPU, in seconds, of a build from nothing. None where that was left out.
    pub(crate) build: Option<(f64, f64)>,
    pub(crate) octets: u64,
    pub(crate) stripped: u64,
    /// From the start of the process until its push was accepted, in microseconds: elapsed, and of the CPU.
    pub(crate) starts: Vec<(f64, f64)>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Measured {
    /// What it belongs to: samples of another program or another boot are no part of this run.
    run: String,
    /// Of this crate and of web-push.
    pub(crate) footprints: Vec<Footprint>,
    rounds: Vec<BTreeMap<String, Sample>>,
    /// The version of HTTP that each sender chose.
    pub(crate) protocols: BTreeMap<String, String>,
    #[serde(skip)]
    file: Option<PathBuf>,
}

impl Measured {
    /// What an interrupted run left, or nothing. A part of a run is not kept.
    pub(crate) fn load(options: &Options) -> Result<Self> {
        if options.smoke || options.only.is_some() {
            return Ok(Self::default());
        }
        let program = fs::metadata(std::env::current_exe()?)?;
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let run = format!("{} {} {} {}", program.mtime(), program.mtime_nsec(), program.size(), boot.trim());
        let file = options.directory.join("samples.json");
        let kept = fs::read(&file).ok().filter(|_| !options.fresh);
        let kept =
            kept.and_then(|kept| serde_json::from_slice::<Self>(&kept).ok()).filter(|it| it.run == run);
        if let Some(kept) = &kept {
            let (programs, rounds) = (kept.footprints.len(), kept.rounds.len());
            eprintln!(
                "going on with an interrupted run: {programs} programs built, {rounds} rounds measured"
            );
            eprintln!("(--fresh begins anew)");
        }
        Ok(Self { run, file: Some(file), ..kept.unwrap_or_default() })
    }

    /// Nothing is lost from here on.
    pub(crate) fn keep(&self) -> Result<()> {
        if let Some(file) = &self.file {
            let new = file.with_extension("new");
            fs::write(&new, serde_json::to_vec(self)?)?;
            fs::rename(new, file)?;
        }
        Ok(())
    }

    /// The run has ended: the next is a new one.
    pub(crate) fn end(&self) -> Result<()> {
        Ok(self.file.as_ref().map_or(Ok(()), fs::remove_file)?)
    }

    pub(crate) fn rounds(&self) -> usize {
        self.rounds.len()
    }

    pub(crate) fn add(&mut self, round: BTreeMap<String, Sample>) {
        self.rounds.push(round);
    }

    /// CPU time, round by round. None where the row was not measured with it.
    pub(crate) fn cpu(&self, row: &Row, what: What, size: usize) -> Option<Samples> {
        self.samples(row, what, size, |sample| sample.cpu)
    }

    pub(crate) fn elapsed(&self, row: &Row, what: What, size: usize) -> Option<Samples> {
        self.samples(row, what, size, |sample| sample.elapsed)
    }

    fn samples(&self, row: &Row, what: What, size: usize, part: fn(&Sample) -> f64) -> Option<Samples> {
        let key = key(row, what, size);
        let samples: Vec<_> = self.rounds.iter().filter_map(|round| round.get(&key)).map(part).collect();
        (!samples.is_empty()).then_some(Samples(samples))
    }
}

pub(crate) fn key(row: &Row, what: What, size: usize) -> String {
    format!("{} {} {size}", row.name, what.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::ROWS;

    #[test]
    fn an_interrupted_run_goes_on_and_an_ended_one_does_not() {
        let directory = std::env::temp_dir().join(format!("peers-samples-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let options = Options {
            smoke: false,
            rounds: 2,
            only: None,
            fresh: false,
            directory: directory.clone(),
            python: PathBuf::new(),
            node_modules: PathBuf::new(),
        };
        let mut measured = Measured::load(&options).unwrap();
        let sample = Sample { cpu: 2.0, elapsed: 3.0 };
        measured.add([(key(&ROWS[0], What::Push, 100), sample)].into());
        measured.keep().unwrap();

        let again = Measured::load(&options).unwrap();
        assert_eq!(again.rounds(), 1);
        assert_eq!(again.cpu(&ROWS[0], What::Push, 100).unwrap().0, [2.0]);
        assert!(again.cpu(&ROWS[1], What::Push, 100).is_none());
        assert_eq!(Measured::load(&Options { fresh: true, ..options.clone() }).unwrap().rounds(), 0);
        assert_eq!(Measured::load(&Options { smoke: true, ..options.clone() }).unwrap().rounds(), 0);

        again.end().unwrap();
        assert_eq!(Measured::load(&options).unwrap().rounds(), 0);
        fs::remove_dir_all(directory).unwrap();
    }
}
