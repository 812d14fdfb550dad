//! The ids of broadcasts: each says whose it is, so that nobody else finds it, without a table.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use webpush_channels::store::journal::WorkerId;
use webpush_channels::{BroadcastId, UserId};

/// Octets of the publisher's hash, and of what tells that one's broadcasts apart.
const TAG: usize = 12;
const REST: usize = 16;

/// The id of a publication: with an idempotency key always the same one, without a new one each time.
pub(crate) fn broadcast_id(publisher: &UserId, idempotency_key: Option<&str>) -> BroadcastId {
    let rest = match idempotency_key {
        Some(key) => hash::<REST>(key),
        // Unique is enough: whoever knows the id of somebody else's broadcast still cannot see it.
        None => *WorkerId::random().as_bytes(),
    };
    let id = format!("{}-{}", tag(publisher), URL_SAFE_NO_PAD.encode(rest));
    BroadcastId::new(id).expect("39 characters of base64url are an id")
}

/// Whether a broadcast is this publisher's.
pub(crate) fn owns(publisher: &UserId, id: &BroadcastId) -> bool {
    // By the tag's length, not by the first hyphen: base64url has hyphens too.
    id.as_str().strip_prefix(&tag(publisher)).is_some_and(|rest| rest.starts_with('-'))
}

fn tag(publisher: &UserId) -> String {
    URL_SAFE_NO_PAD.encode(hash::<TAG>(publisher.as_str()))
}

fn hash<const N: usize>(text: &str) -> [u8; N] {
    let digest = Sha256::digest(text);
    std::array::from_fn(|i| digest[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_a_broadcast_and_its_absence_a_new_one() {
        let (ada, bob) = (UserId::new("ada").unwrap(), UserId::new("bob").unwrap());
        let id = |user, key| broadcast_id(user, key);
        assert_eq!(id(&ada, Some("k")), id(&ada, Some("k")));
        for other in [id(&ada, Some("l")), id(&bob, Some("k")), id(&ada, None)] {
            assert_ne!(other, id(&ada, Some("k")));
        }
        assert_ne!(id(&ada, None), id(&ada, None));
        assert_eq!(id(&ada, None).as_str().len(), 39);
    }

    /// It is in other people's databases: never another one.
    #[test]
    fn the_form_of_an_id_is_fixed() {
        let ada = UserId::new("ada").unwrap();
        assert_eq!(broadcast_id(&ada, Some("order-17")).as_str(), "_e5DDUC9V97qwYbN-cqkOo9qLXdAb3i8nMU4C4g");
    }

    #[test]
    fn a_broadcast_is_its_publishers_alone() {
        for name in ["ada", "bob", "eve", "joe"] {
            let user = UserId::new(name).unwrap();
            assert!(owns(&user, &broadcast_id(&user, None)));
            assert!(!owns(&user, &broadcast_id(&UserId::new("zoe").unwrap(), Some(name))));
        }
        let ada = UserId::new("ada").unwrap();
        for wrong in ["x".to_owned(), tag(&ada), format!("{}x", tag(&ada))] {
            assert!(!owns(&ada, &BroadcastId::new(wrong).unwrap()));
        }
    }
}
