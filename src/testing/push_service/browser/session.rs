//! A browser's connection, from its upgrade to its end.

use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::frame::{self, ChannelId, Said, ServerKey, Update};
use super::remote::{Channel, Out, Registered, Remote};
use crate::testing::push_service::receiver::Receiver;
use crate::testing::push_service::service::Service;
use crate::testing::push_service::violation::Violation;

/// Serves a browser until it or a newer connection of it ends this one.
pub(super) async fn run<T>(service: Arc<Service>, mut socket: WebSocketStream<T>)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let (out, mut outgoing) = mpsc::unbounded_channel();
    let mut session = Session { service, out, line: None };
    loop {
        tokio::select! {
            // Never closed: the session holds its sender.
            Some(out) = outgoing.recv() => {
                let Out::Frame(text) = out else { break };
                if socket.send(Message::text(text)).await.is_err() {
                    break;
                }
            }
            received = socket.next() => match received {
                Some(Ok(Message::Text(text))) => session.take(&text),
                Some(Ok(Message::Binary(_))) => session.refuse(),
                // The socket answers pings and the closing itself.
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    if is_the_browser_s_fault(&error) {
                        session.refuse();
                    }
                    break;
                }
                None => break,
            }
        }
    }
    drop(session);
    // The browser may be gone already.
    drop(socket.close(None).await);
}

/// A frame that is too long or malformed, and not a connection that was lost.
fn is_the_browser_s_fault(error: &Error) -> bool {
    match error {
        Error::Capacity(_) | Error::Utf8(_) => true,
        Error::Protocol(error) => !matches!(error, ProtocolError::ResetWithoutClosingHandshake),
        _ => false,
    }
}

struct Session {
    service: Arc<Service>,
    out: UnboundedSender<Out>,
    /// The browser and the number of its line, once it said `hello`.
    line: Option<(Arc<Remote>, u64)>,
}

impl Session {
    fn take(&mut self, text: &str) {
        let remote = self.line.as_ref().map(|(remote, _)| Arc::clone(remote));
        match (Said::parse(text), remote) {
            (Some(Said::Ping), _) => self.say("{}".to_owned()),
            (Some(Said::Hello { uaid, .. }), None) => self.hello(uaid),
            (Some(Said::Register { channel, key }), Some(remote)) => self.register(&remote, &channel, key),
            (Some(Said::Unregister { channel }), Some(remote)) => self.unregister(&remote, &channel),
            (Some(Said::Ack { updates }), Some(remote)) => self.acks(&remote, &updates),
            (Some(Said::BroadcastSubscribe {}), Some(_)) => {}
            _ => self.refuse(),
        }
        self.service.changed.notify_waiters();
    }

    fn hello(&mut self, uaid: Option<String>) {
        let uaid = uaid.and_then(|uaid| uaid.try_into().ok());
        let remote = self.service.browsers.greet(uaid.as_ref());
        self.say(frame::hello(&remote.uaid));
        let (number, lost) = remote.connect(self.out.clone());
        self.service.count_all(&lost);
        for (number, inbox) in remote.inboxes() {
            self.service.hand_waiting(number, &inbox, inbox.take_stored());
        }
        self.line = Some((remote, number));
    }

    /// The same channel with the same key keeps its endpoint.
    fn register(&self, remote: &Arc<Remote>, channel: &ChannelId, key: Option<ServerKey>) {
        let bound = key.map(|ServerKey(octets)| octets);
        let fits = |(_, inbox): &Registered| !inbox.is_gone() && inbox.bound.as_deref() == bound.as_ref();
        let (number, inbox) = remote.inbox(channel).filter(fits).unwrap_or_else(|| {
            let receiver = Receiver::Channel(Channel::new(channel.clone(), remote));
            let made = self.service.subscribe(receiver, bound);
            remote.register(channel.clone(), made.clone());
            made
        });
        self.say(frame::registered(channel, &self.service.endpoint(number, &inbox)));
    }

    fn unregister(&self, remote: &Remote, channel: &ChannelId) {
        if let Some((_, inbox)) = remote.unregister(channel) {
            inbox.unsubscribe();
        }
        self.say(frame::unregistered(channel));
    }

    fn acks(&self, remote: &Remote, updates: &[Update]) {
        for update in updates {
            self.ack(remote, update);
        }
    }

    /// Of a message that is not outstanding nothing is counted: a browser may repeat itself.
    fn ack(&self, remote: &Remote, update: &Update) {
        let Some((_, inbox)) = remote.inbox(&update.channel) else { return };
        let counts = &self.service.counts;
        if !update.version.parse().is_ok_and(|number| inbox.acknowledge(number)) {
            return;
        }
        counts.browser_acks.add();
        counts.delivered.add();
        match update.code {
            Some(100) | None => counts.decrypted.add(),
            Some(101) => counts.undecryptable.add(),
            Some(_) => counts.browser_failed.add(),
        };
    }

    fn refuse(&self) {
        self.service.counts.browser_bad_frames.add();
        self.service.note(Violation::BrowserFrame);
        self.service.changed.notify_waiters();
    }

    fn say(&self, text: String) {
        // The receiver lives as long as the session.
        drop(self.out.send(Out::Frame(text)));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some((remote, number)) = self.line.take() {
            self.service.count_all(&remote.disconnect(number));
            self.service.changed.notify_waiters();
        }
    }
}
