//! A push as the strictest vendor judges it.

use std::sync::Arc;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, Response};

use super::checks::{Body, check_framing, check_message};
use super::inbox::Inbox;
use super::service::Service;
use super::violation::Violation;

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
        let token = self.tokens.verify(header.as_bytes(), now)?;
        if inbox.bound.as_deref().is_some_and(|bound| *bound != token.key) {
            return Err(Violation::VapidKeyMismatch);
        }
        // Offset 21: the key id of RFC 8188's header.
        match body.octets.get(21..86) {
            Some(key_id) if key_id == token.key => Err(Violation::VapidKeyReused),
            _ => Ok(()),
        }
    }
}
