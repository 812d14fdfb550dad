//! Declarative messages, and what is said about bad ones.

use std::collections::BTreeMap;

use webpush_channels::declarative::{Declarative, DeclarativeError, UrlProblem};
use webpush_channels::testing::declarative::{DeclarativeReader, Declared, DeclaredAction, Ordinary};

use crate::needles::Shown;
use crate::world::{PATH, PLAINTEXT};

const URL: &str = "https://app.example/";

pub(crate) fn format_all(shown: &mut Shown<'_>) {
    let secret = format!("https://app.example{PATH}");
    let builder = Declarative::builder(PLAINTEXT, &secret)
        .body(PLAINTEXT)
        .tag(PLAINTEXT)
        .icon(&secret)
        .data(PLAINTEXT)
        .member(PLAINTEXT, PLAINTEXT)
        .action(PLAINTEXT, PLAINTEXT, &secret);
    shown.debug(&builder);
    let message: Declarative = builder.clone().build().unwrap();
    shown.debug(&message);
    shown.debug(message.payload());
    let declared: Declared =
        DeclarativeReader::Standard.read(message.payload().as_bytes(), &secret).expect("it was built");
    let action: &DeclaredAction = &declared.actions[0];
    shown.debug(action);
    shown.debug(&declared);

    let numbered = BTreeMap::from([(vec![PLAINTEXT], 1)]);
    for bad in [
        builder.clone().icon(PLAINTEXT),
        builder.clone().icon(format!("http://app.example{PATH}")),
        builder.clone().image(format!("{secret} {PLAINTEXT}")),
        builder.clone().badge(format!("https://{PLAINTEXT}:x@app.example/")),
        builder.clone().action("a", PLAINTEXT, PATH),
        builder.clone().action_with_icon("a", PLAINTEXT, URL, PATH),
        builder.clone().action(PLAINTEXT, PLAINTEXT, URL),
        builder.clone().lang(PATH),
        builder.clone().data(&numbered),
        builder.clone().member(PLAINTEXT, &numbered),
        builder.clone().member("mutable", PLAINTEXT),
        builder.clone().body(PLAINTEXT.repeat(200)),
        builder.clone().silent(true).vibrate([1]),
        builder.tag("").renotify(true),
    ] {
        let error: DeclarativeError = bad.build().expect_err("it is bad");
        if let DeclarativeError::Url { source, .. } = &error {
            let source: &UrlProblem = source;
            shown.display(source);
        }
        shown.error(&error);
    }
    ordinary(shown);
}

fn ordinary(shown: &mut Shown<'_>) {
    for members in [
        format!(r#""icon":"{PLAINTEXT}""#),
        format!(r#""dir":"{PLAINTEXT}""#),
        format!(r#""navigate":"https://[{PLAINTEXT}""#),
        format!(r#""{PLAINTEXT}":"#),
    ] {
        let payload =
            format!(r#"{{"web_push":8030,"notification":{{"title":"T","navigate":"{URL}",{members}}}}}"#);
        let refused: Result<Declared, Ordinary> = DeclarativeReader::WebKit.read(payload.as_bytes(), URL);
        shown.failure(refused);
    }
}
