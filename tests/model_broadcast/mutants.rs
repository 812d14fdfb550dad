//! Doubles that break one rule each: the model finds every one of them.

use super::record::Rule;

/// What is wrong with a double.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Broken {
    /// The hook lets everything pass.
    BypassesHook,
    /// The journal counts outcomes twice.
    CountsTwice,
    /// The transport sends on when it is dropped.
    Detaches,
    /// The store says that entries are removed, and keeps them.
    DropsChanges,
    /// The transport says 410 where the push service said 500.
    FindsGone,
    /// The journal gives a retry all of its lifetime again.
    ForgetsLifetimes,
    /// The journal gives a range from its beginning.
    ForgetsPositions,
    /// The transport does not pass `Retry-After` on.
    ForgetsRetryAfter,
    /// The journal forgets how often something was tried.
    ForgetsTries,
    /// The journal says that there is more time.
    GivesMoreTime,
    /// The journal has no work for anybody.
    HidesWork,
    /// The journal does not say that a broadcast is paused.
    IgnoresPauses,
    /// Nor at which rate it goes.
    IgnoresRates,
    /// The journal gives the same to two.
    LendsTwice,
    /// The journal answers a checkpoint and does not store it.
    LosesCheckpoints,
    /// The store gives longer pages than it was asked for.
    ReadsMore,
    /// The store removes one entry more.
    RemovesMore,
    /// The transport sends each request twice.
    SendsTwice,
    /// The clock is two days late.
    SetsTheClockBack,
    /// A page lacks its last entry.
    SkipsOne,
    /// A page has its first entry twice.
    YieldsTwice,
}

/// Whether the broadcasts are direct ones.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    Direct,
    Durable,
}

impl Broken {
    /// Found sooner where nothing else goes wrong.
    pub const fn wants_calm(self) -> bool {
        matches!(
            self,
            Self::ForgetsLifetimes
                | Self::ForgetsPositions
                | Self::ForgetsTries
                | Self::IgnoresRates
                | Self::LosesCheckpoints
        )
    }
}

/// Each with the rule that it breaks.
pub const MUTANTS: [(Broken, Mode, Rule); 29] = [
    (Broken::BypassesHook, Mode::Direct, Rule::Withheld),
    (Broken::BypassesHook, Mode::Durable, Rule::Withheld),
    (Broken::CountsTwice, Mode::Durable, Rule::Counts),
    (Broken::Detaches, Mode::Direct, Rule::Quiet),
    (Broken::Detaches, Mode::Durable, Rule::Quiet),
    (Broken::DropsChanges, Mode::Direct, Rule::Rows),
    (Broken::FindsGone, Mode::Direct, Rule::Explained),
    (Broken::FindsGone, Mode::Direct, Rule::Proof),
    (Broken::FindsGone, Mode::Durable, Rule::Proof),
    (Broken::ForgetsLifetimes, Mode::Durable, Rule::Lifetime),
    (Broken::ForgetsPositions, Mode::Durable, Rule::Duplicates),
    (Broken::ForgetsRetryAfter, Mode::Direct, Rule::Pause),
    (Broken::ForgetsRetryAfter, Mode::Durable, Rule::Pause),
    (Broken::ForgetsTries, Mode::Durable, Rule::Tries),
    (Broken::GivesMoreTime, Mode::Durable, Rule::Deadline),
    (Broken::HidesWork, Mode::Durable, Rule::Ends),
    (Broken::IgnoresPauses, Mode::Durable, Rule::Pause),
    (Broken::IgnoresRates, Mode::Durable, Rule::Rate),
    (Broken::LendsTwice, Mode::Durable, Rule::Leases),
    (Broken::LosesCheckpoints, Mode::Durable, Rule::Whole),
    (Broken::ReadsMore, Mode::Direct, Rule::Window),
    (Broken::ReadsMore, Mode::Durable, Rule::Window),
    (Broken::RemovesMore, Mode::Direct, Rule::Rows),
    (Broken::SendsTwice, Mode::Direct, Rule::Attempts),
    (Broken::SendsTwice, Mode::Direct, Rule::InFlight),
    (Broken::SendsTwice, Mode::Durable, Rule::Final),
    (Broken::SetsTheClockBack, Mode::Direct, Rule::Token),
    (Broken::SkipsOne, Mode::Direct, Rule::Whole),
    (Broken::YieldsTwice, Mode::Direct, Rule::Whole),
];
