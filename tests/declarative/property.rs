//! What the builder makes is what browsers read.

use std::time::{Duration, UNIX_EPOCH};

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use reqwest::Url;
use serde_json::{Value, json};
use webpush_channels::declarative::{Declarative, DeclarativeBuilder, DeclarativeError, Direction};
use webpush_channels::testing::declarative::{DeclarativeReader, Declared};

use crate::{SCOPE, standard, webkit};

const LARGEST: u64 = (1 << 53) - 1;

/// Everything that can be said.
#[derive(Clone, Debug)]
struct Said {
    title: String,
    texts: [Option<String>; 2],
    lang: Option<&'static str>,
    dir: Option<Direction>,
    navigate: String,
    pictures: [Option<String>; 3],
    flags: [Option<bool>; 3],
    vibrate: Option<Vec<u32>>,
    timestamp: Option<u64>,
    data: Option<Value>,
    actions: Vec<(String, String, String, Option<String>)>,
    mutable: bool,
    app_badge: Option<u64>,
    nested: bool,
    members: Vec<(String, Value)>,
}

fn url() -> impl Strategy<Value = String> {
    (
        "[hH][tT]{2}[pP][sS]://[a-zA-Z]{1,8}(\\.[a-z]{2,5}){1,2}(:[1-9][0-9]{0,3})?",
        "(/([a-zA-Z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2}){0,6}){0,3}",
        "(\\?([a-zA-Z0-9/?._~'-]|%[0-9a-f]{2}){0,8})?(#[a-zA-Z0-9/?._~'-]{0,8})?",
    )
        .prop_map(|(origin, path, rest)| origin + &path + &rest)
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 8, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map("[a-z]{0,4}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn said() -> impl Strategy<Value = Said> {
    let text = || option::of(".{0,40}");
    let flag = || option::of(any::<bool>());
    let action = |n: usize| {
        ("[a-z ]{0,8}", ".{1,20}", url(), option::of(url()))
            .prop_map(move |(name, title, navigate, icon)| (format!("{n}{name}"), title, navigate, icon))
    };
    let looks =
        (".{1,40}", [text(), text()], option::of(select(vec!["de", "pt-BR", "zh-Hant", "x-a"])), direction());
    let urls = (url(), [option::of(url()), option::of(url()), option::of(url())]);
    let ways = ([flag(), flag(), flag()], option::of(vec(any::<u32>(), 0..5)), option::of(0..=LARGEST));
    let extras =
        (option::of(value()), (0_usize..4).prop_flat_map(move |n| (0..n).map(action).collect::<Vec<_>>()));
    let rest = (any::<bool>(), option::of(0..=LARGEST), any::<bool>(), vec(("[a-z]{1,6}", value()), 0..3));
    (looks, urls, ways, extras, rest).prop_map(|(looks, urls, ways, extras, rest)| Said {
        title: looks.0,
        texts: looks.1,
        lang: looks.2,
        dir: looks.3,
        navigate: urls.0,
        pictures: urls.1,
        flags: ways.0,
        vibrate: ways.1,
        timestamp: ways.2,
        data: extras.0,
        actions: extras.1,
        mutable: rest.0,
        app_badge: rest.1,
        nested: rest.2,
        members: rest.3,
    })
}

fn direction() -> impl Strategy<Value = Option<Direction>> {
    option::of(select(vec![Direction::Auto, Direction::Ltr, Direction::Rtl]))
}

fn set<T>(
    builder: DeclarativeBuilder,
    value: Option<T>,
    setter: impl FnOnce(DeclarativeBuilder, T) -> DeclarativeBuilder,
) -> DeclarativeBuilder {
    match value {
        Some(value) => setter(builder, value),
        None => builder,
    }
}

fn say(said: Said) -> DeclarativeBuilder {
    let mut builder =
        Declarative::builder(said.title, said.navigate).mutable(said.mutable).nested_app_badge(said.nested);
    let [body, tag] = said.texts;
    builder = set(builder, body, DeclarativeBuilder::body);
    builder = set(builder, tag, DeclarativeBuilder::tag);
    builder = set(builder, said.lang, DeclarativeBuilder::lang);
    builder = set(builder, said.dir, DeclarativeBuilder::dir);
    let [icon, image, badge] = said.pictures;
    builder = set(builder, icon, DeclarativeBuilder::icon);
    builder = set(builder, image, DeclarativeBuilder::image);
    builder = set(builder, badge, DeclarativeBuilder::badge);
    let [silent, renotify, stays] = said.flags;
    builder = set(builder, silent, DeclarativeBuilder::silent);
    builder = set(builder, renotify, DeclarativeBuilder::renotify);
    builder = set(builder, stays, DeclarativeBuilder::require_interaction);
    builder = set(builder, said.vibrate, DeclarativeBuilder::vibrate);
    let time = said.timestamp.map(|millis| UNIX_EPOCH + Duration::from_millis(millis));
    builder = set(builder, time, DeclarativeBuilder::timestamp);
    builder = set(builder, said.data.as_ref(), DeclarativeBuilder::data);
    builder = set(builder, said.app_badge, DeclarativeBuilder::app_badge);
    for (name, title, navigate, icon) in said.actions {
        builder = match icon {
            Some(icon) => builder.action_with_icon(name, title, navigate, icon),
            None => builder.action(name, title, navigate),
        };
    }
    said.members.into_iter().fold(builder, |builder, (name, value)| builder.member(name, &value))
}

/// As a browser writes it.
fn normal(url: &str) -> String {
    Url::parse(url).unwrap().into()
}

/// What a browser shows that reads everything.
fn expected(said: &Said) -> Declared {
    let mut shown = Declared::default();
    shown.title.clone_from(&said.title);
    shown.navigate = normal(&said.navigate);
    [shown.body, shown.tag] = said.texts.clone();
    shown.lang = said.lang.map(str::to_owned);
    shown.dir = said.dir;
    [shown.icon, shown.image, shown.badge] = said.pictures.clone().map(|url| url.as_deref().map(normal));
    [shown.silent, shown.renotify, shown.require_interaction] = said.flags;
    shown.vibrate.clone_from(&said.vibrate);
    shown.timestamp = said.timestamp;
    shown.data = said.data.as_ref().map(Value::to_string);
    shown.mutable = said.mutable;
    shown
}

fn check_actions(said: &Said, shown: &Declared) {
    assert_eq!(shown.actions.len(), said.actions.len());
    for (action, (name, title, navigate, icon)) in shown.actions.iter().zip(&said.actions) {
        assert_eq!((&action.name, &action.title), (name, title));
        assert_eq!(action.navigate, normal(navigate));
        assert_eq!(action.icon, icon.as_deref().map(normal));
    }
}

fn check(said: &Said) {
    let contradictory = (said.flags[0] == Some(true) && said.vibrate.is_some())
        || (said.flags[1] == Some(true) && said.texts[1].as_deref().unwrap_or_default().is_empty());
    let message = match say(said.clone()).build() {
        Ok(message) => message,
        Err(DeclarativeError::TooLarge { len, .. }) => return assert!(len > 3993),
        Err(DeclarativeError::SilentVibration | DeclarativeError::RenotifyWithoutTag) => {
            return assert!(contradictory);
        }
        Err(error) => panic!("{error:?} of {said:?}"),
    };
    assert!(!contradictory);
    let mut shown = standard(message.payload().as_bytes()).unwrap();
    check_actions(said, &shown);
    shown.actions.clear();
    let mut expected = expected(said);
    assert!(shown == expected, "{said:?}");

    // Safari reads less, the badge besides, and in the old place as well.
    expected.app_badge = said.app_badge;
    (expected.image, expected.badge, expected.vibrate, expected.timestamp) = (None, None, None, None);
    (expected.renotify, expected.require_interaction) = (None, None);
    assert!(webkit(message.payload().as_bytes()).unwrap() == expected, "{said:?}");

    let json: Value = serde_json::from_slice(message.payload().as_bytes()).unwrap();
    let nested = said.app_badge.filter(|_| said.nested).map(|number| number.to_string());
    assert_eq!(json["notification"]["app_badge"].as_str(), nested.as_deref());
    assert_eq!(json["mutable"], json["notification"]["mutable"]);
    for (name, _) in &said.members {
        let last = said.members.iter().rfind(|(other, _)| other == name).unwrap();
        assert_eq!(json[name], last.1);
    }
}

/// JSON of the words of the format, in whatever order.
fn document() -> impl Strategy<Value = Value> {
    let word = select(vec![
        "title",
        "navigate",
        "tag",
        "silent",
        "vibrate",
        "renotify",
        "actions",
        "icon",
        "app_badge",
        "mutable",
    ]);
    let member =
        prop_oneof![value(), url().prop_map(Value::from), vec(any::<u32>(), 0..3).prop_map(Value::from)];
    (option::of(Just(8030)), vec((word, member), 0..6), option::of(value())).prop_map(
        |(marker, members, badge)| {
            let notification: serde_json::Map<String, Value> =
                members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            json!({"web_push": marker, "notification": notification, "app_badge": badge})
        },
    )
}

proptest! {
    #[test]
    fn what_is_built_is_read_with_the_same_values(said in said()) {
        check(&said);
    }

    #[test]
    fn any_texts_are_refused_or_read(title in any::<String>(), url in any::<String>(), lang in any::<String>()) {
        for url in [url.clone(), format!("https://app.example/{url}"), format!("https://{url}.example")] {
            let built = Declarative::builder(&title, &url).body(&lang).icon(&url).build();
            if let Ok(message) = built {
                let shown = standard(message.payload().as_bytes()).unwrap();
                prop_assert_eq!(&shown.title, &title);
                prop_assert_eq!(&shown.navigate, &normal(&url));
                prop_assert!(webkit(message.payload().as_bytes()).is_ok());
            }
            let _ = Declarative::builder("T", "https://app.example/").lang(&lang).build();
        }
    }

    #[test]
    fn any_octets_are_read_without_panic(octets in vec(any::<u8>(), 0..200), document in document()) {
        for reader in [DeclarativeReader::Standard, DeclarativeReader::WebKit] {
            let _ = reader.read(&octets, SCOPE);
            let _ = reader.read(document.to_string().as_bytes(), SCOPE);
        }
    }
}
