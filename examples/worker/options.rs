//! The command line.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use webpush_channels::store::journal::Journal;
use webpush_channels::{ChannelName, Ttl};

use super::{Result, database};

const USAGE: &str = "usage: worker run|publish|report|demo --database-url sqlite:PATH|postgres://... [OPTIONS] \
    (the options are at the top of examples/worker/main.rs)";

#[derive(Clone, Copy, Debug)]
pub(crate) enum Command {
    Run,
    Publish,
    Report,
    Demo,
}

#[allow(clippy::struct_excessive_bools, reason = "switches of a command line")]
pub(crate) struct Options {
    pub(crate) command: Command,
    database_url: String,
    pub(crate) vapid_key: String,
    pub(crate) contact: String,
    pub(crate) ca: Option<String>,
    pub(crate) allow_loopback: bool,
    pub(crate) window: Option<usize>,
    pub(crate) in_flight: Option<usize>,
    pub(crate) term: Option<Duration>,
    pub(crate) until_idle: bool,
    pub(crate) verbose: bool,
    channel: Option<String>,
    pub(crate) payload: String,
    pub(crate) id: Option<String>,
    pub(crate) ttl: Ttl,
    pub(crate) json: bool,
    pub(crate) subscribers: usize,
}

impl Options {
    pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self> {
        use lexopt::prelude::*;
        let mut parser = lexopt::Parser::from_args(args);
        let command = match parser.next()? {
            Some(Value(name)) if name == "run" => Command::Run,
            Some(Value(name)) if name == "publish" => Command::Publish,
            Some(Value(name)) if name == "report" => Command::Report,
            Some(Value(name)) if name == "demo" => Command::Demo,
            _ => return Err(USAGE.into()),
        };
        let mut options = Self::new(command);
        while let Some(argument) = parser.next()? {
            match argument {
                Long("database-url") => options.database_url = parser.value()?.string()?,
                Long("vapid-key") => options.vapid_key = parser.value()?.string()?,
                Long("contact") => options.contact = parser.value()?.string()?,
                Long("ca") => options.ca = Some(parser.value()?.string()?),
                Long("allow-loopback") => options.allow_loopback = true,
                Long("window") => options.window = Some(parser.value()?.parse()?),
                Long("in-flight") => options.in_flight = Some(parser.value()?.parse()?),
                Long("term") => options.term = Some(Duration::from_secs(parser.value()?.parse()?)),
                Long("until-idle") => options.until_idle = true,
                Long("verbose") => options.verbose = true,
                Long("channel") => options.channel = Some(parser.value()?.string()?),
                Long("payload") => options.payload = parser.value()?.string()?,
                Long("id") => options.id = Some(parser.value()?.string()?),
                Long("ttl") => options.ttl = parser.value()?.string()?.parse()?,
                Long("json") => options.json = true,
                Long("subscribers") => options.subscribers = parser.value()?.parse()?,
                _ => return Err(USAGE.into()),
            }
        }
        Ok(options)
    }

    fn new(command: Command) -> Self {
        Self {
            command,
            database_url: std::env::var("DATABASE_URL").unwrap_or_default(),
            vapid_key: String::new(),
            contact: String::new(),
            ca: None,
            allow_loopback: false,
            window: None,
            in_flight: None,
            term: None,
            until_idle: false,
            verbose: false,
            channel: None,
            payload: String::new(),
            id: None,
            ttl: Ttl::hours(1),
            json: false,
            subscribers: 1000,
        }
    }

    pub(crate) async fn open(&self) -> Result<Arc<dyn Journal>> {
        database::open(&self.database_url).await
    }

    pub(crate) fn channel(&self) -> Result<ChannelName> {
        Ok(ChannelName::new(self.channel.as_ref().ok_or("a channel is missing: --channel NAME")?)?)
    }
}
