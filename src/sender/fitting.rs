//! Which payload a subscription gets, and how far it is padded.

use super::Core;
use crate::engine::encryption::{Encryptor, Plaintext};
use crate::store::Coding;
use crate::{Message, Padding, Payload};

/// How much longer than its padded plaintext a body is.
pub(crate) const fn overhead(coding: Coding) -> usize {
    match coding {
        Coding::Aes128Gcm => Plaintext::OVERHEAD,
        // The length of the padding and the tag: the rest travels in header fields (E-52).
        Coding::AesGcm => 2 + 16,
    }
}

/// What one subscription takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fitting<'a> {
    pub(crate) encryptor: &'a dyn Encryptor,
    pub(crate) coding: Coding,
    /// Octets of body.
    limit: Option<u16>,
    /// The payload was refused as too large.
    refused: bool,
}

/// A payload that fits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Fitted {
    pub(crate) plaintext: Plaintext,
    /// There is a shorter one, should it be refused.
    pub(crate) has_fallback: bool,
}

impl Core {
    /// What a subscription takes; none where nothing is encrypted in its coding.
    pub(crate) fn fitting(&self, coding: Coding, limit: Option<u16>, refused: bool) -> Option<Fitting<'_>> {
        Some(Fitting { encryptor: &**self.encryptor(coding)?, coding, limit, refused })
    }
}

impl Fitting<'_> {
    /// The payload, or the message's fallback where that is what fits; none where neither does.
    ///
    /// Where there is a fallback, a payload that does not fit with its padding is not tried with
    /// less: how much the push service takes is not known, only what it refused.
    pub(crate) fn choose(&self, payload: &Payload, message: &Message) -> Option<Fitted> {
        let padding = message.padding();
        let fallback = message.fallback().filter(|fallback| fallback.len() < payload.len());
        if !self.refused
            && let Some(plaintext) = self.padded(payload, padding)
        {
            return Some(Fitted { plaintext, has_fallback: fallback.is_some() });
        }
        let plaintext = match fallback {
            Some(fallback) => self.padded(fallback, padding).or_else(|| self.padded(fallback, Padding::None)),
            None => self.cut(payload, padding),
        };
        plaintext.map(|plaintext| Fitted { plaintext, has_fallback: false })
    }

    /// A payload with all of its padding. An empty one has no body that could be too long.
    fn padded(&self, payload: &Payload, padding: Padding) -> Option<Plaintext> {
        if payload.is_empty() {
            return Plaintext::new(payload, Padding::None, 0).ok();
        }
        let plaintext = Plaintext::new(payload, padding, self.encryptor.max_plaintext_len()).ok()?;
        self.takes(plaintext.padded_len() + overhead(self.coding)).then_some(plaintext)
    }

    /// A payload with as much of its padding as fits. Where more than what reaches everybody was
    /// refused, that is not padded to any more (Q-M5).
    fn cut(&self, payload: &Payload, padding: Padding) -> Option<Plaintext> {
        let takes = usize::from(self.limit?).checked_sub(overhead(self.coding))?;
        let limit = takes.min(Payload::PORTABLE_LEN.max(payload.len()));
        Plaintext::new(payload, padding, limit.min(self.encryptor.max_plaintext_len())).ok()
    }

    /// Whether a body may be so long.
    pub(crate) fn takes(&self, body_len: usize) -> bool {
        self.limit.is_none_or(|limit| body_len <= usize::from(limit))
    }
}

impl Fitted {
    /// The length of its body in the usual coding.
    pub(crate) fn body_len(&self) -> usize {
        if self.plaintext.as_bytes().is_empty() {
            0
        } else {
            self.plaintext.padded_len() + Plaintext::OVERHEAD
        }
    }
}
