//! The published cases, for readers and for the builder.

use serde_json::{Value, json};
use webpush_channels::declarative::{Declarative, DeclarativeError, Direction};
use webpush_channels::testing::declarative::{DeclarativeReader, Declared};

use crate::READERS;

fn vector() -> Value {
    let file: Value = serde_json::from_str(include_str!("../vectors/vectors.json")).unwrap();
    let all = file["vectors"].as_array().unwrap();
    all.iter().find(|vector| vector["id"] == "derived-declarative").unwrap().clone()
}

/// What was read, in the words of the vector.
fn result(declared: &Declared) -> Value {
    let action = |one: &_| {
        let webpush_channels::testing::declarative::DeclaredAction { name, title, navigate, .. } = one;
        json!({"action": name, "title": title, "navigate": navigate})
    };
    json!({
        "title": declared.title,
        "navigate": declared.navigate,
        "body": declared.body,
        "lang": declared.lang,
        "dir": declared.dir,
        "tag": declared.tag,
        "silent": declared.silent,
        "renotify": declared.renotify,
        "requireInteraction": declared.require_interaction,
        "actions": declared.actions.iter().map(action).collect::<Vec<_>>(),
        "mutable": declared.mutable,
    })
}

#[test]
fn every_case_is_read_as_the_standard_says() {
    let vector = vector();
    let (scope, cases) = (vector["base_url"].as_str().unwrap(), vector["cases"].as_array().unwrap());
    assert_eq!(cases.len(), 31);
    for case in cases {
        let payload = case["payload_text"].as_str().unwrap();
        let read = DeclarativeReader::Standard.read(payload.as_bytes(), scope);
        assert_eq!(read.is_ok(), case["declarative"].as_bool().unwrap(), "{}: {read:?}", case["name"]);
        assert_eq!(read.as_ref().map_or(Value::Null, result), case["result"], "{}", case["name"]);
    }
}

/// What is built of a case's own members, with full URLs where it has results; none if it is no
/// message that can be said to the builder at all.
fn built(case: &Value) -> Option<Result<Declarative, DeclarativeError>> {
    let payload: Value = serde_json::from_str(case["payload_text"].as_str()?).ok()?;
    let notification =
        (payload["web_push"].as_f64() == Some(8030.0)).then(|| payload["notification"].as_object())??;
    let text = |name: &str| notification.get(name).and_then(Value::as_str);
    let full = |name: &str| case["result"][name].as_str().or(text(name));
    let mut builder = Declarative::builder(text("title").unwrap_or_default(), full("navigate")?);
    for (name, value) in notification {
        builder = match (name.as_str(), value) {
            ("dir", Value::String(dir)) if dir == "rtl" => builder.dir(Direction::Rtl),
            ("tag", Value::String(tag)) => builder.tag(tag),
            ("silent", Value::Bool(silent)) => builder.silent(*silent),
            ("renotify", Value::Bool(again)) => builder.renotify(*again),
            ("vibrate", pattern) => {
                builder.vibrate(serde_json::from_value::<Vec<u32>>(pattern.clone()).unwrap())
            }
            ("actions", given) => {
                let actions = case["result"]["actions"].as_array().or(given.as_array()).unwrap();
                let field = |one: &Value, name: &str| one[name].as_str().unwrap().to_owned();
                actions.iter().fold(builder, |builder, one| {
                    builder.action(field(one, "action"), field(one, "title"), field(one, "navigate"))
                })
            }
            _ => builder,
        };
    }
    Some(builder.mutable(payload["mutable"] == true).build())
}

#[test]
fn what_the_cases_say_is_built_as_it_is_read() {
    let (mut same, mut refused) = (0, 0);
    for case in vector()["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        match built(case) {
            Some(Ok(message)) => {
                let payload = message.payload().as_bytes();
                for reader in READERS {
                    let mut read = result(&reader.read(payload, "https://other.example/").expect(name));
                    if reader == DeclarativeReader::WebKit {
                        // Safari reads neither of them.
                        for unread in ["actions", "renotify"] {
                            read[unread] = case["result"][unread].clone();
                        }
                    }
                    assert_eq!(read, case["result"], "{name} by {reader:?}");
                }
                same += 1;
            }
            Some(Err(_)) => {
                // The one that is stricter: Safari refuses an empty title.
                let stricter = name == "empty-title";
                assert!(case["declarative"] == false || stricter, "{name}");
                refused += 1;
            }
            None => assert!(case["declarative"] == false, "{name}"),
        }
    }
    assert_eq!((same, refused), (13, 7));
}
