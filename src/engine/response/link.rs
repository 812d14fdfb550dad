//! `Link` of a response (RFC 8288).

use http::HeaderMap;
use http::header::LINK;

use super::location;
use crate::{Endpoint, ReceiptUrl};

/// The relation of a receipt subscription (H-17). Extension relations are compared without regard
/// to case (RFC 8288 section 2.1.2).
pub(crate) const RECEIPT: &str = "urn:ietf:params:push:receipt";

/// The receipt subscription that the first fitting link names. One of another origin is none of
/// this push service's to hand out, and what cannot be read is skipped: the rest of its field too,
/// because nobody knows where the next link would begin.
pub(super) fn receipt_url(endpoint: &Endpoint, headers: &HeaderMap) -> Option<ReceiptUrl> {
    headers.get_all(LINK).iter().flat_map(|field| Links(field.as_bytes())).find_map(|link| {
        let target = link.is_receipt.then_some(link.target)?;
        location::at_origin_of(endpoint, std::str::from_utf8(target).ok()?).map(ReceiptUrl::from)
    })
}

/// One link of a field.
#[derive(Debug, PartialEq)]
struct Link<'a> {
    target: &'a [u8],
    is_receipt: bool,
}

/// What is left of a field. Each octet is looked at once.
struct Links<'a>(&'a [u8]);

impl<'a> Iterator for Links<'a> {
    type Item = Link<'a>;

    fn next(&mut self) -> Option<Link<'a>> {
        // Empty list elements are allowed (RFC 9110 section 5.6.1).
        while self.skip_space().take(b',') {}
        let target = if self.take(b'<') { self.until(b">")? } else { return self.end() };
        if !self.take(b'>') {
            return self.end();
        }
        let (mut relation, mut anchored) = (None, false);
        while self.skip_space().take(b';') {
            let Some((name, value)) = self.skip_space().parameter() else { return self.end() };
            anchored |= name.eq_ignore_ascii_case(b"anchor");
            // Those after the first are ignored (RFC 8288 section 3.3).
            if name.eq_ignore_ascii_case(b"rel") && relation.is_none() {
                relation = Some(value);
            }
        }
        if !self.0.is_empty() && !self.take(b',') {
            return self.end();
        }
        // With an anchor it is said of something else.
        let is_receipt = !anchored && relation.is_some_and(names_receipts);
        Some(Link { target, is_receipt })
    }
}

impl<'a> Links<'a> {
    fn end<T>(&mut self) -> Option<T> {
        self.0 = &[];
        None
    }

    fn take(&mut self, octet: u8) -> bool {
        let rest = self.0.strip_prefix(&[octet]);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn skip_space(&mut self) -> &mut Self {
        self.0 = self.0.trim_ascii_start();
        self
    }

    /// What stands before the first of these octets, or all of it.
    fn until(&mut self, ends: &[u8]) -> Option<&'a [u8]> {
        let len = self.0.iter().position(|octet| ends.contains(octet)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// A name, and a value that is a token or quoted. None where a quote does not end.
    fn parameter(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        let name = self.until(b"=;,")?.trim_ascii_end();
        if !self.take(b'=') {
            return Some((name, &[]));
        }
        if !self.skip_space().take(b'"') {
            return Some((name, self.until(b";,")?.trim_ascii_end()));
        }
        let value = self.0;
        let mut escaped = false;
        let len = value.iter().position(|octet| {
            let ends = *octet == b'"' && !escaped;
            escaped = *octet == b'\\' && !escaped;
            ends
        })?;
        self.0 = &value[len + 1..];
        Some((name, &value[..len]))
    }
}

/// Whether a list of relations has the one. No relation needs a backslash: one that has one is
/// another.
fn names_receipts(relations: &[u8]) -> bool {
    relations.split(u8::is_ascii_whitespace).any(|relation| relation.eq_ignore_ascii_case(RECEIPT.as_bytes()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn found(fields: &[&[u8]]) -> Option<String> {
        let endpoint = "https://push.example.net:8443/p/x".parse().unwrap();
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(LINK, HeaderValue::from_bytes(field).unwrap());
        }
        receipt_url(&endpoint, &headers).map(|url| url.as_str().to_owned())
    }

    /// `{R}` stands for the relation.
    fn path(field: &str) -> Option<String> {
        let url = found(&[field.replace("{R}", RECEIPT).as_bytes()])?;
        Some(url.strip_prefix("https://push.example.net:8443").unwrap().to_owned())
    }

    #[test]
    fn a_receipt_subscription_is_found_in_every_form_of_a_link() {
        for field in [
            r#"</r/1>; rel="{R}""#,
            "</r/1>;rel={R}",
            "  </r/1>\t;\tREL = {R} ",
            r#"</r/1>; rel="URN:IETF:params:push:RECEIPT""#,
            r#"</r/1>; rel="next {R} up""#,
            r#"<https://push.example.net:8443/r/1>; rel="{R}""#,
            r#"<HTTPS://Push.example.NET:8443/r/1>; rel="{R}""#,
            r#"</p/1>; rel="urn:ietf:params:push", </r/1>; rel="{R}", </r/2>; rel="{R}""#,
            r#",, </p/1>; title="a, <b>; \"c\\"; rel=next ,</r/1>; rel="{R}""#,
            r#"</r/1>; title; x=; rel="{R}"; rel="next""#,
            r#"</other>; rel="{R}"; anchor="/x", </r/1>; rel="{R}""#,
            r#"<//elsewhere.example/r>; rel="{R}", </r/1>; rel="{R}""#,
            "<https://elsewhere.example/r>; rel={R}, </r/1>; rel={R}",
        ] {
            assert_eq!(path(field).as_deref(), Some("/r/1"), "{field}");
        }
        let several = [b"<<<".as_slice(), b"</x>; rel=next", b"</r/1>; rel=urn:ietf:params:push:receipt"];
        assert_eq!(found(&several).as_deref(), Some("https://push.example.net:8443/r/1"));
    }

    #[test]
    fn everything_else_is_ignored() {
        for field in [
            "",
            ",",
            "/r/1; rel={R}",
            "</r/1",
            "</r/1>",
            "</r/1> rel={R}",
            "</r/1>, rel={R}",
            "</r/1>; rel",
            "</r/1>; rel=",
            r#"</r/1>; rel="{R}"#,
            r#"</r/1>; rel="{R}\""#,
            r#"</r/1>; rel="x{R}""#,
            r#"</r/1>; rel="{R}x""#,
            r#"</r/1>; rel="next"; rel="{R}""#,
            r#"</r/1>; rev="{R}""#,
            r#"</r/1>; title="; rel={R}""#,
            r#"</r/1>; rel="{R}"; anchor="/p/x""#,
            r#"<r/1>; rel="{R}""#,
            r#"<?r>; rel="{R}""#,
            r#"<>; rel="{R}""#,
            r#"<//push.example.net:8443/r/1>; rel="{R}""#,
            r#"<http://push.example.net:8443/r/1>; rel="{R}""#,
            r#"<https://push.example.net/r/1>; rel="{R}""#,
            r#"<https://push.example.net:8443@elsewhere.example/>; rel="{R}""#,
            r#"<javascript:alert(1)>; rel="{R}""#,
            r#"</r/1#x>; rel="{R}""#,
            r#"</r 1>; rel="{R}""#,
        ] {
            assert_eq!(path(field), None, "{field}");
        }
        assert_eq!(found(&[b"<\xff>; rel=urn:ietf:params:push:receipt"]), None);
    }

    #[test]
    fn eight_kilobytes_of_rubbish_are_passed_over() {
        let good = format!("</r/1>; rel={RECEIPT}");
        for (rubbish, hides) in [
            ("<", true),
            ("<>", true),
            (",", false),
            ("<x>;", true),
            ("<x>;a=\"", true),
            ("</y>;rel=next,", false),
            (";\\\"", true),
            ("\u{e9}", true),
        ] {
            let rubbish = rubbish.repeat(8192 / rubbish.len());
            let field = rubbish.clone() + &good;
            assert_eq!(found(&[field.as_bytes()]).is_none(), hides, "{}", &field[..40.min(field.len())]);
            assert!(found(&[rubbish.as_bytes(), good.as_bytes()]).is_some());
        }
    }
}
