//! A `MemoryStore` with one deliberate defect.

#[path = "broken/apply.rs"]
mod apply;
#[path = "broken/put.rs"]
mod put;
#[path = "broken/replace.rs"]
mod replace;
#[path = "broken/scan.rs"]
mod scan;
#[path = "broken/unseen.rs"]
mod unseen;

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroU16;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use webpush_channels::store::{
    Audience, Change, Count, Entry, EntryRef, MemoryStore, NewEntry, Page, Position, Put, Range, StoreError,
    SubscriptionStore, UnseenPage,
};
use webpush_channels::testing::store_suite::Probe;
use webpush_channels::{ChannelName, SubscriptionId, UserId};

macro_rules! defects {
    ($($defect:ident: $($case:ident)*,)*) => {
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub(crate) enum Defect {
            None,
            LimitIsRacy,
            LimitLosesTheEndpoint,
            SameIsNotSeen,
            ReplacedIsNotSeen,
            ChangedIsSeen,
            AgesAreZero,
            $($defect,)*
        }

        impl Defect {
            /// Each with the cases that must find it.
            pub(crate) const ALL: &[(Self, &[&str])] = &[$((Self::$defect, &[$(stringify!($case)),*]),)*];
        }
    };
}

defects! {
    PutDropsTheKey: a_new_subscription_is_stored_as_it_was_given,
    PutReinserts: an_identical_put_changes_nothing_else changes_during_a_scan_neither_repeat_nor_lose
        agrees_with_a_model,
    PutKeepsTheExpirationTime: an_identical_put_takes_over_the_expiration_time,
    RenewalKeepsWhatWasLearned: new_keys_renew_and_clear_limit_and_mark
        another_vapid_key_renews_and_clears_the_mark,
    RenewalClearsTheMark: another_coding_renews_and_clears_nothing another_user_takes_an_endpoint_over,
    PutForgetsTheKey: a_put_without_vapid_key_keeps_the_known_one a_change_survives_an_identical_put,
    PutKeepsTheKeyTooLong: new_keys_without_vapid_key_forget_the_known_one,
    FirstOwnerKeepsTheEndpoint: another_user_takes_an_endpoint_over agrees_with_a_model,
    BatchBackwards: a_batch_is_put_in_order,

    ReplaceIsRemoveAndPut: a_replacement_keeps_its_place replacements_chain agrees_with_a_model
        changes_during_a_scan_neither_repeat_nor_lose,
    ReplaceKeepsTheMark: a_replacement_clears_limit_and_mark,
    RepeatedReplaceIsNews: a_replacement_can_be_repeated,
    FormerIdsAreForgotten: replacements_chain eight_former_ids_are_remembered agrees_with_a_model,
    OutdatedReplaceWins: an_outdated_replacement_changes_nothing,
    ApplyTakesFormerIds: a_former_id_is_unknown_to_apply,
    PutTakesFormerIds: a_put_of_a_former_id_is_new,
    FormerIdsOutliveTheEntry: former_ids_go_with_their_entry,
    ReplaceOfUnknownIsNothing: replacing_an_unknown_subscription_is_a_put,
    ReplaceByAnybody: replacing_what_another_user_owns_is_a_put agrees_with_a_model,
    ReplaceMovesTheOwn: replacing_by_an_own_subscription_keeps_that_one,
    ReplaceByForeignIsPut: replacing_by_a_foreign_subscription_moves_it agrees_with_a_model,
    ReplaceForAnotherUser: replacing_for_another_user_is_refused,

    RemoveDoesNothing: a_removal_removes removals_during_a_scan_do_not_lose_others,
    VersionIsIgnored: a_change_needs_the_version agrees_with_a_model,
    LimitsAreDropped: limits_and_marks_are_kept agrees_with_a_model,
    FoundKeyKeepsTheMark: a_found_key_changes_the_version_and_clears_the_mark,
    KnownKeyClearsTheMark: a_known_key_changes_nothing,
    ChangesInOrder: a_batch_of_changes_applies_keys_last,
    RenewalPageLosesOne: needing_renewal_pages_through_the_marked,

    UnseenPageLosesOne: unseen_pages_through_all_users agrees_with_a_model,
    UnseenIgnoresTheAge: unseen_looks_at_the_age,
    UnseenByOffset: changes_while_unseen_is_read_neither_repeat_nor_lose,

    ChannelsTwice: joining_is_idempotent,
    OnlyOwnersJoin: membership_is_by_user,
    LeavingRemoves: leaving_keeps_subscriptions,
    NamesInLowerCase: similar_names_are_different,
    ChannelsStay: a_removed_channel_is_empty who_joins_again_is_not_in_a_range,
    ForgottenStayMembers: forgetting_a_user_removes_everything,
    CountOfOnePage: counts_are_exact,

    PageLosesItsLast: a_scan_yields_everything_once_at_any_limit positions_and_ranges_survive_as_octets
        agrees_with_a_model,
    PageTooLong: a_scan_yields_everything_once_at_any_limit,
    PositionsBetweenUsersOnly: a_scan_yields_everything_once_at_any_limit,
    OffsetPaging: removals_during_a_scan_do_not_lose_others agrees_with_a_model,
    PageBackwards: the_order_is_one,
    NoAudienceOfOne: an_audience_may_be_one_user,
    UnknownIsAnError: an_unknown_audience_is_empty,
    EmptyPageEnds: members_without_subscriptions_do_not_end_a_scan,
    RangesHaveNoEnd: who_joins_later_is_not_in_a_range who_joins_again_is_not_in_a_range
        a_subscription_added_later_is_not_in_a_range a_move_during_a_scan_is_not_sent_twice
        ranges_cover_an_audience_once agrees_with_a_model,
    RangesOverlap: ranges_cover_an_audience_once,
    RangesHaveGaps: ranges_cover_an_audience_once,
    PositionsWorkOnce: positions_and_ranges_survive_as_octets,
    ForeignOctetsStartAnew: foreign_octets_are_refused,
}

#[derive(Debug)]
pub(crate) struct Broken {
    inner: MemoryStore,
    defect: Defect,
    users: Mutex<BTreeSet<UserId>>,
    /// By former id, the id that took its place.
    former: Mutex<HashMap<SubscriptionId, SubscriptionId>>,
    used: Mutex<Vec<Position>>,
}

impl Broken {
    pub(crate) fn new(defect: Defect) -> Self {
        Self::over(MemoryStore::new(), defect)
    }

    pub(crate) fn over(inner: MemoryStore, defect: Defect) -> Self {
        let (users, former, used) = Default::default();
        Self { inner, defect, users, former, used }
    }

    fn has(&self, defect: Defect) -> bool {
        self.defect == defect
    }

    async fn own(&self, user: &UserId, id: &SubscriptionId) -> Option<Entry> {
        let entries = self.inner.subscriptions(user).await.unwrap();
        entries.into_iter().find(|entry| entry.subscription.id() == *id)
    }

    async fn find(&self, id: &SubscriptionId) -> Option<Entry> {
        let users = self.users.lock().unwrap().clone();
        for user in users {
            if let Some(entry) = self.own(&user, id).await {
                return Some(entry);
            }
        }
        None
    }

    async fn change(&self, entry: &Entry, change: Change) -> bool {
        self.inner.apply(&[(entry.reference(), change)]).await.unwrap()[0]
    }
}

#[async_trait]
impl SubscriptionStore for Broken {
    async fn put(&self, entries: &[NewEntry]) -> Result<Vec<Put>, StoreError> {
        self.users.lock().unwrap().extend(entries.iter().map(|new| new.user.clone()));
        if self.has(Defect::BatchBackwards) {
            let backwards: Vec<_> = entries.iter().rev().cloned().collect();
            return self.inner.put(&backwards).await;
        }
        let mut puts = Vec::new();
        for new in entries {
            puts.push(self.put_one(new).await);
        }
        Ok(puts)
    }

    async fn replace(&self, user: &UserId, old: &SubscriptionId, new: &NewEntry) -> Result<Put, StoreError> {
        self.users.lock().unwrap().insert(user.clone());
        let put = self.replace_one(user, old, new).await?;
        self.former.lock().unwrap().insert(*old, new.subscription.id());
        Ok(put)
    }

    async fn apply(&self, changes: &[(EntryRef, Change)]) -> Result<Vec<bool>, StoreError> {
        self.apply_all(changes).await
    }

    async fn subscriptions(&self, user: &UserId) -> Result<Vec<Entry>, StoreError> {
        self.inner.subscriptions(&self.name(user)).await
    }

    async fn join(&self, channel: &ChannelName, users: &[UserId]) -> Result<(), StoreError> {
        for user in users {
            let owner = self.inner.subscriptions(user).await?.len();
            if owner > 0 || !self.has(Defect::OnlyOwnersJoin) {
                self.inner.join(channel, &[self.name(user)]).await?;
            }
        }
        Ok(())
    }

    async fn leave(&self, channel: &ChannelName, users: &[UserId]) -> Result<(), StoreError> {
        if self.has(Defect::LeavingRemoves) {
            for user in users {
                self.inner.forget(user).await?;
            }
        }
        self.inner.leave(channel, users).await
    }

    async fn channels(&self, user: &UserId) -> Result<Vec<ChannelName>, StoreError> {
        let mut names = self.inner.channels(user).await?;
        if self.has(Defect::ChannelsTwice) {
            names.extend(names.clone());
        }
        Ok(names)
    }

    async fn page(
        &self,
        to: &Audience,
        range: &Range,
        after: Option<&Position>,
        limit: NonZeroU16,
    ) -> Result<Page, StoreError> {
        self.page_of(to, range, after, limit).await
    }

    async fn split(&self, to: &Audience, parts: NonZeroU16) -> Result<Vec<Range>, StoreError> {
        let mut ranges = self.inner.split(to, parts).await?;
        match self.defect {
            Defect::RangesOverlap if ranges.len() > 1 => {
                ranges[0] = self.inner.split(to, NonZeroU16::MIN).await?[0];
            }
            Defect::RangesHaveGaps if ranges.len() > 1 => drop(ranges.pop()),
            _ => {}
        }
        Ok(ranges)
    }

    async fn needing_renewal(&self, after: Option<&Position>, limit: NonZeroU16) -> Result<Page, StoreError> {
        let mut page = self.inner.needing_renewal(after, limit).await?;
        if self.has(Defect::RenewalPageLosesOne) && page.next.is_some() {
            page.entries.pop();
        }
        Ok(page)
    }

    async fn unseen(
        &self,
        for_at_least: Duration,
        after: Option<&Position>,
        limit: NonZeroU16,
    ) -> Result<UnseenPage, StoreError> {
        self.unseen_for(for_at_least, after, limit).await
    }

    async fn remove_channel(&self, channel: &ChannelName) -> Result<(), StoreError> {
        if self.has(Defect::ChannelsStay) { Ok(()) } else { self.inner.remove_channel(channel).await }
    }

    async fn forget(&self, user: &UserId) -> Result<(), StoreError> {
        let names = self.inner.channels(user).await?;
        self.inner.forget(user).await?;
        if self.has(Defect::ForgottenStayMembers) {
            for name in names {
                self.inner.join(&name, std::slice::from_ref(user)).await?;
            }
        }
        Ok(())
    }

    async fn count(&self, to: &Audience) -> Result<Count, StoreError> {
        let mut count = self.inner.count(to).await?;
        if self.has(Defect::CountOfOnePage) {
            count.subscriptions = count.subscriptions.min(10);
        }
        Ok(count)
    }
}

impl Broken {
    fn name(&self, user: &UserId) -> UserId {
        if self.has(Defect::NamesInLowerCase) {
            UserId::new(user.as_str().to_lowercase()).unwrap()
        } else {
            user.clone()
        }
    }
}

/// Passes on every method but one with a default.
#[derive(Debug)]
pub(crate) struct WithoutCount(pub(crate) Probe);

#[async_trait]
impl SubscriptionStore for WithoutCount {
    async fn put(&self, entries: &[NewEntry]) -> Result<Vec<Put>, StoreError> {
        self.0.put(entries).await
    }

    async fn replace(&self, user: &UserId, old: &SubscriptionId, new: &NewEntry) -> Result<Put, StoreError> {
        self.0.replace(user, old, new).await
    }

    async fn apply(&self, changes: &[(EntryRef, Change)]) -> Result<Vec<bool>, StoreError> {
        self.0.apply(changes).await
    }

    async fn subscriptions(&self, user: &UserId) -> Result<Vec<Entry>, StoreError> {
        self.0.subscriptions(user).await
    }

    async fn join(&self, channel: &ChannelName, users: &[UserId]) -> Result<(), StoreError> {
        self.0.join(channel, users).await
    }

    async fn leave(&self, channel: &ChannelName, users: &[UserId]) -> Result<(), StoreError> {
        self.0.leave(channel, users).await
    }

    async fn channels(&self, user: &UserId) -> Result<Vec<ChannelName>, StoreError> {
        self.0.channels(user).await
    }

    async fn page(
        &self,
        to: &Audience,
        range: &Range,
        after: Option<&Position>,
        limit: NonZeroU16,
    ) -> Result<Page, StoreError> {
        self.0.page(to, range, after, limit).await
    }

    async fn split(&self, to: &Audience, parts: NonZeroU16) -> Result<Vec<Range>, StoreError> {
        self.0.split(to, parts).await
    }

    async fn needing_renewal(&self, after: Option<&Position>, limit: NonZeroU16) -> Result<Page, StoreError> {
        self.0.needing_renewal(after, limit).await
    }

    async fn unseen(
        &self,
        for_at_least: Duration,
        after: Option<&Position>,
        limit: NonZeroU16,
    ) -> Result<UnseenPage, StoreError> {
        self.0.unseen(for_at_least, after, limit).await
    }

    async fn remove_channel(&self, channel: &ChannelName) -> Result<(), StoreError> {
        self.0.remove_channel(channel).await
    }

    async fn forget(&self, user: &UserId) -> Result<(), StoreError> {
        self.0.forget(user).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.0.check().await
    }
}
