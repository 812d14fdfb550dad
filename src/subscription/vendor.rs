//! Which push service an endpoint belongs to.

use std::fmt;

/// The push service behind an endpoint, told by its host on a label boundary (R-9). It decides
/// how answers are read and which quirks a request respects.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Vendor {
    /// Apple: Safari.
    Apple,
    /// Google's FCM: Chrome and other browsers built on Chromium.
    Fcm,
    /// Mozilla: Firefox.
    Mozilla,
    /// Any other: `UnifiedPush`, self-hosted.
    Other,
    /// Microsoft's WNS: Edge.
    Wns,
}

/// Host, whether hosts below it count too, vendor (S-2).
const HOSTS: [(&str, bool, Vendor); 5] = [
    ("fcm.googleapis.com", false, Vendor::Fcm),
    ("jmt17.google.com", false, Vendor::Fcm),
    ("push.services.mozilla.com", true, Vendor::Mozilla),
    ("push.apple.com", true, Vendor::Apple),
    ("notify.windows.com", true, Vendor::Wns),
];

impl Vendor {
    /// The vendor of a host in lower case, without a port.
    ///
    /// ```
    /// use webpush_channels::Vendor;
    ///
    /// assert_eq!(Vendor::of_host("web.push.apple.com"), Vendor::Apple);
    /// assert_eq!(Vendor::of_host("push.example.net"), Vendor::Other);
    /// ```
    #[must_use]
    pub fn of_host(host: &str) -> Self {
        HOSTS
            .iter()
            .find(|(known, below, _)| host == *known || (*below && is_below(host, known)))
            .map_or(Self::Other, |&(_, _, vendor)| vendor)
    }

    /// A short name for reports and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Apple => "apple",
            Self::Fcm => "fcm",
            Self::Mozilla => "mozilla",
            Self::Other => "other",
            Self::Wns => "wns",
        }
    }
}

impl fmt::Display for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn is_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_match_on_label_boundaries() {
        for (host, vendor) in [
            ("fcm.googleapis.com", Vendor::Fcm),
            ("a.fcm.googleapis.com", Vendor::Other),
            ("jmt17.google.com", Vendor::Fcm),
            ("updates.push.services.mozilla.com", Vendor::Mozilla),
            ("web.push.apple.com", Vendor::Apple),
            ("db5p.notify.windows.com", Vendor::Wns),
            ("xnotify.windows.com", Vendor::Other),
            ("evilnotify.windows.com.attacker.tld", Vendor::Other),
            ("push.example.net", Vendor::Other),
        ] {
            assert_eq!(Vendor::of_host(host), vendor, "{host}");
        }
    }
}
