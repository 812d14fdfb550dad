use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use crate::{Marionette, MarionetteError};

mod error;
mod executable;
mod inside;
mod page;
mod preferences;
mod profile;

pub use self::error::FirefoxError;
pub use self::inside::Alert;
pub use self::page::Window;
pub use self::profile::Profile;

/// To start takes two seconds, and more where eight compilers run beside it.
const START: Duration = Duration::from_secs(60);
const QUIT: Duration = Duration::from_secs(30);
const BETWEEN: Duration = Duration::from_millis(20);

/// A running Firefox.
///
/// Dropping it kills the process; [`close`](Self::close) lets it save its subscriptions first.
#[derive(Debug)]
pub struct Firefox {
    session: Mutex<Marionette>,
    process: Mutex<Child>,
    profile: Arc<Profile>,
}

impl Firefox {
    /// Starts the browser that `FIREFOX` names, or `firefox-esr` or `firefox` from `PATH`, and waits until it answers.
    pub async fn start(profile: Arc<Profile>) -> Result<Self, FirefoxError> {
        let executable = executable::find()?;
        forget_port(&profile).map_err(FirefoxError::Start)?;
        let spawned = command(&executable, &profile).and_then(|mut command| command.spawn());
        let mut process = spawned.map_err(FirefoxError::Start)?;
        let port = wait_for_port(&profile, &mut process).await?;
        let session = Mutex::new(Marionette::connect(port).await?);
        Ok(Self { session, process: Mutex::new(process), profile })
    }

    /// The profile, with which another browser can start when this one is closed.
    #[must_use]
    pub const fn profile(&self) -> &Arc<Profile> {
        &self.profile
    }

    /// Ends the browser as its menu does, and waits for it.
    pub async fn close(&self) -> Result<(), FirefoxError> {
        self.session.lock().await.quit().await?;
        let mut process = self.process.lock().await;
        let ended = timeout(QUIT, process.wait()).await.map_err(|_| FirefoxError::StillRuns(QUIT))?;
        success(&self.profile, ended.map_err(FirefoxError::Start)?)
    }
}

fn command(executable: &Path, profile: &Profile) -> io::Result<Command> {
    let log = profile.open_log()?;
    let mut command = Command::new(executable);
    command
        .args(["--headless", "--no-remote", "--marionette", "--remote-allow-system-access", "--profile"])
        .arg(profile.path())
        .arg("about:blank")
        // The user's own home has other profiles, and may be somebody else's.
        .env("HOME", profile.path())
        .env("MOZ_CRASHREPORTER_DISABLE", "1")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true);
    Ok(command)
}

/// A profile that ran before still has the port of then.
fn forget_port(profile: &Profile) -> io::Result<()> {
    match fs::remove_file(profile.port_file()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

async fn wait_for_port(profile: &Profile, process: &mut Child) -> Result<u16, FirefoxError> {
    let deadline = Instant::now() + START;
    loop {
        // Empty for a moment after it was made.
        if let Some(port) =
            fs::read_to_string(profile.port_file()).ok().and_then(|text| text.trim().parse().ok())
        {
            return Ok(port);
        }
        if let Some(status) = process.try_wait().map_err(FirefoxError::Start)? {
            return Err(exited(profile, status));
        }
        if Instant::now() >= deadline {
            return Err(FirefoxError::Silent { after: START, log: profile.log_tail() });
        }
        sleep(BETWEEN).await;
    }
}

fn success(profile: &Profile, status: ExitStatus) -> Result<(), FirefoxError> {
    if status.success() { Ok(()) } else { Err(exited(profile, status)) }
}

fn exited(profile: &Profile, status: ExitStatus) -> FirefoxError {
    FirefoxError::Exited { status, log: profile.log_tail() }
}

/// A script's result that must be text.
fn text(value: &Value) -> Result<String, MarionetteError> {
    value.as_str().map(str::to_owned).ok_or_else(|| MarionetteError::unexpected("text", value))
}
