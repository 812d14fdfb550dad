//! Takes a message back.

use std::time::Duration;

use super::Sender;
use crate::engine::cancel::{self, CancelUrlError, CancelVerdict};
use crate::telemetry::CancelEnd;
use crate::transport::{TransportError, TransportErrorKind};
use crate::{LastFailure, MessageUrl, PolicyError, Subscription};

impl Sender {
    /// Takes back a message that was [`Accepted`](crate::Outcome::Accepted) for `subscription`
    /// (H-16): asks the push service to delete it, by the URL that its answer named.
    ///
    /// Mozilla's service is the one that is known to do so, and says the same for a message that
    /// was delivered before; `docs/operations.md` has what is known of the others. Where a message
    /// may have to be replaced, give it a collapse key and send another with the same (RFC 8030
    /// section 5.4). Mozilla's keeps one message for each collapse key, so that the URL of an earlier
    /// one takes back the later.
    ///
    /// A DELETE is harmless to repeat: 408, 425, 429, 5xx and silence are repeated within the
    /// [`RetryPolicy`](super::RetryPolicy), which may take hours when the push service asks for it;
    /// wrap it in a timeout where that is too long. It is sent to the endpoint's own origin only,
    /// after the checks that a message passes, and carries no token.
    ///
    /// Many at once, for instance what a broadcast got accepted:
    ///
    /// ```
    /// use futures_util::{StreamExt as _, TryStreamExt as _, stream};
    /// use webpush_channels::channel::{Channels, Publication};
    /// use webpush_channels::sender::{Cancellation, Sender};
    /// # use http::StatusCode;
    /// # use webpush_channels::engine::vapid::{Vapid, VapidKey};
    /// # use webpush_channels::store::{Audience, MemoryStore};
    /// # use webpush_channels::testing::{PushService, UserAgent};
    /// # use webpush_channels::transport::HyperTransport;
    /// # use webpush_channels::{AddressPolicy, EndpointPolicy, Message, Payload, Ttl, UserId};
    ///
    /// async fn publish_and_take_back(
    ///     channels: &Channels,
    ///     sender: &Sender,
    ///     publication: Publication,
    /// ) -> Result<usize, Box<dyn std::error::Error>> {
    ///     let deliveries: Vec<_> = channels.deliveries(publication).try_collect().await?;
    ///     // ... and then it turns out that it is not raining at all:
    ///     let cancellations = deliveries.iter().filter_map(|delivery| {
    ///         let url = delivery.outcome.message_url()?;
    ///         Some(sender.cancel(&delivery.entry.subscription, url))
    ///     });
    ///     let results: Vec<_> = stream::iter(cancellations).buffer_unordered(64).collect().await;
    ///     Ok(results.iter().filter(|result| matches!(result, Ok(Cancellation::Done))).count())
    /// }
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let service = PushService::start().await?;
    /// # let transport = HyperTransport::builder().address_policy(AddressPolicy::loopback_for_tests()).build()?;
    /// # let vapid = Vapid::new(VapidKey::generate()?, "mailto:ops@example.org".parse()?);
    /// # let sender = Sender::builder(vapid, transport).policy(EndpointPolicy::loopback_for_tests()).build();
    /// # let channels = Channels::new(MemoryStore::new(), sender.clone());
    /// # let ada = UserId::new("ada")?;
    /// # let subscription = service.subscribe(&UserAgent::new());
    /// # service.set_offline(&subscription, true);
    /// # channels.subscribe(&ada, subscription.clone(), None).await?;
    /// # let message = Message::new(Payload::new("It is raining")?, Ttl::hours(4));
    /// # let publication = Publication::new(Audience::User(ada), message);
    /// # assert_eq!(publish_and_take_back(&channels, &sender, publication).await?, 1);
    /// # service.set_offline(&subscription, false);
    /// # assert!(service.received(&subscription).is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// A durable broadcast keeps counts and failures, not the URLs of a million accepted messages:
    /// it cannot be taken back, only aborted and, with a collapse key, replaced.
    ///
    /// # Errors
    ///
    /// [`CancelError`] when it could not be asked, or gave no answer to rely on.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the request: the message may have been taken back or not. Ask
    /// again.
    pub async fn cancel(
        &self,
        subscription: &Subscription,
        url: &MessageUrl,
    ) -> Result<Cancellation, CancelError> {
        let result = self.take_back(subscription, url).await;
        let end = match result {
            Ok(Cancellation::Done) => CancelEnd::Done,
            Ok(Cancellation::Gone) => CancelEnd::Gone,
            Ok(Cancellation::Unsupported) => CancelEnd::Unsupported,
            Err(_) => CancelEnd::Failed,
        };
        self.core().instruments.of(subscription.endpoint().vendor()).cancelled(end);
        result
    }

    async fn take_back(
        &self,
        subscription: &Subscription,
        url: &MessageUrl,
    ) -> Result<Cancellation, CancelError> {
        let core = &**self.core();
        let endpoint = subscription.endpoint();
        core.policy.check(endpoint).map_err(CancelError::Policy)?;
        let request = cancel::request(endpoint, url).map_err(CancelError::Url)?;
        let mut attempts = 0_u8;
        loop {
            let answer = core.transport.send(request.clone()).await;
            attempts = attempts.saturating_add(1);
            let failed = match answer {
                Ok(answer) => match cancel::classify(&answer, core.clock.now()) {
                    CancelVerdict::Cancelled => return Ok(Cancellation::Done),
                    CancelVerdict::Gone => return Ok(Cancellation::Gone),
                    CancelVerdict::Unsupported => return Ok(Cancellation::Unsupported),
                    CancelVerdict::Retry { after } => Failed::answered(answer.status().as_u16(), after),
                    CancelVerdict::Unexpected => {
                        return Err(CancelError::Unexpected { status: answer.status().as_u16() });
                    }
                },
                Err(error) => Failed::unanswered(error)?,
            };
            let Some(wait) = core.retry.pause(attempts, failed.after, core.draw()) else {
                return Err(CancelError::GaveUp { attempts, last: failed.last, source: failed.source });
            };
            tokio::time::sleep(wait).await;
        }
    }
}

/// What a push service did about a message that was to be taken back.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Cancellation {
    /// It took the message back: nobody gets it from now on. Whether somebody got it before, it
    /// does not say.
    Done,
    /// It has no such message: delivered, expired or taken back before. A push service that offers
    /// nothing of the kind may say the same.
    Gone,
    /// It does not take messages back, or makes nothing of the URL.
    Unsupported,
}

/// Why it is not known what became of a message that was to be taken back. Never holds its URL.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CancelError {
    /// The address behind the endpoint is not one that the policy allows (S-4). Nothing was sent.
    #[error("the message was not taken back: no connection to its push service may be made")]
    Address(#[source] TransportError),
    /// All attempts failed.
    #[error("the push service gave no answer to rely on in {attempts} attempts, ask again later: {last}")]
    #[non_exhaustive]
    GaveUp {
        /// How many requests were made.
        attempts: u8,
        /// Why the last one failed.
        last: LastFailure,
        /// What the transport said of it, where there was no status.
        #[source]
        source: Option<TransportError>,
    },
    /// The subscription's endpoint is not one that the policy allows. Nothing was sent.
    #[error("the subscription's endpoint is not one that the policy allows")]
    Policy(#[source] PolicyError),
    /// The push service redirects, which is not followed (R-40), or answered with a status that no
    /// rule covers.
    #[error("the push service answered the cancellation with status {status}, which no rule covers")]
    #[non_exhaustive]
    Unexpected {
        /// The status.
        status: u16,
    },
    /// There is no request for this URL and this subscription. Nothing was sent.
    #[error("the message cannot be taken back by this URL")]
    Url(#[source] CancelUrlError),
}

/// An attempt that may be repeated.
struct Failed {
    last: LastFailure,
    after: Option<Duration>,
    source: Option<TransportError>,
}

impl Failed {
    const fn answered(status: u16, after: Option<Duration>) -> Self {
        Self { last: LastFailure::Status(status), after, source: None }
    }

    fn unanswered(error: TransportError) -> Result<Self, CancelError> {
        match error.kind() {
            TransportErrorKind::AddressRefused => Err(CancelError::Address(error)),
            TransportErrorKind::InvalidRequest => Err(CancelError::Url(CancelUrlError::Malformed)),
            kind => {
                Ok(Self { last: LastFailure::Transport(kind.as_str()), after: None, source: Some(error) })
            }
        }
    }
}
