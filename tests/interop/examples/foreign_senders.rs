//! Runs senders that others wrote against the push services of the test kit, and looks at what
//! reached the user agents.
//!
//!     foreign_senders PROGRAM SCRIPT [PROGRAM SCRIPT]...

use std::error::Error;
use std::process::Stdio;
use std::time::Duration;
use std::{env, fs, io};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use webpush_channels::engine::vapid::VapidKey;
use webpush_channels::testing::{PushService, PushServiceBuilder, UserAgent};
use webpush_channels_interop::content;

/// What a sender may take for all its messages.
const PATIENCE: Duration = Duration::from_secs(120);
/// In octets. The last is what each coding has room for (E-25, E-54).
const CODINGS: [(&str, [usize; 5]); 2] =
    [("aes128gcm", [1, 17, 128, 3000, 3993]), ("aesgcm", [1, 17, 128, 3000, 4077])];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    if args.is_empty() || !args.len().is_multiple_of(2) {
        return Err("usage: foreign_senders PROGRAM SCRIPT...".into());
    }
    for sender in args.chunks(2) {
        for (manner, service) in
            [("strict", PushService::builder()), ("mozilla", PushService::builder().mozilla())]
        {
            let opened = run(&sender[0], &sender[1], service).await;
            let opened = opened.map_err(|error| format!("{}, {manner}: {error}", sender[1]))?;
            println!("{}: the user agent opened {opened} messages ({manner})", sender[1]);
        }
    }
    Ok(())
}

/// Has all sent by one program, and checks each. Returns how many there were.
async fn run(program: &str, script: &str, service: PushServiceBuilder) -> Result<usize, Box<dyn Error>> {
    // web-push speaks https only.
    let service = service.tls(true).localhost(true).start().await?;
    let authority = Authority::write(service.ca_pem().ok_or("no certificate")?)?;
    let key = VapidKey::generate()?;
    let agent = UserAgent::new();
    let subscription = service.subscribe_bound(&agent, key.public_key());
    let contents = contents();
    let job = json!({
        "subscription": subscription,
        "vapid": serde_json::from_str::<Value>(key.to_json_pair().expose())?,
        "contact": "mailto:ops@example.com",
        "messages": contents.iter().map(|(coding, content)| json!({
            "coding": coding,
            "payload": content.as_ref().map(|content| BASE64_URL_SAFE_NO_PAD.encode(content)),
        })).collect::<Vec<_>>(),
    });
    send(program, script, &authority, &job).await?;
    if !service.violations().is_empty() {
        return Err(format!("refused: {:?}", service.violations()).into());
    }
    let mut received = Vec::new();
    for message in service.received(&subscription) {
        let coding = message.headers().get("content-encoding").cloned();
        received.push((coding, message.payload()?.map(<[u8]>::to_vec)));
    }
    // A sender may send a message more than once, in each form of VAPID that it knows.
    received.dedup();
    let sent = contents.iter().map(|(coding, content)| {
        (content.as_ref().map(|_| coding.parse().expect("a name is a header's value")), content.clone())
    });
    if !sent.eq(received.iter().cloned()) {
        return Err(format!("{} of {} messages are as they were sent", received.len(), contents.len()).into());
    }
    Ok(service.received(&subscription).len())
}

/// Texts for each coding, and a message without any.
fn contents() -> Vec<(&'static str, Option<Vec<u8>>)> {
    let mut contents = vec![("aes128gcm", None)];
    for (coding, sizes) in CODINGS {
        contents.push((coding, Some("Gr\u{fc}\u{df}e \u{1f514}".into())));
        contents.extend(sizes.map(|size| (coding, Some(content(size)))));
    }
    contents
}

async fn send(program: &str, script: &str, authority: &Authority, job: &Value) -> Result<(), Box<dyn Error>> {
    let mut child = Command::new(program)
        .arg(script)
        .env("NODE_EXTRA_CA_CERTS", &authority.0)
        .env("REQUESTS_CA_BUNDLE", &authority.0)
        .env("NO_PROXY", "*")
        .stdin(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut input = child.stdin.take().ok_or("no standard input")?;
    input.write_all(job.to_string().as_bytes()).await?;
    drop(input);
    let status = tokio::time::timeout(PATIENCE, child.wait()).await??;
    if status.success() { Ok(()) } else { Err(format!("{status}").into()) }
}

/// The file with the certificate, gone with its owner.
struct Authority(std::path::PathBuf);

impl Authority {
    fn write(pem: &str) -> io::Result<Self> {
        let path = env::temp_dir().join(format!("webpush-channels-interop-{}.pem", std::process::id()));
        fs::write(&path, pem)?;
        Ok(Self(path))
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
