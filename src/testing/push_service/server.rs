//! Accepting connections.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::io::Io;
use super::service::Service;
use super::{h1, h2};

const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// What a connection gets instead of a server.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum ConnectionFault {
    /// Nothing: it is served.
    #[default]
    None,
    /// Closed as soon as it is accepted.
    Close,
    /// Accepted, and never a word, not even of TLS.
    Silence,
}

pub(super) type ConnectionChooser = Arc<dyn Fn(u64) -> ConnectionFault + Send + Sync>;

/// How connections are served.
#[derive(Clone)]
pub(super) struct Serving {
    pub(super) service: Arc<Service>,
    pub(super) acceptor: Option<TlsAcceptor>,
    pub(super) http1_only: bool,
    pub(super) faults: Option<ConnectionChooser>,
}

impl Serving {
    /// Accepts until dropped; every connection ends with it.
    pub(super) async fn accept(self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let Ok((stream, _)) = accepted else {
                        // Out of descriptors: that passes, but not at once.
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    };
                    let number = self.service.counts.connections.add() - 1;
                    connections.spawn(self.clone().connection(stream, number));
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }

    async fn connection(self, stream: TcpStream, number: u64) {
        let _open = Open::new(&self.service);
        match self.faults.as_ref().map_or(ConnectionFault::None, |fault| fault(number)) {
            ConnectionFault::None => {}
            ConnectionFault::Close => return,
            ConnectionFault::Silence => return std::future::pending().await,
        }
        // Without it small answers may wait; where it fails the connection is dead anyway.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        match &self.acceptor {
            Some(acceptor) => {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                self.serve(Io::new(stream), http2).await;
            }
            None if self.http1_only => self.serve(Io::new(stream), false).await,
            None => {
                if let Ok((io, http2)) = Io::sniff(stream).await {
                    self.serve(io, http2).await;
                }
            }
        }
    }

    async fn serve<T>(&self, io: Io<T>, http2: bool)
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = Arc::clone(&self.service);
        if http2 { h2::serve(service, io).await } else { h1::serve(service, io).await }
    }
}

/// Counts a connection while it is open.
struct Open(Arc<Service>);

impl Open {
    fn new(service: &Arc<Service>) -> Self {
        service.counts.connections_open.add();
        service.changed.notify_waiters();
        Self(Arc::clone(service))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.counts.connections_open.subtract();
        self.0.changed.notify_waiters();
    }
}
