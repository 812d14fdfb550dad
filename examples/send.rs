//! Sends one message to one subscription.
//!
//!     cargo run --example send -- --vapid-key FILE --contact URI [--ttl S] [--urgency U] [--collapse KEY]
//!         [--encoding CODING] [--ca FILE] [--allow-loopback] SUBSCRIPTION.json  < payload
//!
//! CODING is `aes128gcm` (RFC 8291), or the legacy `aesgcm`, which needs `--features ece`.
//! Prints the outcome as one JSON line; the exit status is 0 only if it was accepted.

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::io::Read as _;
use std::process::ExitCode;
use std::sync::Arc;

use webpush_channels::engine::encryption::{Encryption, Encryptor};
use webpush_channels::engine::vapid::{Vapid, VapidKey};
use webpush_channels::sender::{Sender, Sent};
use webpush_channels::store::Coding;
use webpush_channels::transport::HyperTransport;
use webpush_channels::{
    AddressPolicy, CollapseKey, EndpointPolicy, Message, Payload, Subscription, Ttl, Urgency,
};

const USAGE: &str = "usage: send --vapid-key FILE --contact URI [--ttl SECONDS] [--urgency very-low|low|normal|high] \
    [--collapse KEY] [--encoding aes128gcm|aesgcm] [--ca FILE] [--allow-loopback] SUBSCRIPTION.json  (payload on standard input)";

#[derive(Default)]
struct Options {
    vapid_key: String,
    contact: String,
    ttl: Option<Ttl>,
    urgency: Urgency,
    collapse: Option<CollapseKey>,
    coding: Coding,
    ca: Option<String>,
    allow_loopback: bool,
    subscription: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut payload = Vec::new();
    if let Err(error) = std::io::stdin().read_to_end(&mut payload) {
        eprintln!("send: the payload cannot be read: {error}");
        return ExitCode::from(2);
    }
    match run(std::env::args_os().skip(1), payload).await {
        Ok(sent) => {
            println!("{}", describe(&sent));
            if sent.outcome.is_accepted() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprint!("send: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprint!(": {cause}");
                source = cause.source();
            }
            eprintln!();
            ExitCode::from(2)
        }
    }
}

/// Sends `payload` as the arguments say.
pub(crate) async fn run(
    args: impl IntoIterator<Item = OsString>,
    payload: Vec<u8>,
) -> Result<Sent, Box<dyn Error>> {
    let options = parse(args)?;
    let key = VapidKey::from_octets(&fs::read(&options.vapid_key)?)?;
    let vapid = Vapid::new(key, options.contact.parse()?);
    let subscription = Subscription::from_json(fs::read(&options.subscription)?)?;
    let mut message = Message::new(Payload::new(payload)?, options.ttl.unwrap_or(Ttl::hours(1)))
        .with_urgency(options.urgency);
    if let Some(key) = options.collapse {
        message = message.with_collapse_key(key);
    }

    let mut transport = HyperTransport::builder();
    let mut policy = EndpointPolicy::public_internet();
    if options.allow_loopback {
        transport = transport.address_policy(AddressPolicy::loopback_for_tests());
        policy = EndpointPolicy::loopback_for_tests();
    }
    if let Some(ca) = options.ca {
        transport = transport.extra_root_pem(&fs::read(ca)?)?;
    }
    let encryptor = encryptor(options.coding)?;
    let sender = Sender::builder(vapid, transport.build()?).encryptor(encryptor).policy(policy).build();
    Ok(sender.send(&subscription, &message).await)
}

fn encryptor(coding: Coding) -> Result<Arc<dyn Encryptor>, Box<dyn Error>> {
    match coding {
        Coding::AesGcm => Ok(Encryption::legacy().ok_or(
            "this program was built without aesgcm: cargo run --features ece --example send -- --encoding aesgcm ...",
        )?),
        _ => Ok(Encryption::fastest()),
    }
}

fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Options, Box<dyn Error>> {
    use lexopt::prelude::*;
    let mut options = Options::default();
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("vapid-key") => options.vapid_key = parser.value()?.string()?,
            Long("contact") => options.contact = parser.value()?.string()?,
            Long("ttl") => options.ttl = Some(parser.value()?.string()?.parse()?),
            Long("urgency") => options.urgency = parser.value()?.string()?.parse()?,
            Long("collapse") => options.collapse = Some(parser.value()?.string()?.parse()?),
            Long("encoding") => {
                options.coding = Coding::from_name(&parser.value()?.string()?)
                    .ok_or("--encoding is aes128gcm or aesgcm")?;
            }
            Long("ca") => options.ca = Some(parser.value()?.string()?),
            Long("allow-loopback") => options.allow_loopback = true,
            Value(file) if options.subscription.is_empty() => options.subscription = file.string()?,
            _ => return Err(USAGE.into()),
        }
    }
    let missing = [&options.vapid_key, &options.contact, &options.subscription];
    if missing.into_iter().any(String::is_empty) { Err(USAGE.into()) } else { Ok(options) }
}

/// One line of JSON.
pub(crate) fn describe(sent: &Sent) -> serde_json::Value {
    let mut line = serde_json::json!({
        "outcome": sent.outcome.kind().as_str(),
        "attempts": sent.attempts,
    });
    if let Some(detail) = &sent.detail {
        line["detail"] = detail.to_string().into();
    }
    line
}
