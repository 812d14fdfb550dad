//! A server that can go away and come back: it passes octets on to the real one.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "a part of the tests that use it")]

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

pub struct Proxy {
    target: u16,
    at: SocketAddr,
    task: JoinHandle<()>,
}

impl Proxy {
    pub async fn new(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        Self { target, at, task: tokio::spawn(serve(listener, target)) }
    }

    /// The URL of the server, by way of this.
    pub fn url(&self, server: &str) -> String {
        server.replace(&format!(":{}/", self.target), &format!(":{}/", self.at.port()))
    }

    /// Closes all connections and takes no more.
    pub async fn stop(&self) {
        self.task.abort();
        while !self.task.is_finished() {
            tokio::task::yield_now().await;
        }
    }

    /// Comes back at the same address.
    pub fn start(&mut self) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(self.at).unwrap();
        self.task = tokio::spawn(serve(socket.listen(64).unwrap(), self.target));
    }
}

async fn serve(listener: TcpListener, target: u16) {
    // Dropped with this task, and all connections with it.
    let mut connections = JoinSet::new();
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        connections.spawn(async move {
            let Ok(mut server) = TcpStream::connect(("127.0.0.1", target)).await else { return };
            // How it ends does not matter.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        });
    }
}
