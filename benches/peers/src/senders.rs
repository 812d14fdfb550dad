//! The senders that are written in Rust. Each runs alone in a process: it reads what to do from standard input, a line
//! for each task, and says when it is done. Those in other languages have the same conversation.
//!
//! - `prepare N` lets it make ready what it may make ready for N recipients;
//! - `push SIZE N` sends a payload of this size to the first N subscriptions;
//! - `message SIZE N` makes as many messages without sending them; the answer is the body of the last, in base64.

mod channels;
mod ece;
mod floor;
mod native;
mod web_push;

use std::io::{self, Write as _};
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::runtime::{Builder, Runtime};
use webpush_channels::engine::encryption::{AwsLc, RustCrypto};

use crate::{Result, rows};

/// Requests at a time, where it is the caller who decides.
pub(crate) const IN_FLIGHT: usize = 64;

trait Sender {
    fn prepare(&mut self, _recipients: usize) -> Result<()> {
        Ok(())
    }

    fn push(&mut self, _payload: &[u8], _times: usize) -> Result<()> {
        Err("this one does not send".into())
    }

    /// Makes messages, and returns the body of the last.
    fn message(&mut self, _payload: &[u8], _times: usize) -> Result<Vec<u8>> {
        Err("this one makes no messages".into())
    }
}

pub(crate) fn run(row: &str, directory: &Path) -> Result<()> {
    let mut sender: Box<dyn Sender> = match row {
        "floor-aws-lc-rs" => Box::new(floor::Floor::new(directory, crate::floor::aws_lc)?),
        "floor-rustcrypto" => Box::new(floor::Floor::new(directory, crate::floor::rustcrypto)?),
        "channels-aws-lc-rs" => Box::new(channels::Sending::new(directory, AwsLc::new())?),
        "channels-rustcrypto" => Box::new(channels::Sending::new(directory, RustCrypto::new())?),
        "ece" => Box::new(ece::Ece::new(directory)?),
        rows::COMPARED => Box::new(web_push::isahc(directory)?),
        "web-push-hyper" => Box::new(web_push::hyper(directory)?),
        "web-push-native" => Box::new(native::Native::new(directory)?),
        _ => return Err(format!("there is no row {row}").into()),
    };
    for line in io::stdin().lines() {
        let line = line?;
        let answer = match line.split(' ').collect::<Vec<_>>()[..] {
            ["prepare", recipients] => {
                sender.prepare(recipients.parse()?)?;
                serde_json::Value::Null
            }
            ["push", size, times] => {
                sender.push(&payload(size.parse()?), times.parse()?)?;
                serde_json::Value::Null
            }
            ["message", size, times] => {
                let body = sender.message(&payload(size.parse()?), times.parse()?)?;
                BASE64_STANDARD.encode(body).into()
            }
            _ => return Err(format!("what is {line:?}?").into()),
        };
        writeln!(io::stdout(), "{answer}")?;
    }
    Ok(())
}

/// Text, because some take nothing else.
pub(crate) fn payload(size: usize) -> Vec<u8> {
    (b'a'..=b'z').cycle().take(size).collect()
}

/// One thread, because there is one core.
fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}
