//! Whom a push service can reach.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Endpoint;

/// Whom a push service reaches when our messages cause trouble: the `sub` of every token (V-7).
///
/// An e-mail address (`mailto:ops@example.org`) or a web page (`https://example.org/contact`).
/// There is no default, and the rules are the strictest push service's: Apple answers 403 to
/// every message when the host is local, when spaces or angle brackets surround the address, or
/// when `mailto:` is missing (V-8). Hosts under names that RFC 6761 and RFC 2606 reserve
/// (`.test`, `.invalid`, `.example`, `.localhost`) or that are local (`.local`, `.internal`) are
/// refused; `example.com` is not, as RFC 8292 uses it, but nobody reads its mail.
///
/// Nothing of it is secret: every push service sees it.
///
/// ```
/// use webpush_channels::engine::vapid::{Contact, ContactError};
///
/// let contact: Contact = "mailto:ops@example.org".parse()?;
/// assert_eq!(contact.as_str(), "mailto:ops@example.org");
/// assert!("https://example.org/contact".parse::<Contact>().is_ok());
/// assert_eq!("ops@example.org".parse::<Contact>(), Err(ContactError::BareAddress));
/// assert_eq!("mailto:root@localhost".parse::<Contact>(), Err(ContactError::LocalHost));
/// # Ok::<(), ContactError>(())
/// ```
#[derive(Clone, Eq, Hash, PartialEq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Contact(Arc<str>);

/// The longest local part and domain that mail knows (RFC 5321 section 4.5.3.1), and `mailto:@`.
const MAX_LEN: usize = 64 + 255 + 8;

/// No host under these is reachable by a push service (RFC 2606, RFC 6761, RFC 6762, RFC 8375);
/// `localdomain` is what unconfigured hosts call theirs.
const LOCAL_DOMAINS: [&str; 10] =
    ["arpa", "example", "internal", "invalid", "lan", "local", "localdomain", "localhost", "onion", "test"];

impl Contact {
    /// The most octets that a contact may have: it goes with every message.
    pub const MAX_LEN: usize = MAX_LEN;

    /// The URI.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Contact {
    type Err = ContactError;

    fn from_str(text: &str) -> Result<Self, ContactError> {
        if text.len() > MAX_LEN {
            return Err(ContactError::TooLong { len: text.len() });
        }
        if !text.bytes().all(|octet| octet.is_ascii_graphic() && !b"<>\"\\".contains(&octet)) {
            return Err(ContactError::Character);
        }
        if let Some(address) = text.strip_prefix("mailto:") {
            check_address(address)?;
        } else if text.starts_with("https://") {
            let url: Endpoint = text.parse().map_err(|_| ContactError::Url)?;
            check_host(url.host())?;
        } else if text.contains('@') && !text.contains(':') {
            return Err(ContactError::BareAddress);
        } else {
            return Err(ContactError::Scheme);
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for Contact {
    type Error = ContactError;

    fn try_from(text: String) -> Result<Self, ContactError> {
        text.parse()
    }
}

impl From<Contact> for String {
    fn from(contact: Contact) -> Self {
        contact.0.as_ref().to_owned()
    }
}

impl fmt::Display for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Contact({})", self.0)
    }
}

/// Why a contact was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ContactError {
    /// After `mailto:` stands something else than one address.
    #[error("after mailto: stands one plain e-mail address, as in mailto:ops@example.org")]
    Address,
    /// An e-mail address without `mailto:`.
    #[error("an e-mail address as the VAPID contact needs the scheme: write mailto: before it")]
    BareAddress,
    /// A space, angle bracket, quote, backslash, control or non-ASCII character.
    #[error(
        "the VAPID contact holds a space, angle bracket, quote or non-ASCII character: write it plainly, as in mailto:ops@example.org"
    )]
    Character,
    /// The host is not a DNS name of at least two labels.
    #[error("the VAPID contact's host must be a public DNS name with a dot, as in mailto:ops@example.org")]
    Host,
    /// The host is local or reserved.
    #[error(
        "the VAPID contact's host is local or reserved and Apple refuses it: use a public domain that you own"
    )]
    LocalHost,
    /// Neither `mailto:` nor `https:`.
    #[error(
        "the VAPID contact begins with mailto: or https:// (in lower case), as in mailto:ops@example.org"
    )]
    Scheme,
    /// Longer than any e-mail address.
    #[error("the VAPID contact has at most {MAX_LEN} octets, this one has {len}")]
    TooLong {
        /// Octets found.
        len: usize,
    },
    /// Not a plain https URL.
    #[error(
        "the VAPID contact is not a plain https URL (no user name, no fragment): write one as https://example.org/contact"
    )]
    Url,
}

fn check_address(address: &str) -> Result<(), ContactError> {
    let (local, domain) = address.split_once('@').ok_or(ContactError::Address)?;
    // RFC 6068 section 2: what needs no percent-encoding in a mailto URI.
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"!$'*+-._~".contains(&octet);
    let dots = local.starts_with('.') || local.ends_with('.') || local.contains("..");
    if local.is_empty() || local.len() > 64 || dots || !local.bytes().all(plain) {
        return Err(ContactError::Address);
    }
    if domain.bytes().any(|octet| b"@,?;:/".contains(&octet)) {
        return Err(ContactError::Address);
    }
    check_host(domain)
}

fn check_host(host: &str) -> Result<(), ContactError> {
    let last = host.rsplit('.').next().unwrap_or_default();
    if LOCAL_DOMAINS.iter().any(|local| last.eq_ignore_ascii_case(local)) {
        return Err(ContactError::LocalHost);
    }
    // An IPv4 address ends in a number, an IPv6 address has brackets, and a name is not one.
    let is_name = !Endpoint::ends_in_a_number(host) && host.split('.').all(is_label);
    if host.len() > 253 || !host.contains('.') || !is_name {
        return Err(ContactError::Host);
    }
    Ok(())
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usable_contacts_are_kept_as_written() {
        for text in [
            "mailto:push@example.com",
            "mailto:first.last+tag@mail.example.co.uk",
            "mailto:ops@xn--bcher-kva.example.org",
            "https://example.org",
            "https://example.org:8443/contact?team=push",
        ] {
            assert_eq!(text.parse::<Contact>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn what_push_services_refuse_is_refused() {
        use ContactError::{Address, BareAddress, Character, Host, LocalHost, Scheme, Url};
        for (text, reason) in [
            ("", Scheme),
            ("ops@example.org", BareAddress),
            ("not-a-uri", Scheme),
            ("http://example.org", Scheme),
            ("MAILTO:ops@example.org", Scheme),
            ("tel:+123", Scheme),
            ("mailto: ops@example.org", Character),
            ("mailto:ops@example.org\n", Character),
            ("mailto:<ops@example.org>", Character),
            ("mailto:\"ops\"@example.org", Character),
            ("mailto:caf\u{e9}@example.org", Character),
            ("mailto:", Address),
            ("mailto:example.org", Address),
            ("mailto:@example.org", Address),
            ("mailto:.ops@example.org", Address),
            ("mailto:o..s@example.org", Address),
            ("mailto:mailto:ops@example.org", Address),
            ("mailto:ops@example.org,dev@example.org", Address),
            ("mailto:ops@example.org?subject=x", Address),
            ("mailto:ops@@example.org", Address),
            ("mailto:ops@", Host),
            ("mailto:ops@intranet", Host),
            ("mailto:ops@.org", Host),
            ("mailto:ops@example.org.", Host),
            ("mailto:ops@-a.org", Host),
            ("mailto:ops@127.0.0.1", Host),
            ("mailto:ops@127.0.0.0x1", Host),
            ("mailto:ops@mail.0X0e", Host),
            ("mailto:ops@localhost", LocalHost),
            ("mailto:root@localhost.localdomain", LocalHost),
            ("mailto:ops@company.LOCAL", LocalHost),
            ("mailto:ops@push.example", LocalHost),
            ("mailto:ops@push.invalid", LocalHost),
            ("mailto:ops@push.test", LocalHost),
            ("mailto:ops@push.internal", LocalHost),
            ("mailto:ops@home.arpa", LocalHost),
            ("https://localhost/contact", LocalHost),
            ("https://10.0.0.1/", Host),
            ("https://[2001:db8::1]/", Host),
            ("https://intranet/", Host),
            ("https://user@example.org/", Url),
            ("https://example.org/#contact", Url),
            ("https://", Url),
        ] {
            assert_eq!(text.parse::<Contact>(), Err(reason), "{text:?}");
        }
        let long = format!("mailto:{}@example.org", "x".repeat(400));
        assert_eq!(long.parse::<Contact>(), Err(ContactError::TooLong { len: 419 }));
    }

    #[test]
    fn a_contact_comes_from_configuration() {
        let contact: Contact = serde_json::from_str("\"mailto:ops@example.org\"").unwrap();
        assert_eq!(serde_json::to_string(&contact).unwrap(), "\"mailto:ops@example.org\"");
        assert!(serde_json::from_str::<Contact>("\"ops\"").is_err());
    }
}
