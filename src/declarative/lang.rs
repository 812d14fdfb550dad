//! Language tags.

/// Whether a text has the shape of a language tag (RFC 5646 section 2.1), whose parts are not
/// looked up: a language of two letters or more, or `x` or `i`, and parts of up to eight characters.
pub(super) fn is_tag(text: &str) -> bool {
    let mut parts = text.split('-');
    let first = parts.next().unwrap_or_default();
    let language = (2..=8).contains(&first.len()) && first.bytes().all(|octet| octet.is_ascii_alphabetic());
    let private = ["i", "x"].iter().any(|single| first.eq_ignore_ascii_case(single)) && text.len() > 2;
    let is_part =
        |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|octet| octet.is_ascii_alphanumeric());
    (language || private) && parts.all(is_part)
}

#[cfg(test)]
mod tests {
    use super::is_tag;

    #[test]
    fn tags_are_told_from_other_words() {
        for tag in ["de", "pt-BR", "zh-Hant-TW", "sl-rozaj-biske", "de-CH-1901", "x-klingon", "i-default"] {
            assert!(is_tag(tag), "{tag}");
        }
        for other in
            ["", "d", "x", "x-", "de-", "-de", "de--CH", "de_CH", "deutschland", "d3", "en US", "\u{e9}s"]
        {
            assert!(!is_tag(other), "{other}");
        }
    }
}
