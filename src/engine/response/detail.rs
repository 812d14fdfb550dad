//! A stranger's words, made fit for a log (S-9).

use crate::Endpoint;

/// The longest reason that is kept, in characters.
const MAX_CHARS: usize = 256;

/// Longer words are tokens, not language.
const MAX_WORD: usize = 48;

/// Shorter words and path segments tell nothing.
const MIN_SECRET: usize = 8;

/// How much of a body is looked at. What the known services say is far shorter.
pub(super) const MAX_BODY: usize = 16 * 1024;
const MAX_TEXT: usize = 2048;

/// At most 256 characters without control characters, URLs, tokens and parts of the endpoint.
///
/// FCM's 404 quotes the whole endpoint, which is a capability (S-12).
pub(super) fn clean(text: &str, endpoint: &Endpoint) -> Option<Box<str>> {
    let secret = &endpoint.as_str()[endpoint.origin_str().len()..];
    let mut clean = String::new();
    let mut left = MAX_CHARS;
    for word in text.split_whitespace() {
        let word = if names_secret(word, secret) { "[redacted]" } else { word };
        let space = usize::from(!clean.is_empty());
        if left <= space {
            break;
        }
        clean.extend((space == 1).then_some(' '));
        clean.extend(word.chars().map(printable).take(left - space));
        left = left.saturating_sub(space + word.chars().count());
    }
    (!clean.is_empty()).then(|| clean.into_boxed_str())
}

fn names_secret(word: &str, secret: &str) -> bool {
    let core = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    word.len() > MAX_WORD
        || contains(word.as_bytes(), "://")
        || (core.len() >= MIN_SECRET && secret.contains(core))
        || secret
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_')
            .any(|segment| segment.len() >= MIN_SECRET && word.contains(segment))
}

/// Escapes could rewrite a terminal, and directional marks the line.
fn printable(c: char) -> char {
    match c {
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => {
            '\u{fffd}'
        }
        _ if c.is_control() => '\u{fffd}',
        _ => c,
    }
}

/// A body that no vendor's format explains: a JSON object's `message` or `reason`, a page's
/// title, or plain text.
pub(super) fn plain(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(&body[..body.len().min(MAX_TEXT)]);
    match text.trim_start().as_bytes().first()? {
        b'<' => title(&text),
        b'{' => json(body),
        _ => Some(text.into_owned()),
    }
}

fn title(html: &str) -> Option<String> {
    // ASCII case mapping keeps the offsets.
    let lower = html.to_ascii_lowercase();
    let start = lower.find("<title>")? + "<title>".len();
    let end = start + lower[start..].find("</title>")?;
    Some(html[start..end].to_owned())
}

fn json(body: &[u8]) -> Option<String> {
    let object: serde_json::Value = parse(body)?;
    ["message", "reason", "error", "detail"]
        .iter()
        .find_map(|name| object.get(name)?.as_str().map(str::to_owned))
}

/// A JSON body of sensible size, as a type.
pub(super) fn parse<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Option<T> {
    if body.len() > MAX_BODY {
        return None;
    }
    // serde_json refuses more than 128 levels.
    serde_json::from_slice(body).ok()
}

/// Whether the beginning of `text` contains `needle`, in any ASCII case.
pub(super) fn contains(text: &[u8], needle: &str) -> bool {
    text[..text.len().min(MAX_TEXT)]
        .windows(needle.len())
        .any(|window| window.eq_ignore_ascii_case(needle.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(text: &str) -> String {
        let endpoint = "https://push.example.net/wpush/v2/gAAAAsecret-1?token=BQ%2bAqwertz".parse().unwrap();
        clean(text, &endpoint).map(String::from).unwrap_or_default()
    }

    #[test]
    fn urls_tokens_and_parts_of_the_endpoint_are_redacted() {
        for (text, expected) in [
            ("see HTTPS://push.example.net/x now", "see [redacted] now"),
            ("bad (gAAAAsecret-1)", "bad [redacted]"),
            ("bad gAAAAsec...", "bad [redacted]"),
            ("bad id=gAAAAsecret-1x", "bad [redacted]"),
            ("bad Aqwertz!", "bad Aqwertz!"),
            ("bad 2bAqwertz!", "bad [redacted]"),
            ("push was refused", "push was refused"),
        ] {
            assert_eq!(cleaned(text), expected, "{text}");
        }
        assert_eq!(cleaned(&"a".repeat(49)), "[redacted]");
    }

    #[test]
    fn control_characters_are_replaced_and_lines_joined() {
        assert_eq!(cleaned("a\r\nb\u{1b}[31mc\0\u{202e}d\u{85}e"), "a b\u{fffd}[31mc\u{fffd}\u{fffd}d e");
        assert_eq!(cleaned(" \n\t "), "");
    }

    #[test]
    fn long_reasons_are_cut_at_256_characters() {
        let text = "sp\u{e9}c ".repeat(100);
        assert_eq!(cleaned(&text).chars().count(), MAX_CHARS);
        assert_eq!(cleaned(&"a ".repeat(5000)).chars().count(), MAX_CHARS - 1);
    }

    #[test]
    fn a_reason_is_found_in_json_html_and_text() {
        for (body, expected) in [
            (r#"{"code":507,"message":"quota"}"#, Some("quota")),
            (r#"{"code":507}"#, None),
            ("{cut", None),
            ("<HTML><HEAD><TITLE>Not \u{130} here</TITLE>", Some("Not \u{130} here")),
            ("<html>", None),
            ("plain", Some("plain")),
            ("", None),
        ] {
            assert_eq!(plain(body.as_bytes()).as_deref(), expected, "{body}");
        }
    }
}
