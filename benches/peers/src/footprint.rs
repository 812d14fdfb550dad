//! Two programs that send one message, with this crate and with web-push: what their building costs, how large they
//! are, and how long it takes from the start of the process until the push service has accepted the push.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Result;
use crate::measure::{self, Service};
use crate::options::Options;
use crate::sample::{Footprint, Measured};
use crate::setup;
use crate::system::{self, Account, Cores};

pub(crate) const PROGRAMS: [&str; 2] = ["first-push-channels", "first-push-web-push"];
/// What `cargo build --release` is where nothing is set.
const PROFILE: &str = "plain";
/// Builds what is not built, each from nothing, and says where the programs are.
pub(crate) fn build(options: &Options, measured: &mut Measured) -> Result<[PathBuf; 2]> {
    let kept = options.directory.join("programs");
    fs::create_dir_all(&kept)?;
    for name in &PROGRAMS[measured.footprints.len()..] {
        let program = kept.join(name);
        let build = if options.smoke {
            // It was built with this program.
            fs::copy(std::env::current_exe()?.with_file_name(name), &program)?;
            None
        } else {
            eprintln!("building {name} from nothing");
            Some(build_clean(name, &options.directory.join("clean"), &program)?)
        };
        measured.footprints.push(Footprint {
            dependencies: dependencies(name)?,
            build,
            octets: fs::metadata(&program)?.len(),
            stripped: stripped(&program)?,
            starts: Vec::new(),
        });
        measured.keep()?;
    }
    Ok(PROGRAMS.map(|name| kept.join(name)))
}

/// Seconds, elapsed and of CPU time.
fn build_clean(name: &str, target: &Path, program: &Path) -> Result<(f64, f64)> {
    remove(target)?;
    // Downloads do not count.
    cargo(&["fetch", "--quiet", "--locked"])?;
    let directory = target.to_str().ok_or("the path is no text")?;
    let (began, cpu) = (system::now(), system::cpu_of_children()?);
    cargo(&[
        "build",
        "--quiet",
        "--locked",
        "--offline",
        "-p",
        name,
        "--profile",
        PROFILE,
        "--target-dir",
        directory,
    ])?;
    let took = (began.elapsed(), system::cpu_of_children()?.saturating_sub(cpu));
    fs::copy(target.join(PROFILE).join(name), program)?;
    remove(target)?;
    Ok((took.0.as_secs_f64(), took.1.as_secs_f64()))
}

/// Starts both by turns.
pub(crate) fn start(
    options: &Options,
    programs: &[PathBuf; 2],
    service: &mut Service,
    cores: Cores,
    measured: &mut Measured,
) -> Result<()> {
    let times = if options.smoke { 1 } else { 20 };
    if measured.footprints.iter().all(|footprint| footprint.starts.len() == times) {
        return Ok(());
    }
    eprintln!("starting both {times} times");
    for footprint in &mut measured.footprints {
        footprint.starts.clear();
    }
    for turn in 0..=times {
        for (program, footprint) in programs.iter().zip(&mut measured.footprints) {
            let took = first_push(program, &options.directory, cores)?;
            service.arrived(1)?;
            // The first only brings the programs into memory.
            if turn > 0 {
                footprint.starts.push(took);
            }
        }
    }
    measured.keep()
}

/// Microseconds until the push was accepted: elapsed, and of CPU time.
fn first_push(program: &Path, directory: &Path, cores: Cores) -> Result<(f64, f64)> {
    let mut command = Command::new(program);
    command.args([setup::subscription(directory), setup::key_pem(directory), setup::authority(directory)]);
    measure::trust(&mut command, &setup::authority(directory));
    let mut command = system::on(cores.sender, &command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let began = system::now();
    let mut child = command.spawn()?;
    // It says a word when the push is accepted, and waits for another one.
    let said = child.stdout.take().expect("it is piped").read_exact(&mut [0]);
    let elapsed = began.elapsed();
    let used = Account::of(child.id())?.total();
    drop(child.stdin.take());
    let status = child.wait()?;
    if said.is_err() || !status.success() {
        return Err(format!("{} sent nothing: {status}", program.display()).into());
    }
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    Ok((micros(elapsed), micros(used)))
}

/// Crates that are in the program, itself aside.
fn dependencies(name: &str) -> Result<usize> {
    let tree = ["tree", "--quiet", "--locked", "-p", name, "-e", "normal", "--prefix", "none", "--no-dedupe"];
    let output = command(&tree).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("cargo tree: {}", output.status).into());
    }
    let text = String::from_utf8(output.stdout)?;
    let names: BTreeSet<_> = text.lines().filter(|line| !line.is_empty()).collect();
    Ok(names.len().saturating_sub(1))
}

fn stripped(program: &Path) -> Result<u64> {
    let to = program.with_extension("stripped");
    let status = Command::new("strip").arg("-o").arg(&to).arg(program).status();
    let status = status.map_err(|error| format!("strip does not start (Debian: binutils): {error}"))?;
    if status.success() { Ok(fs::metadata(to)?.len()) } else { Err(format!("strip: {status}").into()) }
}

fn cargo(arguments: &[&str]) -> Result<()> {
    let status = command(arguments).status()?;
    if status.success() { Ok(()) } else { Err(format!("cargo {}: {status}", arguments[0]).into()) }
}

/// In the directory of this package, whose members the programs are.
fn command(arguments: &[&str]) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    cargo
}

fn remove(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
