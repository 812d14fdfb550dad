//! From a message and a subscription to a request.

use bytes::Bytes;
use http::{HeaderValue, Request};

use crate::engine::encryption::{EncryptError, Encryptor, Plaintext};
use crate::engine::request::{Body, PushRequest};
use crate::engine::vapid::{Token, TopicInput, Vapid};
use crate::{BroadcastId, Message, Subscription, Ttl};

/// One request to be made.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    pub(crate) subscription: &'a Subscription,
    pub(crate) vapid: &'a Vapid,
    /// The token of a signer; none where the key is at hand.
    pub(crate) token: Option<&'a Token>,
    pub(crate) ttl: Ttl,
    pub(crate) message: &'a Message,
    /// Another than the engine's.
    pub(crate) content_type: Option<&'a HeaderValue>,
    /// The broadcast whose repeats replace each other, where the message has no collapse key.
    pub(crate) broadcast: Option<&'a BroadcastId>,
}

/// A request, and the generation of the token that signs it.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) request: Request<Bytes>,
    pub(crate) generation: u32,
}

impl Job<'_> {
    /// Encrypts, signs and builds. An empty message is sent without a body (H-12).
    pub(crate) fn prepare(
        &self,
        encryptor: &dyn Encryptor,
        plaintext: &Plaintext,
    ) -> Result<Prepared, EncryptError> {
        if plaintext.as_bytes().is_empty() {
            return Ok(self.finish(Body::Empty));
        }
        let mut body = Vec::new();
        let encoded = encryptor.encrypt(self.subscription.keys(), plaintext, &mut body)?;
        Ok(self.finish(Body::encrypted(encoded, body.into())))
    }

    /// Signs and builds, around a body that is encrypted already.
    pub(crate) fn finish(&self, body: Body) -> Prepared {
        let endpoint = self.subscription.endpoint();
        let token = self.token.cloned().unwrap_or_else(|| {
            let token = self.vapid.authorization_str(endpoint.origin_str());
            token.expect("a key at hand always signs, and a signer's token is brought along")
        });
        let mut request = PushRequest::new(endpoint, self.ttl, token.header)
            .with_urgency(self.message.urgency())
            .with_body(body);
        if let Some(content_type) = self.content_type {
            request = request.with_content_type(content_type.clone());
        }
        let collapse = self.message.collapse_key().map(TopicInput::Collapse);
        if let Some(input) = collapse.or(self.broadcast.map(TopicInput::Broadcast)) {
            let topic = self.vapid.topic(&self.subscription.id(), input);
            request = request.with_topic(topic.to_header_value());
        }
        Prepared { request: request.into_http(), generation: token.generation }
    }
}
