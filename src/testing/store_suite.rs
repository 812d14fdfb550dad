//! The conformance suite of [`SubscriptionStore`]: one function for each behaviour of its
//! contract.
//!
//! Each takes a store that is empty and used by nobody else, and panics where the store does
//! otherwise. [`store_suite!`](crate::store_suite) makes a test of each; [`CASES`] lists them for
//! other harnesses. The names and the number of cases may change in any release.
//!
//! ```no_run
//! mod memory_store {
//!     use webpush_channels::store::MemoryStore;
//!
//!     webpush_channels::store_suite!(MemoryStore::new());
//! }
//! ```

#![allow(clippy::missing_panics_doc, reason = "panicking is how a case fails")]
#![allow(clippy::wildcard_imports, reason = "the kit is the vocabulary of all cases")]

mod apply;
mod decorator;
pub(in crate::testing) mod kit;
mod limit;
mod membership;
pub(in crate::testing) mod model;
mod put;
mod ranges;
mod replace;
mod scan;
mod unseen;

use std::fmt;
use std::pin::Pin;

pub use self::apply::*;
pub use self::decorator::{Probe, a_decorator_forwards_every_method};
pub use self::limit::{a_limit_ends_at_the_user, a_limit_holds_for_concurrent_puts};
pub use self::membership::*;
pub use self::model::{agrees_with_a_model, agrees_with_a_model_for};
pub use self::put::*;
pub use self::ranges::*;
pub use self::replace::*;
pub use self::scan::*;
pub use self::unseen::{
    changes_while_unseen_is_read_neither_repeat_nor_lose, unseen_looks_at_the_age,
    unseen_pages_through_all_users, who_stays_away_is_unseen,
};
use crate::store::SubscriptionStore;

type Running<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// One behaviour, to be run on an empty store. Panics where the store does otherwise.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Case {
    /// What the store is to do.
    pub name: &'static str,
    run: for<'a> fn(&'a dyn SubscriptionStore) -> Running<'a>,
}

impl Case {
    /// Runs it.
    ///
    /// # Panics
    ///
    /// When the store does otherwise.
    pub async fn run(&self, store: &dyn SubscriptionStore) {
        (self.run)(store).await;
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Case").field(&self.name).finish()
    }
}

/// All cases that every store must pass.
pub const CASES: &[Case] = crate::__store_cases!(table);

/// Makes a `#[tokio::test]` of each case of the store suite, in the module where it stands. Needs
/// `tokio` with `macros` and `rt` among the dev-dependencies.
///
/// The expression is evaluated in each test, may `.await`, and gives an empty store that keeps at
/// least 32 subscriptions of one user. A store with a limit names that as well, with an expression
/// that makes one with this limit:
///
/// ```no_run
/// use std::num::NonZeroU32;
/// use webpush_channels::store::MemoryStore;
///
/// fn limited_to_three() -> MemoryStore {
///     let limit = NonZeroU32::new(3).unwrap();
///     MemoryStore::builder().max_subscriptions_per_user(limit).build()
/// }
///
/// webpush_channels::store_suite!(MemoryStore::new(), limit 3: limited_to_three());
/// ```
#[macro_export]
macro_rules! store_suite {
    ($make:expr) => {
        $crate::__store_cases!(tests $make);
    };
    ($make:expr, limit $limit:literal : $limited:expr) => {
        $crate::__store_cases!(tests $make);
        $crate::__store_cases!(@do limited $limit, $limited ;
            a_limit_ends_at_the_user
            a_limit_holds_for_concurrent_puts
        );
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __store_cases {
    (@do tests $make:expr ; $($name:ident)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                let store = $make;
                $crate::testing::store_suite::$name(&store).await;
            }
        )*
    };
    (@do limited $limit:literal, $make:expr ; $($name:ident)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                let store = $make;
                $crate::testing::store_suite::$name(&store, $limit).await;
            }
        )*
    };
    (@do table ; $($name:ident)*) => {
        &[$(Case { name: stringify!($name), run: |store| Box::pin($name(store)) },)*]
    };
    ($($how:tt)*) => {
        $crate::__store_cases! { @do $($how)* ;
            a_new_subscription_is_stored_as_it_was_given
            an_identical_put_changes_nothing_else
            an_identical_put_takes_over_the_expiration_time
            new_keys_renew_and_clear_limit_and_mark
            another_vapid_key_renews_and_clears_the_mark
            another_coding_renews_and_clears_nothing
            a_put_without_vapid_key_keeps_the_known_one
            new_keys_without_vapid_key_forget_the_known_one
            another_user_takes_an_endpoint_over
            a_batch_is_put_in_order

            a_replacement_keeps_its_place
            a_replacement_clears_limit_and_mark
            a_replacement_can_be_repeated
            replacements_chain
            eight_former_ids_are_remembered
            an_outdated_replacement_changes_nothing
            a_former_id_is_unknown_to_apply
            a_put_of_a_former_id_is_new
            former_ids_go_with_their_entry
            replacing_an_unknown_subscription_is_a_put
            replacing_what_another_user_owns_is_a_put
            replacing_by_an_own_subscription_keeps_that_one
            replacing_by_a_foreign_subscription_moves_it
            replacing_for_another_user_is_refused

            a_removal_removes
            a_change_needs_the_version
            a_change_survives_an_identical_put
            limits_and_marks_are_kept
            a_found_key_changes_the_version_and_clears_the_mark
            a_known_key_changes_nothing
            a_batch_of_changes_applies_keys_last
            needing_renewal_pages_through_the_marked

            unseen_pages_through_all_users
            unseen_looks_at_the_age
            changes_while_unseen_is_read_neither_repeat_nor_lose

            joining_is_idempotent
            membership_is_by_user
            leaving_keeps_subscriptions
            similar_names_are_different
            a_removed_channel_is_empty
            forgetting_a_user_removes_everything
            counts_are_exact

            a_scan_yields_everything_once_at_any_limit
            the_order_is_one
            an_audience_may_be_one_user
            an_unknown_audience_is_empty
            members_without_subscriptions_do_not_end_a_scan
            changes_during_a_scan_neither_repeat_nor_lose
            removals_during_a_scan_do_not_lose_others
            a_move_during_a_scan_is_not_sent_twice

            ranges_cover_an_audience_once
            who_joins_later_is_not_in_a_range
            who_joins_again_is_not_in_a_range
            a_subscription_added_later_is_not_in_a_range
            positions_and_ranges_survive_as_octets
            foreign_octets_are_refused

            agrees_with_a_model
        }
    };
}
