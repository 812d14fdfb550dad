//! Processes that are talked to by lines, one answer for each.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::Result;
use crate::sample::Sample;
use crate::system::{self, Account};

/// Nothing that is asked for takes so long, on any machine.
const PATIENCE: Duration = Duration::from_mins(15);

/// Ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    input: ChildStdin,
    answers: Receiver<String>,
}

/// What it cost the process to answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) cpu: Duration,
    pub(crate) elapsed: Duration,
}

impl Cost {
    /// In microseconds.
    #[allow(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
    pub(crate) fn each(self, times: usize) -> Sample {
        let each = |time: Duration| time.as_secs_f64() * 1e6 / times.max(1) as f64;
        Sample { cpu: each(self.cpu), elapsed: each(self.elapsed) }
    }
}

impl Process {
    /// Starts a program on one core.
    pub(crate) fn start(name: &str, mut command: Command, core: usize) -> Result<Self> {
        // A proxy of the environment's would be measured too.
        for variable in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env_remove(variable);
        }
        let started = system::on(core, &command).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child =
            started.map_err(|error| format!("taskset does not start (Debian: util-linux): {error}"))?;
        let input = child.stdin.take().expect("it is piped");
        let output = child.stdout.take().expect("it is piped");
        let (sender, answers) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(std::io::Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { name: name.to_owned(), child, input, answers })
    }

    pub(crate) fn line(&self) -> Result<String> {
        let late = |error| format!("{} gives no answer ({error}); what it said stands above", self.name);
        Ok(self.answers.recv_timeout(PATIENCE).map_err(late)?)
    }

    pub(crate) fn ask<A: DeserializeOwned>(&mut self, question: &str) -> Result<A> {
        // Who has ended says why on the standard error; that there is no answer is told below.
        let _ = writeln!(self.input, "{question}");
        Ok(serde_json::from_str(&self.line()?)?)
    }

    /// Asks, and counts what the answer cost.
    pub(crate) fn measure<A: DeserializeOwned>(&mut self, question: &str) -> Result<(A, Cost)> {
        let id = self.child.id();
        let (before, began) = (Account::of(id)?, system::now());
        let answer = self.ask(question)?;
        let cost = Cost { elapsed: began.elapsed(), cpu: Account::of(id)?.since(&before)? };
        if system::has_children(id) {
            return Err(format!("{} has started processes, which nobody counts", self.name).into());
        }
        Ok((answer, cost))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
