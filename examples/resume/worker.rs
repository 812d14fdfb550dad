//! The process that sends, and is killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::{Child, Command};
use webpush_channels::channel::{Channels, Limits, Worker};
use webpush_channels::engine::vapid::{Vapid, VapidKey};
use webpush_channels::sender::Sender;
use webpush_channels::store::SqliteStore;
use webpush_channels::transport::HyperTransport;
use webpush_channels::{AddressPolicy, EndpointPolicy};

use super::Result;

/// What a crash repeats is at most this much for each lease that was lost. The defaults are larger: they suit a server.
pub(super) const WINDOW: usize = 128;
pub(super) const IN_FLIGHT: usize = 64;

/// How long the successor waits for one that is gone.
const TERM: Duration = Duration::from_secs(2);

pub(super) fn database(directory: &Path) -> PathBuf {
    directory.join("push.db")
}

pub(super) fn key_file(directory: &Path) -> PathBuf {
    directory.join("vapid.pem")
}

/// Starts this programme again, to send.
pub(super) fn start(directory: &Path) -> Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--send").arg(directory).stdin(Stdio::null()).kill_on_drop(true);
    Ok(command.spawn()?)
}

/// Sends whatever the file asks for, until nothing is left.
pub(super) async fn send(directory: &Path) -> Result<()> {
    let store = Arc::new(SqliteStore::open(database(directory)).await?);
    let key = VapidKey::from_text(&fs::read_to_string(key_file(directory))?)?;
    let transport = HyperTransport::builder()
        .address_policy(AddressPolicy::loopback_for_tests())
        .http2_prior_knowledge(true)
        .build()?;
    let sender = Sender::builder(Vapid::new(key, "mailto:ops@example.org".parse()?), transport)
        .policy(EndpointPolicy::loopback_for_tests())
        .build();
    let limits = Limits::default().with_window(WINDOW).with_in_flight(IN_FLIGHT);
    let hub = Channels::builder(Arc::clone(&store), sender).limits(limits).build();
    Worker::builder(hub, store).term(TERM).build().run_until_idle().await?;
    Ok(())
}
