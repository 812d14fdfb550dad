//! Hearing of new work.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_postgres::AsyncMessage;

use super::connect::Server;
use super::error::PgError;

/// What `NOTIFY` names when there may be new work. A name of the whole database.
pub(super) const CHANNEL: &str = "webpush_channels_work";

const LISTEN: &str = "LISTEN webpush_channels_work";
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// One connection that listens, from the first time that somebody waits until this is dropped.
///
/// It is made anew when it is lost. Meanwhile nothing is heard: whoever waits also looks from time
/// to time.
pub(super) struct Listener {
    server: Server,
    heard: Arc<Notify>,
    listening: Arc<AtomicBool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Listener {
    pub(super) fn new(server: Server) -> Self {
        Self { server, heard: Arc::default(), listening: Arc::default(), task: Mutex::default() }
    }

    /// Waits until something was heard. What came after the last call counts, for one caller.
    pub(super) async fn notified(&self) {
        self.start();
        self.heard.notified().await;
    }

    /// Whether what is told now will be heard.
    pub(super) fn is_listening(&self) -> bool {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        task.as_ref().is_some_and(|task| !task.is_finished()) && self.listening.load(Ordering::Acquire)
    }

    fn start(&self) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        // Its runtime may be gone, and the store used on another one now.
        if task.as_ref().is_none_or(JoinHandle::is_finished) {
            let (heard, listening) = (Arc::clone(&self.heard), Arc::clone(&self.listening));
            *task = Some(tokio::spawn(listen(self.server.clone(), heard, listening, FIRST_PAUSE)));
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

async fn listen(server: Server, heard: Arc<Notify>, listening: Arc<AtomicBool>, first_pause: Duration) {
    let mut pause = first_pause;
    loop {
        listening.store(false, Ordering::Release);
        if let Err(error) = hear(&server, &heard, &listening).await {
            let error = PgError::from(error);
            tracing::warn!(%error, "not listening for new work: it is looked for from time to time");
        }
        if listening.swap(false, Ordering::AcqRel) {
            pause = first_pause;
            // Who relied on hearing looks from now on.
            tell(&heard);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Listens until the connection ends.
async fn hear(server: &Server, heard: &Notify, listening: &AtomicBool) -> Result<(), tokio_postgres::Error> {
    let (client, mut connection) = server.config.connect(server.tls.clone()).await?;
    let mut messages = stream::poll_fn(move |cx| connection.poll_message(cx));
    let listen = client.batch_execute(LISTEN);
    tokio::pin!(listen);
    loop {
        tokio::select! {
            done = &mut listen, if !listening.load(Ordering::Acquire) => {
                done?;
                listening.store(true, Ordering::Release);
                // What was said before was missed.
                tell(heard);
            }
            message = messages.next() => match message {
                Some(Ok(AsyncMessage::Notification(_))) => tell(heard),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            },
        }
    }
}

/// Wakes all who wait, or the next who will.
fn tell(heard: &Notify) {
    heard.notify_waiters();
    heard.notify_one();
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const READY: &[u8] = b"Z\0\0\0\x05I";

    /// The server's side, as far as it goes here: no password, one statement.
    async fn accept(listener: &TcpListener) -> TcpStream {
        let (mut stream, _) = listener.accept().await.unwrap();
        let len = stream.read_u32().await.unwrap();
        let mut startup = vec![0; len as usize - 4];
        stream.read_exact(&mut startup).await.unwrap();
        stream.write_all(b"R\0\0\0\x08\0\0\0\0").await.unwrap();
        stream.write_all(READY).await.unwrap();

        let mut query = vec![0; 5 + LISTEN.len() + 1];
        stream.read_exact(&mut query).await.unwrap();
        assert_eq!(&query[5..query.len() - 1], LISTEN.as_bytes());
        stream.write_all(b"C\0\0\0\x0bLISTEN\0").await.unwrap();
        stream.write_all(READY).await.unwrap();
        stream
    }

    async fn notify(stream: &mut TcpStream) {
        let text = format!("{CHANNEL}\0\0");
        let len = u32::try_from(text.len()).unwrap() + 8;
        stream.write_u8(b'A').await.unwrap();
        stream.write_u32(len).await.unwrap();
        stream.write_u32(1).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_told_is_heard_also_after_the_connection_was_lost() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = format!("postgres://push@127.0.0.1:{port}/push?sslmode=disable");
        let server = Server::new(&url, &[], Duration::from_secs(5)).unwrap();
        let (heard, listening) = (Arc::new(Notify::new()), Arc::default());
        let task = tokio::spawn(listen(server, Arc::clone(&heard), Arc::clone(&listening), Duration::ZERO));
        for _ in 0..2 {
            let mut stream = accept(&listener).await;
            // Something may have been missed before.
            heard.notified().await;
            for _ in 0..2 {
                notify(&mut stream).await;
                heard.notified().await;
            }
            assert!(listening.load(Ordering::Acquire));
        }
        task.abort();
    }

    #[tokio::test]
    async fn nobody_listens_before_somebody_waits_or_after_the_end() {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let url = format!("postgres://push@127.0.0.1:{port}/push?sslmode=disable");
        let listener = Listener::new(Server::new(&url, &[], Duration::from_secs(5)).unwrap());
        assert!(listener.task.lock().unwrap().is_none() && !listener.is_listening());
        tokio::select! {
            _ = accept(&socket) => {}
            () = listener.notified() => {}
        }
        let task = listener.task.lock().unwrap().as_ref().unwrap().abort_handle();
        drop(listener);
        while !task.is_finished() {
            tokio::task::yield_now().await;
        }
    }
}
