//! What the program is told to do.

use std::path::PathBuf;

#[derive(Debug)]
pub(crate) enum Job {
    Measure(Options),
    /// As the push service.
    Serve {
        directory: PathBuf,
    },
    /// As one of the senders that are written in Rust.
    Send {
        row: String,
        directory: PathBuf,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Only to see that everything runs.
    pub(crate) smoke: bool,
    pub(crate) rounds: usize,
    /// Only rows with this in their names.
    pub(crate) only: Option<String>,
    /// Not to be continued from where an interrupted run ended.
    pub(crate) fresh: bool,
    /// For what is made on the way: keys, subscriptions, programs, samples.
    pub(crate) directory: PathBuf,
    /// With pywebpush.
    pub(crate) python: PathBuf,
    /// With web-push.
    pub(crate) node_modules: PathBuf,
}

impl Job {
    pub(crate) fn parse() -> Result<Self, lexopt::Error> {
        use lexopt::prelude::*;
        let (mut smoke, mut fresh, mut rounds, mut only) = (false, false, None, None);
        let (mut serve, mut send) = (false, None);
        let [mut directory, mut python, mut node_modules] = [const { None::<PathBuf> }; 3];
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("smoke") => smoke = true,
                Long("fresh") => fresh = true,
                Long("rounds") => rounds = Some(parser.value()?.parse::<usize>()?.max(1)),
                Long("only") => only = Some(parser.value()?.string()?),
                Long("directory") => directory = Some(parser.value()?.into()),
                Long("python") => python = Some(parser.value()?.into()),
                Long("node-modules") => node_modules = Some(parser.value()?.into()),
                Long("serve") => serve = true,
                Long("send") => send = Some(parser.value()?.string()?),
                other => return Err(other.unexpected()),
            }
        }
        let given = |path: Option<PathBuf>| {
            path.ok_or_else(|| lexopt::Error::from("a path is missing: start this by scripts/peers"))
        };
        let directory = given(directory)?;
        Ok(match send {
            Some(row) => Self::Send { row, directory },
            None if serve => Self::Serve { directory },
            None => Self::Measure(Options {
                smoke,
                rounds: rounds.unwrap_or(if smoke { 1 } else { 5 }),
                only,
                fresh,
                directory,
                python: given(python)?,
                node_modules: given(node_modules)?,
            }),
        })
    }
}
