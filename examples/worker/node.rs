//! A node: a hub that sends, and a worker that takes work for it.

use std::fs;
use std::sync::Arc;

use webpush_channels::channel::{Channels, Limits, Worker};
use webpush_channels::engine::vapid::{Vapid, VapidKey};
use webpush_channels::sender::Sender;
use webpush_channels::store::journal::Journal;
use webpush_channels::transport::HyperTransport;
use webpush_channels::{AddressPolicy, EndpointPolicy};

use super::Result;
use super::options::Options;

/// Sends until it is told to stop, or with `--until-idle` until nothing is left.
pub(crate) async fn run(options: &Options) -> Result<()> {
    // What it takes, finishes and loses is logged, without endpoints or payloads.
    let level = if options.verbose { tracing::Level::DEBUG } else { tracing::Level::INFO };
    let log = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).finish();
    // Somebody else may have set one, where this is called and not started.
    let _ = tracing::subscriber::set_global_default(log);

    let journal = options.open().await?;
    let mut worker = Worker::builder(hub(options, &journal)?, journal);
    if let Some(term) = options.term {
        worker = worker.term(term);
    }
    let worker = worker.build();
    if options.until_idle {
        worker.run_until_idle().await?;
    } else {
        worker.run(interrupted()).await?;
    }
    Ok(())
}

fn hub(options: &Options, journal: &Arc<dyn Journal>) -> Result<Channels> {
    let key = VapidKey::from_text(&fs::read_to_string(&options.vapid_key)?)?;
    let vapid = Vapid::new(key, options.contact.parse()?);
    let mut transport = HyperTransport::builder();
    let mut policy = EndpointPolicy::public_internet();
    if options.allow_loopback {
        transport = transport.address_policy(AddressPolicy::loopback_for_tests()).http2_prior_knowledge(true);
        policy = EndpointPolicy::loopback_for_tests();
    }
    if let Some(ca) = &options.ca {
        transport = transport.extra_root_pem(&fs::read(ca)?)?;
    }
    let sender = Sender::builder(vapid, transport.build()?).policy(policy).build();
    let mut limits = Limits::default();
    if let Some(entries) = options.window {
        limits = limits.with_window(entries);
    }
    if let Some(requests) = options.in_flight {
        limits = limits.with_in_flight(requests);
    }
    Ok(Channels::builder(Arc::clone(journal), sender).limits(limits).build())
}

/// Waits for SIGINT or, where there is such a thing, SIGTERM.
pub(crate) async fn interrupted() {
    #[cfg(unix)]
    if let Ok(mut terminated) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        return;
    }
    let _ = tokio::signal::ctrl_c().await;
}
