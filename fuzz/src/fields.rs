//! An input cut into fields.

/// Takes an input apart, from its beginning. Where nothing is left, a field is empty or zero.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// All of an input.
    #[must_use]
    pub const fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    /// One octet.
    pub fn octet(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    /// At most so many octets.
    pub fn take(&mut self, octets: usize) -> &'a [u8] {
        let (field, rest) = self.0.split_at(octets.min(self.0.len()));
        self.0 = rest;
        field
    }

    /// A number, big-endian.
    pub fn number(&mut self) -> u64 {
        self.take(8).iter().fold(0, |number, octet| number << 8 | u64::from(*octet))
    }

    /// Up to the next line break, which belongs to no field. What is no UTF-8 is replaced.
    pub fn line(&mut self) -> String {
        let end = self.0.iter().position(|octet| *octet == b'\n');
        let line = self.take(end.unwrap_or(self.0.len()));
        self.take(1);
        String::from_utf8_lossy(line).into_owned()
    }

    /// What is left.
    #[must_use]
    pub const fn rest(self) -> &'a [u8] {
        self.0
    }

    /// Whether nothing is left.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}
