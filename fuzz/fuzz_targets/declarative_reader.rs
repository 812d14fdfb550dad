//! Declarative messages as browsers read them: the URLs of what is shown are absolute and stay as they are.
//!
//! Input: the payload.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use webpush_channels::testing::declarative::{DeclarativeReader, Declared};
use webpush_channels_fuzz::whole;

const SCOPE: &str = "https://app.example/a/b?c=d#e";

fuzz_target!(|data: &[u8]| {
    let standard = DeclarativeReader::Standard.read(data, SCOPE);
    let webkit = DeclarativeReader::WebKit.read(data, SCOPE);
    match &webkit {
        Ok(shown) => {
            assert!(!shown.title.is_empty(), "D-18");
            check_urls(shown);
        }
        Err(error) => drop(whole(error)),
    }
    match &standard {
        Ok(shown) => {
            assert!(shown.silent != Some(true) || shown.vibrate.is_none(), "D-14");
            let tag = shown.tag.as_deref().unwrap_or_default();
            assert!(shown.renotify != Some(true) || !tag.is_empty(), "D-14");
            check_urls(shown);
        }
        Err(error) => drop(whole(error)),
    }
    if let (Ok(standard), Ok(webkit)) = (standard, webkit) {
        assert_eq!(
            (standard.title, standard.silent, standard.lang),
            (webkit.title, webkit.silent, webkit.lang)
        );
    }
});

fn check_urls(shown: &Declared) {
    let pictures = [&shown.icon, &shown.image, &shown.badge].into_iter().flatten();
    let actions = shown.actions.iter().flat_map(|action| action.icon.iter().chain([&action.navigate]));
    for url in pictures.chain(actions).chain([&shown.navigate]) {
        assert!(url.contains(':'), "{url} is absolute");
        let document = json!({"web_push": 8030, "notification": {"title": "x", "navigate": url}}).to_string();
        let again = DeclarativeReader::WebKit.read(document.as_bytes(), SCOPE).expect("it was a URL before");
        assert_eq!(again.navigate, *url, "parsing is idempotent");
    }
}
