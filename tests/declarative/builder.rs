//! What is built, and what is refused.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};
use webpush_channels::Payload;
use webpush_channels::declarative::{
    Declarative, DeclarativeBuilder, DeclarativeError, Direction, UrlProblem,
};

use crate::{URL, standard, webkit};

fn message() -> DeclarativeBuilder {
    Declarative::builder("T", URL)
}

fn json_of(builder: DeclarativeBuilder) -> Value {
    serde_json::from_slice(builder.build().unwrap().payload().as_bytes()).unwrap()
}

#[track_caller]
fn refused(builder: DeclarativeBuilder) -> DeclarativeError {
    builder.build().expect_err("it is refused")
}

#[test]
fn every_member_stands_where_browsers_read_it() {
    let built = message()
        .body("B")
        .lang("pt-BR")
        .dir(Direction::Ltr)
        .tag("t")
        .renotify(true)
        .silent(false)
        .vibrate([100, 50, 100])
        .require_interaction(true)
        .timestamp(UNIX_EPOCH + Duration::from_nanos(1_700_000_000_123_999_999))
        .icon("https://app.example/icon.png")
        .image("https://app.example/image.png")
        .badge("https://app.example/badge.png")
        .data(&json!({"id": 7}))
        .action("read", "Read", "https://app.example/read")
        .action_with_icon("drop", "Drop", "https://app.example/drop", "https://app.example/drop.png")
        .mutable(true)
        .app_badge(3)
        .nested_app_badge(true)
        .member("event", &["a"]);
    let expected = json!({
        "web_push": 8030,
        "mutable": true,
        "app_badge": 3,
        "notification": {
            "title": "T",
            "navigate": URL,
            "dir": "ltr",
            "lang": "pt-BR",
            "body": "B",
            "tag": "t",
            "image": "https://app.example/image.png",
            "icon": "https://app.example/icon.png",
            "badge": "https://app.example/badge.png",
            "vibrate": [100, 50, 100],
            "timestamp": 1_700_000_000_123_u64,
            "renotify": true,
            "silent": false,
            "requireInteraction": true,
            "data": {"id": 7},
            "actions": [
                {"action": "read", "title": "Read", "navigate": "https://app.example/read"},
                {
                    "action": "drop",
                    "title": "Drop",
                    "navigate": "https://app.example/drop",
                    "icon": "https://app.example/drop.png"
                }
            ],
            "mutable": true,
            "app_badge": "3"
        },
        "event": ["a"]
    });
    assert_eq!(json_of(built), expected);
}

#[test]
fn what_was_not_asked_for_is_not_written() {
    let bare = json!({"web_push": 8030, "notification": {"title": "T", "navigate": URL}});
    assert_eq!(json_of(message()), bare);
    assert_eq!(json_of(message().mutable(true).mutable(false).nested_app_badge(true)), bare);
    assert_eq!(json_of(message().app_badge(0))["app_badge"], 0);
    assert_eq!(json_of(message().app_badge(9))["notification"].get("app_badge"), None);
}

#[test]
fn what_some_browser_would_refuse_is_refused_with_a_reason() {
    let second = |name, title| message().action("a", "A", URL).action(name, title, URL);
    for (builder, says) in [
        (Declarative::builder("", URL), "a title that is not empty"),
        (message().lang("de_CH"), "BCP 47"),
        (message().lang(""), "BCP 47"),
        (message().silent(true).vibrate([]), "leave out `silent` or `vibrate`"),
        (message().renotify(true), "needs a `tag`"),
        (message().renotify(true).tag(""), "needs a `tag`"),
        (second("", "B"), "actions[1] needs a name and a title"),
        (second("b", ""), "actions[1] needs a name and a title"),
        (second("a", "B"), "actions[1] has the name of an earlier one"),
        (message().app_badge(1 << 53), "`app_badge` is at most 9007199254740991"),
        (message().timestamp(UNIX_EPOCH - Duration::from_secs(1)), "between 1970 and"),
        (message().timestamp(UNIX_EPOCH + Duration::from_millis(1 << 53)), "between 1970 and"),
        (message().member("web_push", &8031), "`web_push` is a member of the format"),
        (message().member("notification", &8031), "`notification` is a member of the format"),
        (message().member("mutable", &true), "`mutable` is a member of the format"),
        (message().member("app_badge", &1), "`app_badge` is a member of the format"),
    ] {
        let error = refused(builder).to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn the_limits_themselves_are_taken() {
    let last = message()
        .app_badge((1 << 53) - 1)
        .timestamp(UNIX_EPOCH + Duration::from_millis((1 << 53) - 1))
        .vibrate([u32::MAX])
        .silent(false)
        .renotify(false);
    assert_eq!(json_of(last)["notification"]["timestamp"], 9_007_199_254_740_991_u64);
}

#[test]
fn a_bad_url_is_named_and_explained() {
    let bad = "http://app.example/";
    for (builder, name) in [
        (Declarative::builder("T", bad), "navigate"),
        (message().icon(bad), "icon"),
        (message().image(bad), "image"),
        (message().badge(bad), "badge"),
        (message().action("a", "A", bad), "actions[0].navigate"),
        (message().action_with_icon("a", "A", URL, bad), "actions[0].icon"),
    ] {
        let error = refused(builder);
        assert_eq!(error.to_string(), format!("`{name}` must be an absolute https URL"));
        assert_eq!(error.source().unwrap().to_string(), "the scheme must be https");
        let DeclarativeError::Url { member, source } = error else { panic!("{error:?}") };
        assert_eq!((member.as_str(), source), (name, UrlProblem::Scheme));
    }
}

#[test]
fn a_value_without_json_form_is_told_with_its_cause() {
    let odd = BTreeMap::from([(vec![1], 2)]);
    for (builder, member) in [(message().data(&odd), "data"), (message().member("x", &odd), "member")] {
        let error = refused(builder.clone());
        assert_eq!(error.to_string(), format!("the value of `{member}` cannot be written as JSON"));
        assert!(error.source().is_some());
        // The first problem is told.
        assert!(matches!(refused(builder.app_badge(u64::MAX)), DeclarativeError::Json { .. }));
    }
}

#[test]
fn the_size_is_told_to_the_octet() {
    let empty = message().body("").build().unwrap().payload().len();
    let room = Payload::MAX_LEN - empty;
    let full = message().body("x".repeat(room)).build().unwrap();
    assert_eq!(full.payload().len(), 3993);
    assert!(standard(full.payload().as_bytes()).is_ok());

    // What JSON escapes and what UTF-8 takes counts.
    for (body, over) in [("x".repeat(room + 1), 1), ("\n".repeat(room), room), ("\u{e9}".repeat(room), room)]
    {
        let error = refused(message().body(body));
        let DeclarativeError::TooLarge { len, limit } = error else { panic!("{error:?}") };
        assert_eq!((len, limit), (3993 + over, 3993));
        assert!(error.to_string().contains(&format!("this one has {over} too many")), "{error}");
    }
}

#[test]
fn what_is_nested_too_deep_to_be_read_is_refused() {
    let nested = |levels| (0..levels).fold(json!(null), |inner, _| json!([inner]));
    let deepest = message().data(&nested(125)).build().unwrap();
    assert!(standard(deepest.payload().as_bytes()).is_ok());
    assert!(matches!(refused(message().data(&nested(126))), DeclarativeError::TooDeep));
    let deepest = message().member("x", &nested(126)).build().unwrap();
    assert!(webkit(deepest.payload().as_bytes()).is_ok());
    assert!(matches!(refused(message().member("x", &nested(127))), DeclarativeError::TooDeep));
}

#[test]
fn debug_and_errors_say_nothing_of_the_content() {
    let builder = Declarative::builder("SECRET", "https://SECRET.example/SECRET")
        .body("SECRET")
        .member("SECRET", &"SECRET")
        .action("SECRET", "SECRET", URL);
    let shown = format!("{builder:?} {:?}", builder.clone().build().unwrap());
    assert!(!shown.to_uppercase().contains("SECRET"), "{shown}");
    for bad in [builder.clone().icon("SECRET"), builder.clone().lang("SECRET SECRET")] {
        let error = refused(bad);
        assert!(!format!("{error} {error:?}").contains("SECRET"), "{error:?}");
    }
}
