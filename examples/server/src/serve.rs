//! Connections: accepted, bounded in number and in time, and ended gracefully.

use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::quiet::Quiet;
use crate::routes;
use crate::state::App;

mod quiet;

/// How long a client may take to send a request's head.
const HEAD: Duration = Duration::from_secs(10);
/// How long requests in hand may take when the service ends.
const GRACE: Duration = Duration::from_secs(10);
/// After the system refused a connection (no file descriptors left): waiting is better than spinning.
const REFUSED: Duration = Duration::from_millis(100);
/// The most octets of a request's head in HTTP/1. hyper has less for HTTP/2.
const HEAD_OCTETS: usize = 64 * 1024;
/// The most requests at once on one connection of HTTP/2: each may hold a body in memory.
const REQUESTS: u32 = 64;
/// How often it is asked whether the other side of a silent connection is still there (HTTP/2).
const PING: Duration = Duration::from_secs(20);

/// Serves until `shutdown`, then finishes what was begun.
pub(crate) async fn serve(listener: TcpListener, app: Arc<App>, shutdown: impl Future<Output = ()> + Send) {
    let router = routes::router(&app);
    let server = server();
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(app.settings.limits.connections.min(Semaphore::MAX_PERMITS)));
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let (stream, place) = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            () = &mut shutdown => break,
        };
        let service = TowerToHyperService::new(router.clone());
        let connection =
            server.serve_connection_with_upgrades(TokioIo::new(Quiet::new(stream)), service).into_owned();
        let connection = graceful.watch(connection);
        let open = app.metrics.connection();
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended");
            }
            drop((place, open));
        });
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests were cut off: they took longer than {} s", GRACE.as_secs());
    }
}

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    let place = Arc::clone(places).acquire_owned().await.expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Small answers must not wait for acknowledgements of others.
                let _ = stream.set_nodelay(true);
                return (stream, place);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection was refused by the system");
                tokio::time::sleep(REFUSED).await;
            }
        }
    }
}

fn server() -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(HEAD_OCTETS);
    server.http2().timer(TokioTimer::new()).keep_alive_interval(PING).max_concurrent_streams(REQUESTS);
    server
}
