//! A push as the strictest vendor judges it.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response};

use super::checks::{Body, check_framing, check_message, text};
use super::inbox::Inbox;
use super::service::Service;
use super::violation::Violation;
use crate::testing::user_agent::Fields;

impl Service {
    /// In autopush's order: the token, the VAPID header, the subscription, the message.
    pub(super) fn push(
        &self,
        head: Parts,
        body: Body,
        number: usize,
        inbox: &Arc<Inbox>,
    ) -> Result<Response<Bytes>, Violation> {
        check_framing(&head, &self.authority)?;
        let now = self.now();
        self.check_token(&head.headers, &body, inbox, now)?;
        if inbox.is_gone() {
            return Err(Violation::Gone);
        }
        let asked = check_message(&head.headers, &body)?;
        Ok(self.accept(head.headers, body, asked, number, inbox))
    }

    fn check_token(
        &self,
        headers: &HeaderMap,
        body: &Body,
        inbox: &Inbox,
        now: u64,
    ) -> Result<(), Violation> {
        let header = headers.get(AUTHORIZATION).ok_or(Violation::VapidMissing)?;
        let legacy = legacy_fields(headers);
        let token = match legacy.as_ref().and_then(|fields| draft_vapid(header, fields)) {
            Some(header) => self.tokens.verify(header.as_bytes(), now)?,
            None => self.tokens.verify(header.as_bytes(), now)?,
        };
        if inbox.bound.as_deref().is_some_and(|bound| *bound != token.key) {
            return Err(Violation::VapidKeyMismatch);
        }
        let encrypting = match &legacy {
            Some(fields) => Some(&*fields.dh),
            // Offset 21: the key id of RFC 8188's header.
            None => body.octets.get(21..86),
        };
        match encrypting {
            Some(key) if key == token.key => Err(Violation::VapidKeyReused),
            _ => Ok(()),
        }
    }
}

/// The parameters of `aesgcm`; without them the message is refused later, after its token.
fn legacy_fields(headers: &HeaderMap) -> Option<Fields> {
    if text(headers, &CONTENT_ENCODING) == Some("aesgcm") { Fields::parse(headers).ok() } else { None }
}

/// `Authorization: WebPush <JWT>` and `p256ecdsa`, as RFC 8292 has them (V-30).
fn draft_vapid(header: &HeaderValue, fields: &Fields) -> Option<String> {
    let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
    let key = fields.p256ecdsa.as_deref()?;
    scheme.eq_ignore_ascii_case("webpush").then(|| format!("vapid t={token}, k={key}"))
}
