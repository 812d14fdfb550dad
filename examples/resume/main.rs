//! What a crash does to a broadcast: nothing that a subscriber notices.
//!
//!     cargo run --release --example resume -- [--subscribers N] [--payload-size B]
//!         [--latency-ms MS] [--json]
//!
//! The programme starts itself twice more: as the push service, and as the worker that sends. The worker is killed
//! (SIGKILL) half-way and started again. The new one waits until the lease of the dead one has passed, and goes on at
//! its last checkpoint. Every live subscription must have got the message, and no more of them twice than promised.

mod figures;
#[allow(dead_code, reason = "nothing is sent over TLS here")]
#[path = "../broadcast/push_service.rs"]
mod push_service;
mod worker;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use figures::Figures;
use push_service::Peer;
use webpush_channels::channel::{Broadcast, DurableChannel, Publication};
use webpush_channels::engine::vapid::VapidKey;
use webpush_channels::store::journal::Journal;
use webpush_channels::store::{Audience, NewEntry, SqliteStore, SubscriptionStore};
use webpush_channels::{BroadcastId, ChannelName, Message, Payload, Report, Subscription, Ttl, UserId};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const BROADCAST: &str = "resume";

#[derive(Clone, Debug)]
pub(crate) struct Options {
    subscribers: usize,
    payload_size: usize,
    latency: Duration,
    tls: bool,
    json: bool,
    /// Run as the push service.
    serve: bool,
    /// Run as the worker, on the files of this directory.
    send: Option<PathBuf>,
}

impl Options {
    fn parse() -> Result<Self> {
        use lexopt::prelude::*;
        let mut options = Self {
            subscribers: 10_000,
            payload_size: 200,
            latency: Duration::from_millis(50),
            tls: false,
            json: false,
            serve: false,
            send: None,
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("subscribers") => options.subscribers = parser.value()?.parse()?,
                Long("payload-size") => options.payload_size = parser.value()?.parse()?,
                Long("latency-ms") => options.latency = Duration::from_millis(parser.value()?.parse()?),
                Long("json") => options.json = true,
                Long("serve") => options.serve = true,
                Long("send") => options.send = Some(parser.value()?.into()),
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(options)
    }

    fn payload(&self) -> Vec<u8> {
        (0..self.payload_size).map(|i| b"webpush-channels "[i % 17]).collect()
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let run = async {
        let options = Options::parse()?;
        match &options.send {
            Some(directory) => worker::send(directory).await.map(|()| true),
            None if options.serve => push_service::serve(&options).await.map(|()| true),
            None => run(&options).await,
        }
    };
    match run.await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("resume: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<bool> {
    let (mut peer, subscriptions) = Peer::start(options).await?;
    let directory = Directory::new()?;
    enqueue(&directory.0, subscriptions, options).await?;

    let half = (options.subscribers / 2) as u64;
    let mut first = worker::start(&directory.0)?;
    while arrived(&mut peer).await? < half {
        if let Some(status) = first.try_wait()? {
            return Err(format!("the worker ended before it was killed: {status}").into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    first.kill().await?;
    let before = arrived(&mut peer).await?;

    let status = worker::start(&directory.0)?.wait().await?;
    if !status.success() {
        return Err(format!("the second worker ended with {status}").into());
    }
    let figures = Figures::new(options, before, &peer.counters().await?, &report(&directory.0).await?);
    if options.json {
        println!("{}", figures.to_json());
    } else {
        println!("{figures}");
    }
    Ok(figures.hold())
}

async fn arrived(peer: &mut Peer) -> Result<u64> {
    Ok(peer.counters().await?["decrypted"].as_u64().unwrap_or(0))
}

/// Stores the subscriptions and the broadcast. From here on the file is all that is needed.
async fn enqueue(directory: &Path, subscriptions: Vec<Subscription>, options: &Options) -> Result<()> {
    std::fs::write(worker::key_file(directory), VapidKey::generate()?.to_pkcs8_pem().expose())?;
    let store = SqliteStore::open(worker::database(directory)).await?;
    let news = ChannelName::new("news")?;
    let mut entries = Vec::with_capacity(subscriptions.len());
    for (number, subscription) in subscriptions.into_iter().enumerate() {
        entries.push(NewEntry::new(UserId::new(format!("user-{number}"))?, subscription));
    }
    for batch in entries.chunks(1000) {
        store.put(batch).await?;
        let users: Vec<_> = batch.iter().map(|entry| entry.user.clone()).collect();
        store.join(&news, &users).await?;
    }
    let message = Message::new(Payload::new(options.payload())?, Ttl::hours(1));
    let broadcast = Broadcast::new(message).with_id(BroadcastId::new(BROADCAST)?);
    DurableChannel::new(store).enqueue(Publication::new(Audience::Channel(news), broadcast)).await?;
    Ok(())
}

async fn report(directory: &Path) -> Result<Report> {
    let store = SqliteStore::open(worker::database(directory)).await?;
    Ok(store.report(&BroadcastId::new(BROADCAST)?).await?.ok_or("the broadcast is not in the file")?)
}

/// A directory that is removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Result<Self> {
        let directory = std::env::temp_dir().join(format!("webpush-resume-{}", std::process::id()));
        std::fs::create_dir(&directory)?;
        Ok(Self(directory))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
