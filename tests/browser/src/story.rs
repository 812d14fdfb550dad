use std::any::Any;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::{Failure, Firefox, Profile, Window, artefacts};

/// Browsers at a time: each takes a core and half a gigabyte.
static SEATS: Semaphore = Semaphore::const_new(2);

/// A test in steps, with its browsers.
#[derive(Debug)]
pub struct Story {
    name: &'static str,
    step: &'static str,
    began: Instant,
    artefacts: PathBuf,
    browsers: Vec<Arc<Firefox>>,
    _seats: SemaphorePermit<'static>,
}

/// Runs a story that needs this many browsers at a time (two at most), and ends them. If it fails, or panics, what the
/// browsers show and what they logged is saved first, and the panic names the step.
///
/// # Panics
///
/// When the story fails.
pub async fn tell(
    name: &'static str,
    browsers: u32,
    body: impl AsyncFnOnce(&mut Story) -> Result<(), Failure>,
) {
    let mut story = Story::new(name, browsers).await.expect("the directory of artefacts can be made");
    // Nothing of the story is used afterwards but its browsers, which are other processes.
    let told = AssertUnwindSafe(body(&mut story)).catch_unwind().await;
    let failure = match told {
        Ok(Ok(())) => match story.close().await {
            Ok(()) => return,
            Err(error) => error,
        },
        Ok(Err(error)) => error,
        Err(panic) => panic_text(panic.as_ref()).into(),
    };
    let evidence = story.save_evidence().await;
    let text = format!("{name}, step {:?}: {}\n{evidence}", story.step, chain(failure.as_ref()));
    // The place in this file and the way to it tell nobody anything.
    eprintln!("{text}");
    resume_unwind(Box::new(text));
}

impl Story {
    async fn new(name: &'static str, browsers: u32) -> Result<Self, Failure> {
        let seats = SEATS.acquire_many(browsers).await?;
        let artefacts = artefacts::make_directory(name)?;
        Ok(Self {
            name,
            step: "start",
            began: Instant::now(),
            artefacts,
            browsers: Vec::new(),
            _seats: seats,
        })
    }

    /// What comes next, for whoever reads that it failed.
    pub fn step(&mut self, step: &'static str) {
        self.step = step;
        println!("{:>6.2} s  {}: {step}", self.began.elapsed().as_secs_f32(), self.name);
    }

    /// Starts a browser with a new profile, whose pushes come from this WebSocket.
    pub async fn browser(&mut self, name: &str, push_server: &str) -> Result<Arc<Firefox>, Failure> {
        let profile = Profile::new(name, push_server, &self.artefacts)?;
        self.start(Arc::new(profile)).await
    }

    /// Ends a browser; what it returns another one can [`start`](Self::start) with.
    pub async fn end(&mut self, browser: &Arc<Firefox>) -> Result<Arc<Profile>, Failure> {
        self.browsers.retain(|other| !Arc::ptr_eq(other, browser));
        browser.close().await?;
        Ok(Arc::clone(browser.profile()))
    }

    /// Starts a browser with a profile that ran before.
    pub async fn start(&mut self, profile: Arc<Profile>) -> Result<Arc<Firefox>, Failure> {
        let browser = Arc::new(Firefox::start(profile).await?);
        self.browsers.push(Arc::clone(&browser));
        Ok(browser)
    }

    /// Keeps pictures of what a browser shows, on a laptop and on a phone, as `NAME-wide.png` and `NAME-phone.png`.
    pub async fn picture(&self, browser: &Firefox, name: &str) -> Result<(), Failure> {
        for (window, suffix) in [(Window::Phone, "phone"), (Window::Wide, "wide")] {
            browser.resize(window).await?;
            fs::write(self.artefacts.join(format!("{name}-{suffix}.png")), browser.picture().await?)?;
        }
        Ok(())
    }

    /// Where this story's files are.
    #[must_use]
    pub fn artefacts(&self) -> &Path {
        &self.artefacts
    }

    async fn close(&mut self) -> Result<(), Failure> {
        for browser in self.browsers.drain(..) {
            browser.close().await?;
        }
        Ok(())
    }

    /// What could be saved, and why something could not.
    async fn save_evidence(&self) -> String {
        let mut found = format!("see {}", self.artefacts.display());
        for browser in &self.browsers {
            let name = browser.profile().name();
            if let Err(error) = self.save_evidence_of(browser).await {
                write!(found, "\nof the browser {name} there is only the log: {}", chain(error.as_ref()))
                    .expect("text takes everything");
            }
        }
        found
    }

    async fn save_evidence_of(&self, browser: &Firefox) -> Result<(), Failure> {
        let name = browser.profile().name();
        fs::write(self.artefacts.join(format!("{name}-failed.console")), browser.console().await?)?;
        self.picture(browser, &format!("{name}-failed")).await
    }
}

/// An error with its causes.
fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it panicked".to_owned())
}
