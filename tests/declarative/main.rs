//! Declarative messages: what is built, what browsers make of it, and the published cases.
#![allow(clippy::unwrap_used, reason = "tests")]

mod builder;
mod content_type;
mod property;
mod reader;
mod urls;
mod vectors;

use webpush_channels::testing::declarative::{DeclarativeReader, Declared, Ordinary};

const SCOPE: &str = "https://app.example/scope/";
const URL: &str = "https://app.example/m/1";
const READERS: [DeclarativeReader; 2] = [DeclarativeReader::Standard, DeclarativeReader::WebKit];

fn standard(payload: impl AsRef<[u8]>) -> Result<Declared, Ordinary> {
    DeclarativeReader::Standard.read(payload.as_ref(), SCOPE)
}

fn webkit(payload: impl AsRef<[u8]>) -> Result<Declared, Ordinary> {
    DeclarativeReader::WebKit.read(payload.as_ref(), SCOPE)
}

/// A message with these members in its notification, beside a title and a URL.
fn with(members: &str) -> String {
    format!(r#"{{"web_push":8030,"notification":{{"title":"T","navigate":"{URL}",{members}}}}}"#)
}
