//! A node that sends broadcasts out of a database, together with as many others as there are.
//!
//!     worker run     --vapid-key FILE --contact URI [--ca FILE] [--allow-loopback] [--window N] [--in-flight N]
//!                    [--term SECONDS] [--until-idle] [--verbose]
//!     worker publish --channel NAME --payload TEXT [--id ID] [--ttl SECONDS]
//!     worker report  [--id ID] [--json]
//!     worker demo    --channel NAME [--subscribers N]
//!
//! Each takes `--database-url sqlite:PATH|postgres://...`, or the variable `DATABASE_URL`. `run` ends at SIGTERM or
//! SIGINT: it puts down what it has in hand, and others go on with it. One that is killed is followed by others when
//! its lease (`--term`) has passed.
//!
//! `demo` is the other side, to see it without browsers: it puts simulated ones into a channel and is their push
//! service, until it is interrupted. Two nodes then share a broadcast:
//!
//!     eval "$(scripts/postgres start)"; export DATABASE_URL="$WEBPUSH_CHANNELS_TEST_POSTGRES"
//!     cargo run --example vapid -- generate --out key.pem
//!     alias worker="cargo run --release --example worker --"
//!     worker demo --channel news --subscribers 50000                                        # one terminal
//!     worker run --vapid-key key.pem --contact mailto:ops@example.org --allow-loopback      # two others
//!     worker publish --channel news --payload 'goal!' --id goal-1; worker report --id goal-1

pub(crate) mod database;
mod demo;
mod node;
mod options;

use std::error::Error;
use std::ffi::OsString;
use std::num::NonZeroU16;
use std::process::ExitCode;

use options::{Command, Options};
use webpush_channels::channel::{Broadcast, DurableChannel, Publication};
use webpush_channels::store::Audience;
use webpush_channels::store::journal::{Begun, Journal};
use webpush_channels::{BroadcastId, Message, Payload};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> ExitCode {
    match run(std::env::args_os().skip(1)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint!("worker: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprint!(": {cause}");
                source = cause.source();
            }
            eprintln!();
            ExitCode::FAILURE
        }
    }
}

/// Does what the arguments say.
pub(crate) async fn run(args: impl IntoIterator<Item = OsString>) -> Result<()> {
    let options = Options::parse(args)?;
    match options.command {
        Command::Run => node::run(&options).await,
        Command::Publish => publish(&options).await,
        Command::Report => report(&options).await,
        Command::Demo => demo::run(&options).await,
    }
}

/// Returns when the broadcast is stored; the nodes send it. Repeated with the same `--id`, it is the same broadcast.
async fn publish(options: &Options) -> Result<()> {
    let channel = DurableChannel::new(options.open().await?);
    let message = Message::new(Payload::new(options.payload.clone())?, options.ttl);
    let mut broadcast = Broadcast::new(message);
    if let Some(id) = &options.id {
        broadcast = broadcast.with_id(BroadcastId::new(id)?);
    }
    let to = Audience::Channel(options.channel()?);
    let enqueued = channel.enqueue(Publication::new(to, broadcast)).await?;
    let what = if enqueued.begun == Begun::Created { "enqueued" } else { "known already" };
    println!("{what}: {}", enqueued.id);
    Ok(())
}

/// How one broadcast stands, or the last ten.
async fn report(options: &Options) -> Result<()> {
    let journal = options.open().await?;
    let Some(id) = &options.id else { return recent(&*journal, options.json).await };
    let report = journal.report(&BroadcastId::new(id)?).await?.ok_or("there is no such broadcast")?;
    if options.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}

async fn recent(journal: &dyn Journal, json: bool) -> Result<()> {
    const TEN: NonZeroU16 = NonZeroU16::new(10).expect("not zero");
    for broadcast in journal.recent(None, TEN).await? {
        if json {
            let line = serde_json::json!({"id": broadcast.id.as_str(), "report": broadcast.report});
            println!("{line}");
        } else {
            print!("{}, begun {} s ago: {}", broadcast.id, broadcast.age.as_secs(), broadcast.report);
        }
    }
    Ok(())
}
