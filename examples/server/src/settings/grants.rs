//! Who may publish where.

use std::collections::HashMap;
use std::str::FromStr;

use webpush_channels::{ChannelName, NameError, UserId};

/// What one publisher may do: `USER=PATTERN,PATTERN`, where a pattern is a channel's name or its beginning and `*`.
/// `USER` alone may publish everywhere.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Grant {
    /// Who.
    pub user: UserId,
    /// Where.
    pub channels: Vec<String>,
}

impl FromStr for Grant {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        // The user ids of bearer tokens may hold anything but a comma after the last `=`.
        let (user, patterns) = text.rsplit_once('=').unwrap_or((text, "*"));
        let user = UserId::new(user).map_err(GrantError::User)?;
        let channels: Vec<_> = patterns.split(',').map(str::to_owned).collect();
        if channels
            .iter()
            .any(|pattern| pattern.is_empty() || pattern.trim_end_matches('*').len() + 1 < pattern.len())
        {
            return Err(GrantError::Pattern);
        }
        Ok(Self { user, channels })
    }
}

/// Why a grant is not usable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GrantError {
    /// The part before the `=`.
    #[error("the user is not usable")]
    User(#[source] NameError),
    /// The part after it.
    #[error("a pattern is a channel's name, or its beginning and one *")]
    Pattern,
}

/// All grants. Without one, nobody publishes.
#[derive(Clone, Debug, Default)]
pub struct Grants(HashMap<UserId, Vec<String>>);

impl Grants {
    /// Several grants of one user are one.
    #[must_use]
    pub fn new(grants: impl IntoIterator<Item = Grant>) -> Self {
        let mut all = HashMap::<_, Vec<_>>::new();
        for grant in grants {
            all.entry(grant.user).or_default().extend(grant.channels);
        }
        Self(all)
    }

    /// The patterns of a user.
    #[must_use]
    pub fn of(&self, user: &UserId) -> &[String] {
        self.0.get(user).map_or(&[], Vec::as_slice)
    }

    /// Whether a user may publish to a channel.
    #[must_use]
    pub fn allow(&self, user: &UserId, channel: &ChannelName) -> bool {
        self.of(user).iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(beginning) => channel.as_str().starts_with(beginning),
            None => channel.as_str() == pattern,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(grant: &str, channel: &str) -> bool {
        let grant: Grant = grant.parse().unwrap();
        let user = grant.user.clone();
        Grants::new([grant]).allow(&user, &ChannelName::new(channel).unwrap())
    }

    #[test]
    fn patterns_are_names_or_beginnings() {
        assert!(allows("ada=news", "news") && !allows("ada=news", "newsletter"));
        assert!(allows("ada=x,sport-*", "sport-2") && !allows("ada=x,sport-*", "sport"));
        assert!(allows("ada", "anything") && allows("ada=*", "anything"));
        assert!(allows("bearer:a=b=news", "news"));
    }

    #[test]
    fn nobody_publishes_by_default() {
        let (ada, news) = (UserId::new("ada").unwrap(), ChannelName::new("news").unwrap());
        assert!(!Grants::default().allow(&ada, &news) && Grants::default().of(&ada).is_empty());
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for wrong in ["=news", "ada=", "ada=news,,x", "ada=a**", "", "a\u{7}=x"] {
            assert!(wrong.parse::<Grant>().is_err(), "{wrong}");
        }
    }
}
