//! Writes messages for a foreign receiver to standard output: a line of JSON for each size,
//! encryptor and padding. The keys are test keys.

use std::io::{self, BufWriter, Write};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::json;
use webpush_channels::engine::encryption::{AwsLc, Encryptor, RustCrypto};
use webpush_channels_interop::{PADDINGS, Receiver, content, seal};

fn main() -> io::Result<()> {
    let encode = |octets: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(octets);
    let encryptors: [(&str, &dyn Encryptor); 2] =
        [("rustcrypto", &RustCrypto::new()), ("aws-lc-rs", &AwsLc::new())];
    let receivers = [1, 2, 3].map(Receiver::number);
    let mut out = BufWriter::new(io::stdout().lock());
    for size in 0..=3993 {
        let to = &receivers[size % receivers.len()];
        let content = content(size);
        for (name, encryptor) in encryptors {
            // Each size once padded and once not, by turns: what a receiver takes of one
            // encryptor it takes of the other.
            let padding = PADDINGS[(size + name.len()) % PADDINGS.len()];
            let body = seal(encryptor, to, content.clone(), padding);
            let line = json!({
                "encryptor": name,
                "private": encode(to.private()),
                "auth": encode(to.auth()),
                "body": encode(&body),
                "plaintext": encode(&content),
            });
            writeln!(out, "{line}")?;
        }
    }
    out.flush()
}
