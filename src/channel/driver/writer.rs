//! Writes checkpoints, one at a time and beside the sending.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::Instrument as _;

use crate::sender::later;
use crate::store::journal::{Checkpoint, Journal, JournalError, JournalErrorKind, LeaseToken, State};
use crate::telemetry::{Instruments, Stopwatch};

/// Checkpoints are this far apart, unless the window is short.
const APART: Duration = Duration::from_millis(250);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// What a checkpoint was answered with, and until when the lease is ours then.
type Written = Result<(State, Instant), JournalError>;

pub(super) struct Writer {
    journal: Arc<dyn Journal>,
    instruments: Instruments,
    token: LeaseToken,
    term: Duration,
    /// The number of the last checkpoint.
    number: u64,
    /// The term has not passed before this, whatever the storage's clock says.
    valid_until: Instant,
    last: Instant,
    writing: Option<BoxFuture<'static, Written>>,
    /// How many entries the checkpoint on its way covers.
    covers: usize,
}

/// What became of a checkpoint.
pub(super) struct Answer {
    pub(super) state: State,
    pub(super) covers: usize,
}

impl Writer {
    /// `asked` is when the lease was asked for.
    pub(super) fn new(
        journal: Arc<dyn Journal>,
        instruments: &Instruments,
        token: LeaseToken,
        term: Duration,
        asked: Instant,
    ) -> Self {
        Self {
            journal,
            instruments: instruments.clone(),
            token,
            term,
            number: 0,
            valid_until: later(asked, term),
            last: Instant::now(),
            writing: None,
            covers: 0,
        }
    }

    /// Whether the lease may be another worker's by now.
    pub(super) fn has_expired(&self, now: Instant) -> bool {
        now >= self.valid_until
    }

    pub(super) const fn is_busy(&self) -> bool {
        self.writing.is_some()
    }

    /// When the next checkpoint is to be made: soon where there is something to write, and else in
    /// time to renew the lease.
    pub(super) fn due(&self, news: bool, short: bool) -> Instant {
        match (news, short) {
            (true, true) => self.last,
            (true, false) => later(self.last, APART.min(self.term / 3)),
            (false, _) => later(self.last, self.term / 3),
        }
    }

    /// A checkpoint to be filled.
    pub(super) fn next(&self) -> Checkpoint {
        Checkpoint::new(self.number + 1, self.term)
    }

    /// Begins to write what [`next`](Self::next) gave.
    pub(super) fn write(&mut self, checkpoint: Checkpoint, covers: usize, now: Instant) {
        self.number += 1;
        self.last = now;
        self.covers = covers;
        let journal = Arc::clone(&self.journal);
        let (token, term, valid_until) = (self.token, self.term, self.valid_until);
        let span = tracing::debug_span!("checkpoint", number = self.number, entries = covers);
        let (instruments, watch) = (self.instruments.clone(), Stopwatch::start());
        let insist = insist(journal, token, checkpoint, term, valid_until);
        let counted = insist.inspect(move |written| instruments.checkpoint(written.is_ok(), watch));
        self.writing = Some(counted.instrument(span).boxed());
    }

    /// The answer to the checkpoint on its way.
    pub(super) async fn answer(&mut self) -> Result<Answer, JournalError> {
        let lost = || JournalError::new(JournalErrorKind::LeaseLost);
        let Some(writing) = &mut self.writing else { return Err(lost()) };
        let written = writing.await;
        self.writing = None;
        let (state, valid_until) = written?;
        self.valid_until = valid_until;
        Ok(Answer { state, covers: self.covers })
    }

    /// Gives the lease back: asks until then, because nobody has its work before it ended.
    pub(super) async fn release(&mut self, until: Instant) {
        let until = until.min(self.valid_until);
        let mut pause = FIRST_PAUSE;
        while let Ok(Err(error)) = timeout_at(self.valid_until, self.journal.release(&self.token)).await {
            if !error.is_retryable() || Instant::now() + pause >= until {
                tracing::warn!(%error, "a lease was not given back: it ends by itself");
                return;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }
}

/// Sends the same checkpoint until it is answered, as long as the lease is ours.
async fn insist(
    journal: Arc<dyn Journal>,
    token: LeaseToken,
    checkpoint: Checkpoint,
    term: Duration,
    valid_until: Instant,
) -> Written {
    let (mut pause, made) = (FIRST_PAUSE, Instant::now());
    loop {
        let asked = Instant::now();
        let aged = aged(&checkpoint, asked.duration_since(made));
        let answer = timeout_at(valid_until, journal.checkpoint(&token, aged)).await;
        let error = match answer {
            Ok(Ok(state)) => return Ok((state, later(asked, term))),
            Ok(Err(error)) if error.is_retryable() => error,
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(JournalError::new(JournalErrorKind::LeaseLost)),
        };
        if Instant::now() + pause >= valid_until {
            return Err(error);
        }
        tracing::warn!(%error, number = checkpoint.number, "a checkpoint is sent again");
        sleep(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

/// The same checkpoint so much later: what is left of times is less, because a journal counts them from when it
/// stores them (H-6).
fn aged(checkpoint: &Checkpoint, age: Duration) -> Checkpoint {
    let mut aged = checkpoint.clone();
    for deferred in &mut aged.deferred {
        deferred.after = deferred.after.saturating_sub(age);
        // Where there was no attempt yet the lifetime has not begun.
        if deferred.tried.attempts > 0 {
            deferred.ttl_left = deferred.ttl_left.saturating_sub(age);
        }
    }
    aged
}
