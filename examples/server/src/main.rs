//! The channels service as a programme: see `--help` and docs/service.md.

mod chain;

use std::io::Write;
use std::process::ExitCode;

use webpush_channels_server::auth::Basic;
use webpush_channels_server::{Service, Settings, SettingsError};

use chain::Chain;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => match error.downcast::<SettingsError>().map(|error| *error) {
            // Help and the version are among them, and go to the standard output.
            Ok(SettingsError::Flags(error)) => {
                let _ = error.print();
                ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
            }
            Ok(error) => failed(&error),
            Err(error) => failed(&*error),
        },
    }
}

fn failed(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("webpush-channels-server: {}", Chain(error));
    ExitCode::FAILURE
}

fn run() -> Result<()> {
    let mut arguments: Vec<_> = std::env::args_os().collect();
    if arguments.get(1).is_some_and(|argument| argument == "user-id") {
        arguments.remove(1);
        return user_id(&Settings::parse(arguments)?);
    }
    let settings = Settings::parse(arguments)?;
    tracing_subscriber::fmt().with_max_level(settings.log).with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(settings))
}

async fn serve(settings: Settings) -> Result<()> {
    // First: who reads that it listens may stop it at once.
    let interrupted = interruption()?;
    let service = Service::start(settings).await?;
    println!("listening on {}", service.url());
    std::io::stdout().flush()?;
    tokio::select! {
        () = interrupted => tracing::info!("shutting down"),
        () = service.failed() => {}
    }
    service.shutdown().await?;
    Ok(())
}

/// Reads `user:password`, so that it stands in no history and no list of processes.
fn user_id(settings: &Settings) -> Result<()> {
    let secret = settings.auth.basic.as_deref();
    let secret =
        secret.ok_or("basic authentication is off: the id of a bearer token is bearer: and its user")?;
    let mut pair = String::new();
    std::io::stdin().read_line(&mut pair)?;
    println!("{}", Basic::new(secret).user_id(pair.trim_end_matches(['\r', '\n'])));
    Ok(())
}

/// SIGINT or SIGTERM, from now on.
#[cfg(unix)]
fn interruption() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Ctrl-C, from now on.
#[cfg(windows)]
fn interruption() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        interrupt.recv().await;
    })
}
