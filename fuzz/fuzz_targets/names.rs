//! Names that callers choose: bounded, printable, kept as they were given.
#![no_main]

use std::fmt::{Debug, Display};
use std::str::FromStr;

use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};
use webpush_channels::engine::vapid::Topic;
use webpush_channels::{BroadcastId, ChannelName, KeyId, NameError, UserId};
use webpush_channels_fuzz::whole;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    check(text, UserId::MAX_LEN, UserId::new(text));
    check(text, ChannelName::MAX_LEN, ChannelName::new(text));
    check(text, BroadcastId::MAX_LEN, BroadcastId::new(text));
    if let Ok(id) = KeyId::from_str(text) {
        assert_eq!(id.to_string(), text.trim_end_matches('='));
        assert_eq!(KeyId::deserialize(StrDeserializer::<Error>::new(text)), Ok(id));
    }
    if let Ok(topic) = Topic::from_str(text) {
        assert_eq!(topic.as_str(), text);
        let usable = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_';
        assert!((1..=32).contains(&text.len()) && text.bytes().all(usable), "H-8");
    }
});

fn check<T>(text: &str, limit: usize, name: Result<T, NameError>)
where
    T: FromStr<Err = NameError> + for<'de> Deserialize<'de> + Debug + Display + PartialEq,
{
    let usable = !text.is_empty() && text.len() <= limit && !text.chars().any(char::is_control);
    assert_eq!(name.is_ok(), usable);
    assert_eq!(T::from_str(text), name);
    let deserialized = T::deserialize(StrDeserializer::<Error>::new(text));
    match name {
        Ok(name) => {
            assert_eq!(name.to_string(), text);
            assert_eq!(deserialized, Ok(name));
        }
        Err(error) => {
            whole(&error);
            assert!(deserialized.is_err());
        }
    }
}
