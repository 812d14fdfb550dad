//! Drives a real Firefox, headless, against a push service in this process.
//!
//! | what | for |
//! |---|---|
//! | [`Marionette`] | Firefox's remote protocol: JSON over one TCP connection |
//! | [`Profile`], [`Firefox`] | a browser with a directory and preferences of its own |
//! | [`Site`] | a few files that a browser can load, where the page matters little |
//! | [`eventually`] | the one way to wait |
//! | [`World`], [`Visitor`], [`Account`] | the service, its push service, and people at its page |
//! | [`tell`], [`Story`] | a test in named steps, which says where it failed and shows what was on the screen |
//!
//! Nothing leaves this machine: every host but loopback goes to a proxy that is not there.

pub mod artefacts;
mod eventually;
mod firefox;
mod marionette;
mod site;
mod story;
mod world;

pub use self::eventually::{LIMIT, eventually};
pub use self::firefox::{Alert, Firefox, FirefoxError, Profile, Window};
pub use self::marionette::{Context, Element, Marionette, MarionetteError};
pub use self::site::{File, Site};
pub use self::story::{Story, tell};
pub use self::world::{Account, Shown, Visitor, World};

/// Why a step could not go on. What went wrong is for people to read, and nobody tells cases apart.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
