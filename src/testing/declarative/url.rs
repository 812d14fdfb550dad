//! URLs as browsers parse them (the URL standard), as far as http and https go.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// An absolute URL, to which others are relative.
#[derive(Clone)]
pub(super) struct Base {
    scheme: String,
    /// Scheme and authority, or all of a URL of another scheme.
    origin: String,
    path: String,
    /// With its `?`.
    query: String,
    /// With its `#`.
    fragment: String,
}

impl Base {
    pub(super) fn parse(text: &str) -> Option<Self> {
        parse(text, None)
    }

    /// A URL that may be relative to this one, in full.
    pub(super) fn join(&self, text: &str) -> Option<String> {
        parse(text, Some(self)).map(|url| url.to_string())
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}{}", self.origin, self.path, self.query, self.fragment)
    }
}

fn parse(text: &str, base: Option<&Base>) -> Option<Base> {
    let text = text.trim_matches(|c: char| c <= ' ').replace(['\t', '\n', '\r'], "");
    let (text, fragment) = cut(&text, '#');
    let fragment = encode(fragment, " \"<>`");
    match split_scheme(text) {
        Some((scheme, rest)) if !matches!(scheme.as_str(), "http" | "https") => {
            let origin = format!("{scheme}:{rest}");
            Some(Base { scheme, origin, path: String::new(), query: String::new(), fragment })
        }
        Some((scheme, rest)) => {
            let same = base.filter(|base| base.scheme == scheme && !slashes(rest, 2));
            same.map_or_else(
                || absolute(&scheme, rest, &fragment),
                |base| relative(base, rest, fragment.clone()),
            )
        }
        None => relative(base?, text, fragment),
    }
}

/// The text before a mark, and the rest with it.
fn cut(text: &str, mark: char) -> (&str, &str) {
    text.split_at(text.find(mark).unwrap_or(text.len()))
}

/// The scheme in lower case, and what follows its colon.
fn split_scheme(text: &str) -> Option<(String, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let known = |octet: u8| octet.is_ascii_alphanumeric() || b"+-.".contains(&octet);
    let valid = scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.bytes().all(known);
    valid.then(|| (scheme.to_ascii_lowercase(), rest))
}

/// A backslash is a slash.
fn slashes(text: &str, number: usize) -> bool {
    text.bytes().take_while(|octet| matches!(octet, b'/' | b'\\')).count() >= number
}

fn absolute(scheme: &str, rest: &str, fragment: &str) -> Option<Base> {
    let rest = rest.trim_start_matches(['/', '\\']);
    let (authority, rest) = rest.split_at(rest.find(['/', '\\', '?']).unwrap_or(rest.len()));
    let (path, query) = cut(rest, '?');
    Some(Base {
        origin: format!("{scheme}://{}", read_authority(scheme, authority)?),
        scheme: scheme.to_owned(),
        path: join_path("/", path),
        query: encode(query, " \"#<>'"),
        fragment: fragment.to_owned(),
    })
}

fn relative(base: &Base, text: &str, fragment: String) -> Option<Base> {
    if !matches!(base.scheme.as_str(), "http" | "https") {
        return None;
    }
    if slashes(text, 2) {
        return absolute(&base.scheme, text, &fragment);
    }
    let (path, query) = cut(text, '?');
    let query = if text.is_empty() { base.query.clone() } else { encode(query, " \"#<>'") };
    let path = if path.is_empty() { base.path.clone() } else { join_path(&base.path, path) };
    Some(Base { path, query, fragment, ..base.clone() })
}

fn join_path(base: &str, path: &str) -> String {
    let directory = base.rsplit_once('/').map_or("", |(directory, _)| directory);
    let mut segments: Vec<String> = Vec::new();
    if !slashes(path, 1) {
        segments.extend(directory.split('/').skip(1).map(str::to_owned));
    }
    let mut rest = path.strip_prefix(['/', '\\']).unwrap_or(path).split(['/', '\\']).peekable();
    while let Some(segment) = rest.next() {
        let dots = segment.to_ascii_lowercase().replace("%2e", ".");
        let last = rest.peek().is_none();
        match dots.as_str() {
            ".." => drop(segments.pop()),
            "." => {}
            _ => segments.push(encode(segment, " \"#<>?^`{}")),
        }
        if last && matches!(dots.as_str(), "." | "..") {
            segments.push(String::new());
        }
    }
    format!("/{}", segments.join("/"))
}

/// Encodes control characters, what is not ASCII, and these.
fn encode(text: &str, set: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() && !c.is_ascii_control() && !set.contains(c) {
            out.push(c);
        } else {
            out.extend(c.encode_utf8(&mut [0; 4]).bytes().map(|octet| format!("%{octet:02X}")));
        }
    }
    out
}

fn read_authority(scheme: &str, authority: &str) -> Option<String> {
    let (credentials, address) =
        authority.rsplit_once('@').map_or((None, authority), |(them, address)| (Some(them), address));
    let end = if address.starts_with('[') { address.find(']')? } else { 0 };
    let (host, port) = address.split_at(end + address[end..].find(':').unwrap_or(address.len() - end));
    let host = read_host(host)?;
    let port = match port.get(1..).unwrap_or_default() {
        "" => String::new(),
        digits if digits.bytes().all(|octet| octet.is_ascii_digit()) => {
            let number: u16 = digits.parse().ok()?;
            let default = if scheme == "https" { 443 } else { 80 };
            if number == default { String::new() } else { format!(":{number}") }
        }
        _ => return None,
    };
    Some(format!("{}{host}{port}", credentials.map(write_credentials).unwrap_or_default()))
}

fn write_credentials(credentials: &str) -> String {
    let (name, password) = cut(credentials, ':');
    let (name, password) = (encode_user(name), encode_user(password.get(1..).unwrap_or_default()));
    match (name.is_empty(), password.is_empty()) {
        (true, true) => String::new(),
        (_, true) => format!("{name}@"),
        (_, false) => format!("{name}:{password}@"),
    }
}

fn encode_user(text: &str) -> String {
    encode(text, " \"#<>?^`{}/:;=@[\\]|")
}

fn read_host(host: &str) -> Option<String> {
    if let Some(v6) = host.strip_prefix('[') {
        let address: Ipv6Addr = v6.strip_suffix(']')?.parse().ok()?;
        return Some(match (address.to_ipv4_mapped(), address.segments()) {
            (Some(_), [.., high, low]) => format!("[::ffff:{high:x}:{low:x}]"),
            _ => format!("[{address}]"),
        });
    }
    let name = decode(host)?.to_ascii_lowercase();
    let forbidden = |c: char| !c.is_ascii() || c <= ' ' || c == '\u{7f}' || "#/:<>?@[\\]^|%".contains(c);
    if name.is_empty() || name.contains(forbidden) {
        return None;
    }
    let labels = name.strip_suffix('.').unwrap_or(&name);
    let last = labels.rsplit('.').next().unwrap_or_default();
    let digits = !last.is_empty() && last.bytes().all(|octet| octet.is_ascii_digit());
    if digits || (last.starts_with("0x") && number(last).is_some()) {
        return read_v4(labels).map(|address| address.to_string());
    }
    Some(name)
}

/// What percent-encoded octets say, if that is text.
fn decode(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        let code = others.get(..2).filter(|code| *first == b'%' && code.iter().all(u8::is_ascii_hexdigit));
        let code = code.and_then(|code| u8::from_str_radix(str::from_utf8(code).ok()?, 16).ok());
        octets.push(code.unwrap_or(*first));
        rest = if code.is_some() { &others[2..] } else { others };
    }
    String::from_utf8(octets).ok()
}

/// One to four numbers, of which the last fills what is left.
fn read_v4(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u64> = text.split('.').map(number).collect::<Option<_>>()?;
    let (last, first) = parts.split_last().filter(|(_, first)| first.len() < 4)?;
    let mut address = 0;
    for (part, shift) in first.iter().zip([24, 16, 8]) {
        address |= u64::from(u8::try_from(*part).ok()?) << shift;
    }
    let fits = *last < 1 << (8 * (4 - first.len()));
    fits.then_some(address | last).and_then(|address| u32::try_from(address).ok()).map(Ipv4Addr::from)
}

/// Decimal, octal after 0, hexadecimal after 0x.
fn number(text: &str) -> Option<u64> {
    let (digits, radix) = match (text.strip_prefix("0x"), text.strip_prefix('0')) {
        (Some(digits), _) => (digits, 16),
        (None, Some(digits)) => (digits, 8),
        (None, None) if text.is_empty() => return None,
        (None, None) => (text, 10),
    };
    match digits {
        "" => Some(0),
        digits if digits.starts_with('+') => None,
        digits => u64::from_str_radix(digits, radix).ok(),
    }
}
