use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::Failure;

/// How long a thing may take that ought to happen at once, on a machine with other things to do.
pub const LIMIT: Duration = Duration::from_secs(30);
const BETWEEN: Duration = Duration::from_millis(50);

/// Asks until there is an answer, and fails when there is none after [`LIMIT`]. `what` completes the sentence
/// "there was no ...".
///
/// # Errors
///
/// The probe's own, at once, or that there was no answer.
pub async fn eventually<T>(
    what: &str,
    mut probe: impl AsyncFnMut() -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(answer) = probe().await? {
            return Ok(answer);
        }
        if Instant::now() >= deadline {
            return Err(format!("there was no {what} within {LIMIT:?}").into());
        }
        sleep(BETWEEN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn asks_again_until_there_is_an_answer() {
        let mut asked = 0;
        let answer = eventually("third answer", async || {
            asked += 1;
            Ok((asked == 3).then_some("yes"))
        });
        assert_eq!(answer.await.unwrap(), "yes");
    }

    #[tokio::test(start_paused = true)]
    async fn gives_up_and_says_what_was_missing() {
        let error = eventually::<()>("such thing", async || Ok(None)).await.unwrap_err();
        assert_eq!(error.to_string(), "there was no such thing within 30s");
    }

    #[tokio::test(start_paused = true)]
    async fn hands_an_error_on_at_once() {
        let began = Instant::now();
        let error = eventually::<()>("matter", async || Err("broken".into())).await.unwrap_err();
        assert_eq!(error.to_string(), "broken");
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
