//! The server's side of HTTP/2, frame by frame, for peers that keep no rule.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::peer::{Seen, Tls};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const ACK: u8 = 1;

pub(crate) const REFUSED_STREAM: u32 = 7;

/// `:status: 201`, as a literal without indexing whose name is entry 8 of the static table.
pub(crate) const CREATED: &[u8] = b"\x08\x03201";

/// One frame as it goes over the wire.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// SETTINGS with these values.
pub(crate) fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let values = values.iter().flat_map(|(id, value)| {
        let (id, value) = (id.to_be_bytes(), value.to_be_bytes());
        id.into_iter().chain(value)
    });
    frame(SETTINGS, 0, 0, &values.collect::<Vec<_>>())
}

pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 3;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;

pub(crate) fn go_away(last_stream: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last_stream.to_be_bytes(), [0; 4]].concat())
}

/// An answer without a body.
pub(crate) fn created(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, CREATED)
}

/// A connection from a client, whose preface was read.
pub(crate) struct Frames {
    pub(crate) tls: Tls,
    unread: Vec<u8>,
}

impl Frames {
    pub(crate) async fn start(mut tls: Tls, values: &[(u16, u32)]) -> io::Result<Self> {
        let mut preface = [0; 24];
        tls.read_exact(&mut preface).await?;
        let mut frames = Self { tls, unread: Vec::new() };
        frames.write(&settings(values)).await?;
        Ok(frames)
    }

    pub(crate) async fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.tls.write_all(octets).await?;
        self.tls.flush().await
    }

    /// The next frame: kind, flags, stream. Settings are acknowledged. Cancel safe but for that.
    pub(crate) async fn next(&mut self) -> io::Result<(u8, u8, u32)> {
        loop {
            while self.unread.len() < 9 || self.unread.len() < 9 + length(&self.unread) {
                if self.tls.read_buf(&mut self.unread).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            let frame: Vec<u8> = self.unread.drain(..9 + length(&self.unread)).collect();
            let stream = u32::from_be_bytes(frame[5..9].try_into().unwrap());
            if (frame[3], frame[4]) == (SETTINGS, 0) {
                self.write(&frame_ack()).await?;
            } else {
                return Ok((frame[3], frame[4], stream));
            }
        }
    }

    /// Reads up to the end of a request, counts it, and gives its stream.
    pub(crate) async fn request(&mut self, seen: &Seen) -> io::Result<u32> {
        loop {
            let (kind, flags, stream) = self.next().await?;
            if matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0 {
                seen.request();
                return Ok(stream);
            }
        }
    }

    /// Waits until the client has seen everything that was sent: how many requests began meanwhile,
    /// and the streams of those that ended.
    pub(crate) async fn ping(&mut self, seen: &Seen) -> io::Result<(usize, Vec<u32>)> {
        self.write(&frame(PING, 0, 0, b"noticed?")).await?;
        let (mut began, mut ended) = (0, Vec::new());
        loop {
            let (kind, flags, stream) = self.next().await?;
            if kind == PING && flags & ACK != 0 {
                return Ok((began, ended));
            }
            began += usize::from(kind == HEADERS);
            if matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0 {
                seen.request();
                ended.push(stream);
            }
        }
    }
}

fn length(frame: &[u8]) -> usize {
    u32::from_be_bytes([0, frame[0], frame[1], frame[2]]) as usize
}

fn frame_ack() -> Vec<u8> {
    frame(SETTINGS, ACK, 0, &[])
}
