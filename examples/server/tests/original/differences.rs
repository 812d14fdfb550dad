//! Where the service is not as the original, on purpose: docs/service.md says what and why.

macro_rules! differences {
    ($($name:ident)*) => {
        $(pub const $name: &str = stringify!($name);)*

        /// All of them.
        pub const ALL: &[&str] = &[$($name),*];
    };
}

differences! {
    AT_ONCE HASH_ID KNOWN_MEMBERS LIVE_LISTS NAMES NO_FLUSH ONE_OWNER OPENAPI PROJECT PUBLISHERS REAL_COUNT
    REAL_ENDPOINTS REAL_KEYS RETRY_AFTER VAPID WHOLE_SECONDS WORKING
}
