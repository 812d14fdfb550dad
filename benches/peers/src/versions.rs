//! What the figures belong to: machine and versions.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::Result;
use crate::options::Options;

#[derive(Clone, Debug)]
pub(crate) struct Versions {
    pub(crate) machine: String,
    pub(crate) software: String,
}

impl Versions {
    pub(crate) fn find(options: &Options) -> Result<Self> {
        Ok(Self { machine: machine()?, software: software(options)? })
    }
}

fn machine() -> Result<String> {
    let info = fs::read_to_string("/proc/cpuinfo")?;
    let model =
        info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|it| it.1);
    let cores = info.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let load = fs::read_to_string("/proc/loadavg")?;
    let load = load.split(' ').next().unwrap_or_default();
    let today = said(Command::new("date").arg("+%Y-%m-%d"))?;
    let model = model.unwrap_or("unknown processor");
    Ok(format!("{model}, {cores} cores, Linux {}, load average at the end {load}; {today}", kernel.trim()))
}

fn software(options: &Options) -> Result<String> {
    let node = said(
        Command::new("node").args(["-p", "`node ${process.version} (OpenSSL ${process.versions.openssl})`"]),
    )?;
    let pinned = fs::read_to_string(options.node_modules.join("web-push/package.json"))?;
    let pinned: serde_json::Value = serde_json::from_str(&pinned)?;
    let python = said(Command::new(&options.python).args(["-c", PYTHON]))?;
    let mut parts = vec![said(Command::new("rustc").arg("--version"))?];
    for crate_name in
        ["aws-lc-rs", "p256", "web-push", "isahc", "web-push-native", "jwt-simple", "reqwest", "ece"]
    {
        parts.push(format!("{crate_name} {}", locked(crate_name)?));
    }
    parts.push(format!("{} for web-push and ece", openssl::version::version()));
    parts.push(node);
    parts.push(format!("its web-push {}", pinned["version"].as_str().unwrap_or("of an unknown version")));
    parts.push(python);
    Ok(parts.join(", "))
}

const PYTHON: &str = "
import importlib.metadata, platform
from cryptography.hazmat.backends.openssl import backend
name = lambda it: f'{it} {importlib.metadata.version(it)}'
openssl = backend.openssl_version_text().split(' ')
print(f'Python {platform.python_version()}', name('pywebpush'), name('requests'),
      f\"{name('cryptography')} ({openssl[0]} {openssl[1]})\", sep=', ')
";

/// The newest of the versions in the lock file: that which this package asks for.
fn locked(name: &str) -> Result<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
    let text = fs::read_to_string(file)?;
    let entry = format!("name = \"{name}\"\nversion = \"");
    let found = text.split(&entry).skip(1).filter_map(|rest| rest.split('"').next()).last();
    Ok(found.ok_or_else(|| format!("{name} is not in the lock file"))?.to_owned())
}

fn said(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if !output.status.success() {
        return Err(format!("{}: {}", command.get_program().display(), output.status).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
