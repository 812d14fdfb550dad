//! The server's side of HTTP/2, frame by frame.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const INTERNAL_ERROR: u32 = 2;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn error_code(&self) -> u32 {
        u32::from_be_bytes(self.payload[..4].try_into().unwrap())
    }
}

/// One connection from a client.
pub(crate) struct Frames {
    stream: Box<dyn Stream>,
}

impl Frames {
    /// Accepts a connection and allows so many streams on it.
    pub(crate) async fn accept(listener: &TcpListener, streams: Option<u32>) -> Self {
        Self::start(listener.accept().await.unwrap().0, streams).await
    }

    pub(crate) async fn start(stream: impl Stream + 'static, streams: Option<u32>) -> Self {
        let mut frames = Self { stream: Box::new(stream) };
        let mut preface = [0; 24];
        frames.stream.read_exact(&mut preface).await.unwrap();
        assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        frames.settings(streams).await;
        frames
    }

    pub(crate) async fn settings(&mut self, streams: Option<u32>) {
        let mut payload = Vec::new();
        if let Some(streams) = streams {
            payload.extend_from_slice(&3_u16.to_be_bytes());
            payload.extend_from_slice(&streams.to_be_bytes());
        }
        self.write(SETTINGS, 0, 0, &payload).await;
    }

    /// Lets the client send as much as it likes.
    pub(crate) async fn open_windows(&mut self) {
        let all = 0x7fff_ffff_u32;
        let mut payload = 4_u16.to_be_bytes().to_vec();
        payload.extend_from_slice(&all.to_be_bytes());
        self.write(SETTINGS, 0, 0, &payload).await;
        self.write(WINDOW_UPDATE, 0, 0, &(all - 65_535).to_be_bytes()).await;
    }

    pub(crate) async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
        frame.extend_from_slice(&[kind, flags]);
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        self.stream.write_all(&frame).await.unwrap();
    }

    /// The next frame; `None` when the client ended the connection. Settings are acknowledged.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            self.stream.read_exact(&mut payload).await.ok()?;
            let stream = u32::from_be_bytes(head[5..].try_into().unwrap());
            let frame = Frame { kind: head[3], flags: head[4], stream, payload };
            if frame.kind == SETTINGS && frame.flags == 0 {
                self.write(SETTINGS, 1, 0, &[]).await;
            } else {
                return Some(frame);
            }
        }
    }

    /// Reads up to the next frame of this kind.
    pub(crate) async fn find(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    /// Reads up to the end of a request, and gives its stream.
    pub(crate) async fn request(&mut self) -> Option<u32> {
        loop {
            let frame = self.next().await?;
            if matches!(frame.kind, HEADERS | DATA) && frame.flags & END_STREAM != 0 {
                return Some(frame.stream);
            }
        }
    }

    /// Reads to the client's end of the connection.
    pub(crate) async fn end(&mut self) {
        while self.next().await.is_some() {}
    }

    /// Answers a request without a body.
    pub(crate) async fn answer(&mut self, stream: u32, status: &str) {
        self.headers(stream, END_STREAM | END_HEADERS, status).await;
    }

    /// The headers of a response whose body is to follow.
    pub(crate) async fn answer_head(&mut self, stream: u32, status: &str) {
        self.headers(stream, END_HEADERS, status).await;
    }

    async fn headers(&mut self, stream: u32, flags: u8, status: &str) {
        // A literal without indexing, whose name is entry 8 of the static table: `:status`.
        let mut block = vec![0x08, 3];
        block.extend_from_slice(status.as_bytes());
        self.write(HEADERS, flags, stream, &block).await;
    }

    pub(crate) async fn data(&mut self, stream: u32, octets: &[u8]) {
        self.write(DATA, 0, stream, octets).await;
    }

    pub(crate) async fn reset(&mut self, stream: u32, error: u32) {
        self.write(RST_STREAM, 0, stream, &error.to_be_bytes()).await;
    }

    pub(crate) async fn go_away(&mut self, last_stream: u32, error: u32, debug: &[u8]) {
        let mut payload = last_stream.to_be_bytes().to_vec();
        payload.extend_from_slice(&error.to_be_bytes());
        payload.extend_from_slice(debug);
        self.write(GOAWAY, 0, 0, &payload).await;
    }
}
