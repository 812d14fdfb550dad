//! Copies what is tested out of `src/`, once as it is and once for each mutant.
//!
//! In a copy `std::sync` and `tokio::sync` are `crate::sync`, with shuttle's locks, and `crate` is the module of
//! the copy. A mutant replaces a text that must be there exactly once: when the source changes, the mutant has to.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

#[path = "mutants.rs"]
mod mutants;

use mutants::{MUTANTS, Mutant};

/// The source's path under `src/`, by the name that the layout below uses.
const SOURCES: &[(&str, &str)] = &[
    ("gate", "channel/gate.rs"),
    ("bucket", "sender/bucket.rs"),
    ("budget", "sender/budget.rs"),
    ("circuit", "sender/circuit.rs"),
    ("meter", "sender/meter.rs"),
    ("sender_origin", "sender/origin.rs"),
    ("shares", "sender/shares.rs"),
    ("stops", "sender/stops.rs"),
    ("config", "transport/hyper/config.rs"),
    ("lease", "transport/hyper/lease.rs"),
    ("pool_origin", "transport/hyper/origin.rs"),
];

/// Our files, which are a part of each copy that has them.
const FILES: &[&str] =
    &["schedules/gate.rs", "schedules/origins.rs", "schedules/pauses.rs", "schedules/pool.rs", "peer.rs"];

/// Where everything is in a copy; `{name}` stands for a source, `[name]` for the path of one of our files.
const ROOT: &str = "pub(crate) use crate::stand_ins::{
    BroadcastId, Endpoint, KeyId, Origin, ResponseDetail, SubscriptionId, Vendor,
};";
const SENDER: &str = r#"
pub(crate) mod telemetry { pub(crate) use crate::stand_ins::{Halt, Instruments, Service}; }
pub(crate) mod sender {
    mod bucket { {bucket} }
    mod budget { {budget} }
    mod circuit { {circuit} }
    pub(crate) mod meter { {meter} }
    pub(crate) mod origin { {sender_origin} }
    mod shares { {shares} }
    mod stops { {stops} }
    pub(crate) use self::bucket::{Bucket, Pace};
    pub(crate) use self::shares::Shares;
    pub(crate) use crate::stand_ins::later;
    #[path = "[schedules/pauses.rs]"] mod pauses;
    #[path = "[schedules/origins.rs]"] pub(crate) mod schedules;
}
"#;
const GATE: &str = r#"
pub(crate) mod channel {
    mod gate { {gate} }
    #[path = "[schedules/gate.rs]"] pub(crate) mod schedules;
}
"#;
const POOL: &str = r#"
pub(crate) mod transport {
    pub(crate) use crate::stand_ins::{TransportError, TransportErrorKind};
    pub(crate) mod target { pub(crate) use crate::stand_ins::OriginKey; }
    pub(crate) mod hyper {
        mod config { {config} }
        mod lease { {lease} }
        mod origin { {pool_origin} }
        #[path = "[peer.rs]"] mod peer;
        use self::peer::{connection, connector, error, io, opening};
        #[path = "[schedules/pool.rs]"] pub(crate) mod schedules;
    }
}
"#;

fn main() {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let mut copies = copy(&here, "as_it_is", None);
    let mut table = String::new();
    for mutant in MUTANTS {
        copies += &copy(&here, mutant.name, Some(mutant));
        let Mutant { name, source, .. } = mutant;
        writeln!(table, "(\"{name}\", &{name}::{}::schedules::CASES),", part_of(source).1)
            .expect("a string takes it");
    }
    writeln!(copies, "pub(crate) const MUTANTS: &[(&str, &[crate::explore::Case])] = &[{table}];")
        .expect("a string takes it");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("copies.rs");
    fs::write(out, copies).expect("the copies can be written");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=mutants.rs");
}

/// What a mutant of a source is compiled with, and the module whose schedules are to find it.
fn part_of(source: &str) -> (&'static [&'static str], &'static str) {
    match source {
        "gate" => (&[ROOT, SENDER, GATE], "channel"),
        "budget" | "circuit" | "meter" | "sender_origin" | "stops" => (&[ROOT, SENDER], "sender"),
        _ => (&[POOL], "transport::hyper"),
    }
}

/// The module of one copy.
fn copy(here: &Path, name: &str, mutant: Option<&Mutant>) -> String {
    let parts = mutant.map_or(&[ROOT, SENDER, GATE, POOL][..], |mutant| part_of(mutant.source).0);
    let mut layout = parts.concat();
    for (source, path) in SOURCES {
        let path = here.join("../../src").join(path);
        println!("cargo::rerun-if-changed={}", path.display());
        let mut text =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if let Some(Mutant { old, new, .. }) = mutant.filter(|mutant| mutant.source == *source) {
            assert_eq!(text.matches(old).count(), 1, "the mutant {name} replaces {old:?} in {source}");
            text = text.replace(old, new);
        }
        layout = layout.replace(&format!("{{{source}}}"), &adapted(&text, name));
    }
    for file in FILES {
        layout = layout.replace(&format!("[{file}]"), &here.join("src").join(file).display().to_string());
    }
    let mut module = String::new();
    writeln!(module, "pub(crate) mod {name} {{ {layout} }}").expect("a string takes it");
    module
}

/// The source without its tests and the documentation of the module.
fn adapted(text: &str, name: &str) -> String {
    let (text, _) = text.split_once("#[cfg(test)]\nmod tests {").unwrap_or((text, ""));
    let lines = text.lines().filter(|line| !line.starts_with("//!"));
    let text = lines.collect::<Vec<_>>().join("\n");
    text.replace("crate::", &format!("crate::copies::{name}::"))
        .replace("std::sync::", "crate::sync::")
        .replace("tokio::sync::", "crate::sync::")
}
