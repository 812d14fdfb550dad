//! The main job: one message to a channel of many simulated browsers, over real sockets.
//!
//!     cargo run --release --example broadcast -- [--subscribers N] [--payload-size B] [--latency-ms MS]
//!         [--tls] [--json]
//!
//! The programme starts itself a second time as the push service, which decrypts every message
//! and compares it, so that the figures printed here are the sender's alone. One subscription in
//! fifty is dead (410), one in a hundred is throttled once (429).

mod figures;
mod push_service;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use figures::{Figures, Usage};
use indicatif::{ProgressBar, ProgressStyle};
use push_service::Peer;
use webpush_channels::channel::{Broadcast, Channel, Channels, Progress};
use webpush_channels::engine::vapid::{Vapid, VapidKey};
use webpush_channels::sender::Sender;
use webpush_channels::store::{MemoryStore, NewEntry, SubscriptionStore};
use webpush_channels::transport::HyperTransport;
use webpush_channels::{
    AddressPolicy, ChannelName, EndpointPolicy, Message, Payload, Report, Subscription, Ttl, UserId,
};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Phone, laptop and work computer.
const DEVICES: usize = 3;

#[derive(Clone, Debug)]
struct Options {
    subscribers: usize,
    payload_size: usize,
    /// How long the push service takes for an answer.
    latency: Duration,
    tls: bool,
    json: bool,
    /// Run as the push service.
    serve: bool,
}

impl Options {
    fn parse() -> Result<Self> {
        use lexopt::prelude::*;
        let mut options = Self {
            subscribers: 20_000,
            payload_size: 1024,
            latency: Duration::ZERO,
            tls: false,
            json: false,
            serve: false,
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("subscribers") => options.subscribers = parser.value()?.parse()?,
                Long("payload-size") => options.payload_size = parser.value()?.parse()?,
                Long("latency-ms") => options.latency = Duration::from_millis(parser.value()?.parse()?),
                Long("tls") => options.tls = true,
                Long("json") => options.json = true,
                Long("serve") => options.serve = true,
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
        if options.serve { push_service::serve(&options).await.map(|()| true) } else { run(&options).await }
    };
    match run.await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("broadcast: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<bool> {
    let (mut peer, subscriptions) = Peer::start(options).await?;
    let channels = channels(&peer, options)?;
    let news = fill(&channels, subscriptions).await?;

    let before = Usage::now();
    let report = publish(&channels, &news, options).await?;
    let used = Usage::now().since(&before);

    let figures = Figures::new(options, &report, &peer.counters().await?, used);
    if options.json {
        println!("{}", figures.to_json());
    } else {
        println!("{report}{figures}");
    }
    Ok(figures.hold())
}

fn channels(peer: &Peer, options: &Options) -> Result<Channels> {
    let mut transport = HyperTransport::builder()
        .address_policy(AddressPolicy::loopback_for_tests())
        .http2_prior_knowledge(!options.tls);
    if let Some(ca) = &peer.ca_pem {
        transport = transport.extra_root_pem(ca.as_bytes())?;
    }
    let vapid = Vapid::new(VapidKey::generate()?, "mailto:ops@example.org".parse()?);
    let sender =
        Sender::builder(vapid, transport.build()?).policy(EndpointPolicy::loopback_for_tests()).build();
    Ok(Channels::new(MemoryStore::new(), sender))
}

/// Stores the subscriptions, several for each user, and lets every user join.
async fn fill(channels: &Channels, subscriptions: Vec<Subscription>) -> Result<ChannelName> {
    let news = ChannelName::new("news")?;
    let mut entries = Vec::with_capacity(subscriptions.len());
    for (n, subscription) in subscriptions.into_iter().enumerate() {
        entries.push(NewEntry::new(UserId::new(format!("user-{}", n / DEVICES))?, subscription));
    }
    let mut users: Vec<_> = entries.iter().map(|entry| entry.user.clone()).collect();
    users.dedup();
    channels.store().put(&entries).await?;
    channels.store().join(&news, &users).await?;
    Ok(news)
}

async fn publish(channels: &Channels, news: &ChannelName, options: &Options) -> Result<Report> {
    let message = Message::new(Payload::new(options.payload())?, Ttl::hours(1));
    let progress = Progress::default();
    let bar = tokio::spawn(show(progress.clone(), options.clone()));
    let report = channels.channel(news).publish(Broadcast::new(message).with_progress(&progress)).await;
    bar.abort();
    Ok(report?)
}

/// A bar on a terminal; nothing elsewhere.
async fn show(progress: Progress, options: Options) {
    let bar = if options.json { ProgressBar::hidden() } else { ProgressBar::new(options.subscribers as u64) };
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} {per_sec} {msg}") {
        bar.set_style(style);
    }
    loop {
        let now = progress.snapshot();
        bar.set_length(now.total.unwrap_or(options.subscribers as u64));
        bar.set_position(now.done);
        bar.set_message(format!("{} accepted", now.accepted));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
