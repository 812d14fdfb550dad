//! Writes messages for a foreign receiver to standard output: a line of JSON for each size,
//! encryptor and padding. The keys are test keys.

use std::io::{self, BufWriter, Write};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::json;
use webpush_channels::engine::encryption::{AwsLc, Ece, EceAesGcm, Encoded, Encryptor, RustCrypto};
use webpush_channels_interop::{PADDINGS, Receiver, content, seal};

fn main() -> io::Result<()> {
    let encode = |octets: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(octets);
    // With the sizes that each takes.
    let encryptors: [(&str, &dyn Encryptor, usize); 4] = [
        ("rustcrypto", &RustCrypto::new(), 0),
        ("aws-lc-rs", &AwsLc::new(), 0),
        ("ece", &Ece::new(), 1),
        ("ece-aesgcm", &EceAesGcm::new(), 1),
    ];
    let receivers = [1, 2, 3].map(Receiver::number);
    let mut out = BufWriter::new(io::stdout().lock());
    for size in 0..=3993 {
        let to = &receivers[size % receivers.len()];
        let content = content(size);
        for (name, encryptor, least) in encryptors {
            if !(least..=encryptor.max_plaintext_len()).contains(&size) {
                continue;
            }
            // Each size once padded and once not, by turns: what a receiver takes of one
            // encryptor it takes of the other.
            let padding = PADDINGS[(size + name.len()) % PADDINGS.len()];
            let message = seal(encryptor, to, content.clone(), padding);
            let mut line = json!({
                "encryptor": name,
                "private": encode(to.private()),
                "auth": encode(to.auth()),
                "body": encode(&message.body),
                "plaintext": encode(&content),
            });
            if let Encoded::AesGcm { salt, dh } = message.encoded {
                line["salt"] = encode(&salt).into();
                line["dh"] = encode(&dh).into();
            }
            writeln!(out, "{line}")?;
        }
    }
    out.flush()
}
