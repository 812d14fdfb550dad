//! The `Authorization` header (RFC 9110 section 11.4, RFC 8292 section 3).

use super::{Credentials, VapidRefusal};
use crate::base64url;

/// Reads the value of an `Authorization` header: `vapid t=<JWT>, k=<key>`, in any order, with or
/// without white space and quotes, the scheme in any case, other parameters ignored (V-11).
///
/// # Errors
///
/// [`VapidRefusal`] when it is another scheme, lacks a parameter, names one twice, or `k` is not a
/// public key. The token is not looked at: [`verify`](super::verify) does that.
///
/// ```
/// use webpush_channels::testing::vapid::{VapidRefusal, parse_authorization};
///
/// let refused = |value| parse_authorization(value).unwrap_err();
/// assert_eq!(refused("Bearer abc"), VapidRefusal::Scheme);
/// assert_eq!(refused("vapid t=abc"), VapidRefusal::Missing { parameter: "k" });
/// ```
pub fn parse_authorization(value: &str) -> Result<Credentials, VapidRefusal> {
    let (scheme, rest) = value.trim_matches(is_space).split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("vapid") {
        return Err(VapidRefusal::Scheme);
    }
    let (mut token, mut key) = (None, None);
    let mut rest = skip_separators(rest);
    while !rest.is_empty() {
        let (name, value, after) = parameter(rest)?;
        let slot = match name {
            _ if name.eq_ignore_ascii_case("t") => &mut token,
            _ if name.eq_ignore_ascii_case("k") => &mut key,
            _ => &mut None,
        };
        if slot.replace(value).is_some() {
            return Err(VapidRefusal::Syntax);
        }
        rest = after;
    }
    let token = token.ok_or(VapidRefusal::Missing { parameter: "t" })?;
    let key = key.ok_or(VapidRefusal::Missing { parameter: "k" })?;
    Ok(Credentials { token, key: public_key(&key)? })
}

fn public_key(text: &str) -> Result<[u8; 65], VapidRefusal> {
    let key: [u8; 65] = base64url::decode_array(text).map_err(|_| VapidRefusal::Key)?;
    match p256::PublicKey::from_sec1_bytes(&key) {
        Ok(_) if key[0] == 0x04 => Ok(key),
        _ => Err(VapidRefusal::Key),
    }
}

/// A name, its value, and what follows the comma after them.
fn parameter(text: &str) -> Result<(&str, String, &str), VapidRefusal> {
    let (name, rest) = text.split_at(token_len(text)?);
    let rest = rest.trim_start_matches(is_space).strip_prefix('=').ok_or(VapidRefusal::Syntax)?;
    let rest = rest.trim_start_matches(is_space);
    let (value, rest) = if let Some(rest) = rest.strip_prefix('"') {
        quoted(rest)?
    } else {
        let (value, rest) = rest.split_at(token_len(rest)?);
        (value.to_owned(), rest)
    };
    let rest = rest.trim_start_matches(is_space);
    if rest.is_empty() || rest.starts_with(',') {
        Ok((name, value, skip_separators(rest)))
    } else {
        Err(VapidRefusal::Syntax)
    }
}

fn quoted(text: &str) -> Result<(String, &str), VapidRefusal> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => value.push(characters.next().ok_or(VapidRefusal::Syntax)?.1),
            _ => value.push(character),
        }
    }
    Err(VapidRefusal::Syntax)
}

/// RFC 9110 section 5.6.2.
fn token_len(text: &str) -> Result<usize, VapidRefusal> {
    let is_token = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet);
    match text.bytes().take_while(|octet| is_token(*octet)).count() {
        0 => Err(VapidRefusal::Syntax),
        len => Ok(len),
    }
}

/// RFC 9110 section 5.6.1.2: empty elements of a list are ignored.
fn skip_separators(text: &str) -> &str {
    text.trim_start_matches(|character| is_space(character) || character == ',')
}

const fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t')
}
