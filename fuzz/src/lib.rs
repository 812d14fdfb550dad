//! What the fuzz targets share. Each target is one file of `fuzz_targets/`; what it asserts stands there.

mod address;
mod error;
mod fields;
mod seal;
mod served;
mod wire;

pub use self::address::{as_address, is_public};
pub use self::error::whole;
pub use self::fields::Fields;
pub use self::seal::Sealer;
pub use self::served::{Served, scratch};
pub use self::wire::{exchange, first_answer};

/// Two keys of a browser that does not exist, as JSON has them.
pub const P256DH: &str =
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
/// See [`P256DH`].
pub const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";
