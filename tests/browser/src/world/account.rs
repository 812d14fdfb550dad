use webpush_channels_server::auth::Basic;

/// Somebody with a name and a password.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Account {
    /// The name to sign in with.
    pub name: &'static str,
    /// The password. It guards nothing but a test's own database.
    pub password: &'static str,
}

impl Account {
    /// The one who may publish.
    pub const PUBLISHER: Self = Self::new("publisher");

    /// An account of this name.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, password: "correct horse battery staple" }
    }

    /// How the service knows the account.
    #[must_use]
    pub fn user_id(&self) -> String {
        Basic::new("").user_id(&format!("{}:{}", self.name, self.password)).as_str().to_owned()
    }
}
