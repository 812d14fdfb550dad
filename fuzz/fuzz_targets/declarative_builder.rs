//! What the builder makes, both readers show, and alike.
//!
//! Input: lines of one letter, which is the setter, and its value.
#![no_main]

use std::time::{Duration, UNIX_EPOCH};

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use webpush_channels::Payload;
use webpush_channels::declarative::{Declarative, DeclarativeBuilder, Direction};
use webpush_channels::testing::declarative::DeclarativeReader;
use webpush_channels_fuzz::{Fields, whole};

const SCOPE: &str = "https://elsewhere.example/scope/";

fuzz_target!(|data: &[u8]| {
    let mut fields = Fields::new(data);
    let (title, navigate) = (fields.line(), fields.line());
    let mut builder = Declarative::builder(&*title, &*navigate);
    while !fields.is_empty() {
        builder = set(builder, &fields.line());
    }
    let payload = match builder.build() {
        Ok(declarative) => Payload::from(declarative),
        Err(error) => {
            whole(&error);
            return;
        }
    };
    let read = |reader: DeclarativeReader| {
        reader.read(payload.as_bytes(), SCOPE).unwrap_or_else(|error| panic!("{reader:?}: {error}"))
    };
    let (standard, webkit) = (read(DeclarativeReader::Standard), read(DeclarativeReader::WebKit));
    assert_eq!((&*standard.title, &*webkit.title), (&*title, &*title));
    assert_eq!(standard.navigate, webkit.navigate);
    assert!(standard.navigate.starts_with("https://"));
    assert_eq!(
        (standard.dir, standard.lang, standard.body, standard.tag, standard.icon),
        (webkit.dir, webkit.lang, webkit.body, webkit.tag, webkit.icon)
    );
    assert_eq!(
        (standard.silent, standard.data, standard.mutable),
        (webkit.silent, webkit.data, webkit.mutable)
    );
});

fn set(builder: DeclarativeBuilder, line: &str) -> DeclarativeBuilder {
    let Some(setter) = line.chars().next() else { return builder };
    let value = &line[setter.len_utf8()..];
    let yes = value != "0";
    let number = value.parse::<u64>().unwrap_or_default();
    let words: Vec<&str> = value.split('\t').collect();
    match setter {
        'b' => builder.body(value),
        'l' => builder.lang(value),
        'd' => builder.dir(match value {
            "l" => Direction::Ltr,
            "r" => Direction::Rtl,
            _ => Direction::Auto,
        }),
        'i' => builder.icon(value),
        'p' => builder.image(value),
        'g' => builder.badge(value),
        't' => builder.tag(value),
        'T' => UNIX_EPOCH
            .checked_add(Duration::from_millis(number))
            .into_iter()
            .fold(builder, DeclarativeBuilder::timestamp),
        'r' => builder.renotify(yes),
        's' => builder.silent(yes),
        'v' => builder.vibrate(value.split(',').filter_map(|word| word.parse().ok())),
        'q' => builder.require_interaction(yes),
        'n' => builder.app_badge(number),
        'N' => builder.nested_app_badge(yes),
        'm' => builder.mutable(yes),
        'D' => serde_json::from_str::<Value>(value)
            .into_iter()
            .fold(builder, |builder, value| builder.data(&value)),
        'M' => builder.member(words[0], &words[1..]),
        'a' => match words[..] {
            [name, title, url] => builder.action(name, title, url),
            [name, title, url, icon, ..] => builder.action_with_icon(name, title, url, icon),
            _ => builder,
        },
        _ => builder,
    }
}
