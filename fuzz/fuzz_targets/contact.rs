//! The contact of an operator: kept as it was written, and one that every push service takes (V-8).
#![no_main]

use std::str::FromStr;

use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};
use webpush_channels::engine::vapid::Contact;
use webpush_channels::{Endpoint, EndpointPolicy, PolicyError};
use webpush_channels_fuzz::{as_address, whole};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let deserialized = Contact::deserialize(StrDeserializer::<Error>::new(text));
    let contact = match Contact::from_str(text) {
        Ok(contact) => contact,
        Err(error) => {
            whole(&error);
            assert!(deserialized.is_err());
            return;
        }
    };
    assert_eq!(contact.as_str(), text);
    assert_eq!(deserialized, Ok(contact));
    assert!(text.len() <= Contact::MAX_LEN && text.bytes().all(|octet| octet.is_ascii_graphic()));
    if let Some(address) = text.strip_prefix("mailto:") {
        let (_, host) = address.split_once('@').expect("an address has an @");
        assert!(!host.contains('@') && host.contains('.') && as_address(host).is_none(), "{host}");
        // A host that may be mailed is one that may be posted to.
        check_host(&format!("https://{host}/"));
    } else {
        check_host(text);
    }
});

fn check_host(url: &str) {
    let endpoint = Endpoint::from_str(url).expect("a contact's page is a plain URL");
    match EndpointPolicy::public_internet().check(&endpoint) {
        Ok(()) | Err(PolicyError::Port) => {}
        Err(error) => panic!("{url}: {error}"),
    }
}
