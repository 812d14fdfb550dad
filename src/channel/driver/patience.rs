//! A store that cannot be reached for a moment does not end a broadcast.

use std::time::Duration;

use tokio::time::sleep;

use crate::store::StoreError;

/// Three seconds in all: a restarted database, a failover of a proxy.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
    Duration::from_millis(1600),
];

/// Asks until the answer is another than "not now", six times at most.
pub(in crate::channel) async fn patiently<T, F>(mut ask: impl FnMut() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    for pause in PAUSES {
        match ask().await {
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, "the store is asked again");
                sleep(pause).await;
            }
            answer => return answer,
        }
    }
    ask().await
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;
    use crate::store::StoreErrorKind;

    async fn asked(fails: u32, kind: StoreErrorKind) -> (bool, u32) {
        let mut times = 0;
        let answer = patiently(|| {
            times += 1;
            ready(if times <= fails { Err(StoreError::new(kind)) } else { Ok(()) })
        });
        (answer.await.is_ok(), times)
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_may_pass_is_asked_again_and_not_for_ever() {
        assert_eq!(asked(3, StoreErrorKind::Unavailable).await, (true, 4));
        assert_eq!(asked(99, StoreErrorKind::Unavailable).await, (false, 6));
        assert_eq!(asked(1, StoreErrorKind::Backend).await, (false, 1));
    }
}
