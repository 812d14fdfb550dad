//! FCM: short sentences in plain text or in a page's title. Only stable fragments count, in any
//! case.

use super::{Class, ENDED, Finding, OTHER_KEY, detail};

/// Fragment, class where it is not the status's, advice.
const TEXTS: [(&str, Option<Class>, &str); 7] = [
    ("not correspond to the credentials", Some(Class::KeyMismatch), OTHER_KEY),
    ("not correspond to the sender id", Some(Class::KeyMismatch), OTHER_KEY),
    (
        "UnauthorizedRegistration",
        Some(Class::AuthError),
        "send a VAPID token: `Authorization: vapid t=<JWT>, k=<key>`, signed by the key of the subscription",
    ),
    (
        "authorization header must be specified",
        Some(Class::AuthError),
        "send a VAPID token: `Authorization: vapid t=<JWT>, k=<key>`",
    ),
    (
        "invalid push subscription endpoint",
        None,
        "FCM has been seen to take this back: keep the subscription and try later",
    ),
    (
        "valid push subscription endpoint should be specified",
        None,
        "the device was not seen for 270 days, or the endpoint was damaged: the client must subscribe anew",
    ),
    ("unsubscribed or expired", None, ENDED),
];

pub(super) fn read(body: &[u8]) -> Option<Finding> {
    let (_, class, advice) = TEXTS.iter().find(|(fragment, ..)| detail::contains(body, fragment))?;
    Some(Finding { class: *class, reason: detail::plain(body), advice: Some(advice) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_is_found_in_a_page_and_in_any_case() {
        let page = b"<HTML>\n<HEAD>\n<TITLE>unauthorizedregistration</TITLE>\n</HEAD><BODY>";
        let finding = read(page).unwrap();
        assert_eq!(finding.class, Some(Class::AuthError));
        assert_eq!(finding.reason.as_deref(), Some("unauthorizedregistration"));
        assert!(read(b"backend error").is_none());
    }
}
