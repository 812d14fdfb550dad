//! The readers' URLs against an implementation of the URL standard, Servo's.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use reqwest::Url;
use serde_json::json;
use webpush_channels::testing::declarative::DeclarativeReader;

/// How the readers resolve a text.
fn resolved(text: &str, scope: &str) -> Option<String> {
    let payload = json!({"web_push": 8030, "notification": {"title": "T", "navigate": text}}).to_string();
    DeclarativeReader::Standard.read(payload.as_bytes(), scope).ok().map(|shown| shown.navigate)
}

fn same(text: &str, scope: &str) {
    let expected = Url::parse(scope).unwrap().join(text).ok().map(String::from);
    assert_eq!(resolved(text, scope), expected, "{text:?} at {scope}");
}

const SCOPES: [&str; 4] = [
    "https://app.example",
    "https://app.example/scope/",
    "http://[::1]:8080/a/b/c.html?q#f",
    "https://u:p@h/x",
];

#[test]
fn urls_are_resolved_as_browsers_do() {
    let texts = "|#|?|/|.|..|../..|../../../x|./a/./b/../c|a/..|a/.|%2e%2E/x|//|//other.example|\\\\other.example\\x|\
        /\\other.example|https:|https:x|https:/x|https:///x|https://x|http:x|HTTP://X.Example:80/|https://x:443|\
        https://x:0443/|https://x:|https://x:65536|https://x:-1|https://x:1a|https://[::ffff:1.2.3.4]/|https://[bad|\
        https://[::1|https://[::1]x|https://127.1|https://0x7f.1/|https://0x|https://1.0x|https://256|\
        https://4294967296|https://1.2.3.256|https://1.2.3.4.5|https://08|https://1.2.3.4.|https://a..b|https://a b|\
        https://a%41|https://a%20b|https://a%|https://%zz|https://a_b|https://u@h|https://u:p@q@h|https://:@h|\
        https://:p@h|https://@h| \u{1}x\n|a\tb|x?y=1|?a'b\"c<d>#e`f|/{}`\u{e9}\u{7f}|1:b|./a:b|?x:y|x#a#b|\
        /a;b=c,d|\\x|//h\\x?y\\z";
    for scope in SCOPES {
        for text in texts.split('|') {
            same(text, scope);
        }
    }
}

/// Where Servo's is behind the standard.
#[test]
fn slashes_before_a_host_and_carets_in_a_path_are_those_of_the_standard() {
    let scope = "https://app.example/scope/";
    assert_eq!(resolved("///other.example/x", scope).as_deref(), Some("https://other.example/x"));
    assert_eq!(resolved("/a^b?c^d", scope).as_deref(), Some("https://app.example/a%5Eb?c^d"));
}

/// Such a URL is taken as it stands.
fn has_other_scheme(text: &str) -> bool {
    let text = text.trim_start_matches(|c: char| c <= ' ').replace(['\t', '\n'], "").to_ascii_lowercase();
    let word = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let scheme = text.split_once(':').map(|(scheme, _)| scheme).filter(|scheme| scheme.chars().all(word));
    scheme.is_some_and(|s| s.starts_with(|c: char| c.is_ascii_alphabetic()) && s != "http" && s != "https")
}

proptest! {
    #[test]
    fn any_reference_is_resolved_as_browsers_do(
        pieces in vec(
            prop_oneof![
                select(vec![
                    "/", "/", ".", "..", "%2e", "%2F", "?", "#", "\\", ":", "@", "//", "[", "]", "::1", "https:", "http://",
                    "https://", "a", "b1", "0x", "7f", "08", "255", "256", "%", " ", "'", "\"", "<", "`", "{",
                    "\t", "\n", "\u{0}", "\u{7f}", "~", "_", "-", "+", "&", "=", ";", ",", "$", "!", "*", "(",
                ]).prop_map(str::to_owned),
                "[a-z0-9.:/]{1,4}",
            ],
            0..10,
        ),
        scope in select(SCOPES.to_vec()),
    ) {
        let text = pieces.concat();
        prop_assume!(!has_other_scheme(&text));
        let slashes = text.trim_start_matches(|c: char| c <= ' ').replace(['\t', '\n'], "");
        let slashes = slashes.bytes().take_while(|octet| matches!(octet, b'/' | b'\\')).count();
        prop_assume!(slashes < 3);
        same(&text, scope);
    }
}
