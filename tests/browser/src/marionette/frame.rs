//! `LENGTH:JSON`, both ways.

use std::io;

use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// More than any screenshot.
const LONGEST: usize = 64 << 20;
const DIGITS: usize = 8;

pub(super) async fn read(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Value> {
    let mut length = 0;
    for _ in 0..=DIGITS {
        match stream.read_u8().await? {
            b':' => return body(stream, length).await,
            digit @ b'0'..=b'9' => length = length * 10 + usize::from(digit - b'0'),
            _ => break,
        }
    }
    Err(invalid("no length"))
}

async fn body(stream: &mut (impl AsyncBufRead + Unpin), length: usize) -> io::Result<Value> {
    if length > LONGEST {
        return Err(invalid("too long"));
    }
    let mut octets = vec![0; length];
    stream.read_exact(&mut octets).await?;
    serde_json::from_slice(&octets).map_err(|_| invalid("not JSON"))
}

pub(super) async fn write(stream: &mut (impl AsyncWrite + Unpin), message: &Value) -> io::Result<()> {
    let text = message.to_string();
    stream.write_all(format!("{}:{text}", text.len()).as_bytes()).await?;
    stream.flush().await
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn what_is_written_can_be_read() {
        let message = json!([0, 1, "WebDriver:Navigate", { "url": "data:,\u{e9}" }]);
        let mut wire = Vec::new();
        write(&mut wire, &message).await.unwrap();
        write(&mut wire, &json!({})).await.unwrap();
        let mut wire = wire.as_slice();
        assert_eq!(read(&mut wire).await.unwrap(), message);
        assert_eq!(read(&mut wire).await.unwrap(), json!({}));
        assert!(wire.is_empty());
    }

    #[tokio::test]
    async fn what_is_no_frame_is_refused() {
        for bad in ["", "12", "x:{}", "3:{}", "2:{x", "99999999:{}", "123456789:{}", "-1:"] {
            assert!(read(&mut bad.as_bytes()).await.is_err(), "{bad}");
        }
    }
}
