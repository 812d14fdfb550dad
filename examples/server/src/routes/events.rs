//! `GET /v0/broadcasts/{id}/events`: a broadcast's progress as it happens, as server-sent events.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream, StreamExt};
use http::HeaderName;
use webpush_channels::{BroadcastState, Report};

pub(crate) use self::places::Places;
use super::broadcasts::{Published, find};
use super::segment::Broadcast;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::state::App;

mod places;

/// How often a broadcast is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// How often something is sent where nothing happens, so that nobody on the way takes the connection for dead.
const ALIVE: Duration = Duration::from_secs(15);

/// Some proxies collect a response before they pass it on, unless they are asked not to.
static UNBUFFERED: (HeaderName, &str) = (HeaderName::from_static("x-accel-buffering"), "no");

/// Ends after the broadcast, with its client, and with the service.
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    Broadcast(id): Broadcast,
) -> Result<impl IntoResponse, ApiError> {
    let (published, first) = find(&app, &user, &id).await?;
    let place = app.streams.take(&user).ok_or_else(ApiError::unavailable)?;
    let stopped = crate::wait(app.stopped.clone());
    let look = move || {
        let (app, user, id) = (Arc::clone(&app), user.clone(), id.clone());
        async move { find(&app, &user, &id).await.map(|(_, report)| report) }
    };
    let events = told(first, look, stopped).map(move |told| {
        // The place is given back with the stream.
        let _ = &place;
        Ok::<_, Infallible>(told.event(&published))
    });
    Ok(([UNBUFFERED.clone()], Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE))))
}

/// What a client is told.
#[derive(Debug)]
enum Told {
    Progress(Box<Report>),
    End(Box<Report>),
    Error(ApiError),
}

impl Told {
    fn event(&self, published: &Published) -> Event {
        let (name, data) = match self {
            Self::Progress(report) => ("progress", published.describe(report)),
            Self::End(report) => ("end", published.describe(report)),
            Self::Error(error) => ("error", error.to_json()),
        };
        Event::default().event(name).data(data.to_string())
    }
}

/// A report at once, and whenever `look` finds a new one, until the broadcast ends, `look` fails or the service stops.
fn told<F>(
    first: Report,
    look: impl Fn() -> F + Send,
    stopped: impl Future<Output = ()> + Send + 'static,
) -> impl Stream<Item = Told> + Send
where
    F: Future<Output = Result<Report, ApiError>> + Send,
{
    let watch = Watch { look, stopped: Box::pin(stopped), next: Next::First(Box::new(first)) };
    stream::unfold(watch, Watch::told)
}

/// One client that watches one broadcast.
struct Watch<L> {
    look: L,
    stopped: Pin<Box<dyn Future<Output = ()> + Send>>,
    next: Next,
}

/// What the client gets next.
enum Next {
    /// The report that the stream begins with.
    First(Box<Report>),
    /// Whatever differs from this.
    Change(Box<Report>),
    /// The last word.
    End(Box<Report>),
    /// Nothing.
    Close,
}

impl<L, F> Watch<L>
where
    L: Fn() -> F,
    F: Future<Output = Result<Report, ApiError>>,
{
    async fn told(mut self) -> Option<(Told, Self)> {
        let told = match std::mem::replace(&mut self.next, Next::Close) {
            Next::First(report) => self.progress(report),
            Next::Change(seen) => match self.change(&seen).await? {
                Ok(report) if ended(&report) => Told::End(report),
                Ok(report) => self.progress(report),
                Err(error) => Told::Error(error),
            },
            Next::End(report) => Told::End(report),
            Next::Close => return None,
        };
        Some((told, self))
    }

    fn progress(&mut self, report: Box<Report>) -> Told {
        let next = report.clone();
        self.next = if ended(&next) { Next::End(next) } else { Next::Change(next) };
        Told::Progress(report)
    }

    /// Waits for a report that tells something new; `None` when the service ends first.
    async fn change(&mut self, seen: &Report) -> Option<Result<Box<Report>, ApiError>> {
        loop {
            tokio::select! {
                () = &mut self.stopped => return None,
                () = tokio::time::sleep(LOOK) => {}
            }
            match (self.look)().await {
                Ok(report) if is_news(seen, &report) => return Some(Ok(Box::new(report))),
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

fn ended(report: &Report) -> bool {
    report.state != BroadcastState::Running
}

/// That time passed is no news.
fn is_news(seen: &Report, report: &Report) -> bool {
    let mut now = report.clone();
    now.elapsed = seen.elapsed;
    *seen != now
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use super::*;

    fn running(read: u64) -> Report {
        let mut report = Report::default();
        (report.read, report.elapsed) = (read, Duration::from_secs(read));
        report
    }

    fn finished(read: u64) -> Report {
        let mut report = running(read);
        report.state = BroadcastState::Finished;
        report
    }

    /// What is told where these are the reports, in words.
    async fn words(
        reports: impl IntoIterator<Item = Result<Report, ApiError>>,
        stopped: impl Future<Output = ()> + Send + 'static,
    ) -> Vec<String> {
        let reports = Mutex::new(reports.into_iter().collect::<VecDeque<_>>());
        let next = || reports.lock().unwrap().pop_front().expect("the stream ended before");
        let first = next().unwrap();
        let word = |told| match told {
            Told::Progress(report) => format!("progress {}", report.read),
            Told::End(report) => format!("end {}", report.read),
            Told::Error(error) => format!("error {}", error.status().as_u16()),
        };
        told(first, || std::future::ready(next()), stopped).map(word).collect().await
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_new_is_told_once_and_the_end_ends_it() {
        let mut later = running(1);
        later.elapsed += LOOK;
        let reports = [running(1), running(1), later, running(2), running(3), running(3), finished(3)];
        let began = tokio::time::Instant::now();
        let told = words(reports.map(Ok), std::future::pending()).await;
        assert_eq!(told, ["progress 1", "progress 2", "progress 3", "end 3"]);
        assert_eq!(began.elapsed(), 6 * LOOK);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_has_ended_is_told_at_once() {
        let began = tokio::time::Instant::now();
        let told = words([Ok(finished(7))], std::future::pending()).await;
        assert_eq!((told, began.elapsed()), (vec!["progress 7".into(), "end 7".into()], Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn trouble_is_told_and_ends_it() {
        let told = words([Ok(running(1)), Err(ApiError::unavailable())], std::future::pending()).await;
        assert_eq!(told, ["progress 1", "error 503"]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_services_end_ends_it() {
        let began = tokio::time::Instant::now();
        let stopped = tokio::time::sleep(LOOK / 2);
        assert_eq!(words([Ok(running(1))], stopped).await, ["progress 1"]);
        assert_eq!(began.elapsed(), LOOK / 2);
    }
}
