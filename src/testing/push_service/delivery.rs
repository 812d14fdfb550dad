//! What becomes of a message that no rule refuses.

use bytes::Bytes;
use http::header::{LINK, LOCATION};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::checks::{Asked, Body};
use super::directory::Target;
use super::inbox::{Inbox, Placed};
use super::message::Stored;
use super::service::Service;
use crate::testing::{DecryptError, UserAgent};

#[cfg(feature = "testing-browser")]
use super::mozilla::delivered;
#[cfg(feature = "testing-browser")]
use super::service::Rules;

impl Service {
    /// Takes a message that no rule refuses.
    pub(super) fn accept(
        &self,
        headers: HeaderMap,
        body: Body,
        asked: Asked,
        number: usize,
        inbox: &Inbox,
    ) -> Response<Bytes> {
        let own = inbox.next_number();
        let resource = match (&asked.topic, self.settings.rules.names_by_topic()) {
            (Some(topic), true) => inbox.resource_of(topic, own),
            _ => own,
        };
        let message = Stored {
            #[cfg(feature = "testing-browser")]
            number: own,
            resource,
            headers,
            body: body.octets.into(),
            ttl: asked.ttl,
            topic: asked.topic,
            accepted: self.now(),
        };
        let response = self.created(number, message.resource, message.ttl);
        self.counts.accepted.add();
        self.hand(number, inbox, message);
        response
    }

    /// Hands an accepted message to whoever takes it, or keeps it.
    pub(super) fn hand(&self, number: usize, inbox: &Inbox, message: Stored) {
        match inbox.place(message) {
            Placed::Open(agent, message) => self.open(number, inbox, agent, message),
            placed => self.count_all(&[placed]),
        }
    }

    /// Counts where messages went that are not opened here.
    pub(super) fn count_all(&self, placed: &[Placed<'_>]) {
        for placed in placed {
            self.count(placed);
        }
    }

    fn count(&self, placed: &Placed<'_>) {
        match placed {
            Placed::Open(..) => {}
            #[cfg(feature = "testing-browser")]
            Placed::Sent => _ = self.counts.browser_sent.add(),
            Placed::Dropped => _ = self.counts.expired.add(),
            Placed::Kept { replaced } => (0..*replaced).for_each(|_| _ = self.counts.replaced.add()),
        }
    }

    /// Hands out what waited for a user agent that is online again.
    pub(super) fn hand_waiting(&self, number: usize, inbox: &Inbox, waiting: Vec<Stored>) {
        let now = self.now();
        for message in waiting {
            if message.accepted.saturating_add(message.ttl.into()) < now {
                self.counts.expired.add();
            } else {
                self.hand(number, inbox, message);
            }
        }
    }

    fn open(&self, number: usize, inbox: &Inbox, agent: &UserAgent, message: Stored) {
        self.counts.delivered.add();
        if !self.settings.decrypt {
            return;
        }
        let payload = self.opened(agent, &message);
        match &payload {
            Ok(payload) => {
                self.counts.decrypted.add();
                let as_expected =
                    self.settings.expect.as_ref().is_none_or(|expect| expect(number, payload.as_deref()));
                if !as_expected {
                    self.counts.mismatched.add();
                }
            }
            Err(_) => {
                self.counts.undecryptable.add();
            }
        }
        if self.settings.keep {
            inbox.keep(message.into_received(payload));
        }
    }

    /// What a user agent makes of a message, which Mozilla's service hands on in its own words.
    #[cfg_attr(not(feature = "testing-browser"), allow(clippy::unused_self, reason = "there is one kind"))]
    fn opened(&self, agent: &UserAgent, message: &Stored) -> Result<Option<Vec<u8>>, DecryptError> {
        #[cfg(feature = "testing-browser")]
        if self.settings.rules == Rules::Mozilla {
            return agent.receive(&delivered(&message.headers), &message.body);
        }
        agent.receive(&message.headers, &message.body)
    }

    /// Removes a message that still waits. For one that was delivered the answer is the same.
    pub(super) fn cancel(&self, inbox: &Inbox, number: u64) -> Response<Bytes> {
        if inbox.cancel(number) {
            self.counts.cancelled.add();
        }
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        response
    }

    /// The answer to an accepted message, with a receipt subscription.
    pub(super) fn with_receipts(&self, mut response: Response<Bytes>, target: &Target) -> Response<Bytes> {
        let Target::Push(number, _) = target else { return response };
        let path = self.directory.receipts_path(*number);
        let link = HeaderValue::try_from(format!("<{path}>; rel=\"urn:ietf:params:push:receipt\""));
        response.headers_mut().insert(LINK, link.expect("a plain path can stand in a header"));
        *response.status_mut() = StatusCode::ACCEPTED;
        response
    }

    fn created(&self, number: usize, resource: u64, ttl: u32) -> Response<Bytes> {
        let location = format!("{}{}", self.origin, self.directory.message_path(number, resource));
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::CREATED;
        let headers = response.headers_mut();
        let location = HeaderValue::try_from(location).expect("an origin and numbers can stand in a header");
        headers.insert(LOCATION, location);
        headers.insert("ttl", ttl.into());
        response
    }
}
