//! Makes, shows and converts VAPID keys.
//!
//! ```text
//! cargo run --example vapid -- generate --out vapid.pem
//! cargo run --example vapid -- public vapid.pem
//! cargo run --example vapid -- convert --to raw vapid.pem
//! ```

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lexopt::prelude::*;
use webpush_channels::engine::vapid::{SecretText, VapidKey};

const USAGE: &str = "\
Usage: vapid generate [--out FILE]
       vapid public FILE
       vapid convert --to pkcs8|sec1|raw|jwk|pair [--out FILE] FILE

generate  makes a key: to FILE (mode 0600, never overwritten) and shows the public key,
          or to the standard output without --out
public    shows the public key of a key file: the applicationServerKey of the page
convert   writes a key in another form: PKCS#8 PEM, SEC1 PEM, base64url, JWK, or the pair
          as JSON that the JavaScript library web-push prints

FILE may be any of these, DER, or 32 octets as they are; - is the standard input.
";

fn main() -> ExitCode {
    match run(std::env::args_os().skip(1), &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprint!("{failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Runs one command; what it prints goes to `out`.
pub(crate) fn run(args: impl IntoIterator<Item = OsString>, out: &mut dyn Write) -> Result<(), Failure> {
    match Command::parse(args)? {
        Command::Help => write!(out, "{USAGE}").map_err(Failure::new("cannot write"))?,
        Command::Generate { to } => {
            let key = VapidKey::generate().map_err(Failure::new("cannot make a key"))?;
            let public = key.application_server_key();
            save(&key.to_pkcs8_pem(), to.as_deref(), out)?;
            // Beside a key on the standard output, the public one would damage the file.
            if to.is_some() {
                writeln!(out, "{public}").map_err(Failure::new("cannot write"))?;
            }
        }
        Command::Public { file } => {
            writeln!(out, "{}", load(&file)?.application_server_key())
                .map_err(Failure::new("cannot write"))?;
        }
        Command::Convert { file, form, to } => save(&form.of(&load(&file)?), to.as_deref(), out)?,
    }
    Ok(())
}

enum Command {
    Convert { file: PathBuf, form: Form, to: Option<PathBuf> },
    Generate { to: Option<PathBuf> },
    Help,
    Public { file: PathBuf },
}

impl Command {
    fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, Failure> {
        let (mut words, mut form, mut to) = (Vec::new(), None, None);
        let mut parser = lexopt::Parser::from_args(args);
        while let Some(arg) = parser.next()? {
            match arg {
                Short('h') | Long("help") => return Ok(Self::Help),
                Long("to") => form = Some(parser.value()?.parse_with(Form::parse)?),
                Short('o') | Long("out") => to = Some(parser.value()?.into()),
                Value(word) => words.push(word),
                _ => return Err(arg.unexpected().into()),
            }
        }
        let mut words = words.into_iter();
        let (name, file, more) = (words.next(), words.next(), words.next());
        let name = name.as_deref().and_then(|name| name.to_str()).unwrap_or_default();
        match (name, file.map(PathBuf::from), form, to, more) {
            ("generate", None, None, to, None) => Ok(Self::Generate { to }),
            ("public", Some(file), None, None, None) => Ok(Self::Public { file }),
            ("convert", Some(file), Some(form), to, None) => Ok(Self::Convert { file, form, to }),
            _ => Err(Failure::Usage("vapid: expected one of these commands".into())),
        }
    }
}

enum Form {
    Jwk,
    Pair,
    Pkcs8,
    Raw,
    Sec1,
}

impl Form {
    fn parse(name: &str) -> Result<Self, &'static str> {
        match name {
            "jwk" => Ok(Self::Jwk),
            "pair" => Ok(Self::Pair),
            "pkcs8" => Ok(Self::Pkcs8),
            "raw" => Ok(Self::Raw),
            "sec1" => Ok(Self::Sec1),
            _ => Err("expected pkcs8, sec1, raw, jwk or pair"),
        }
    }

    fn of(&self, key: &VapidKey) -> SecretText {
        match self {
            Self::Jwk => key.to_jwk(),
            Self::Pair => key.to_json_pair(),
            Self::Pkcs8 => key.to_pkcs8_pem(),
            Self::Raw => key.to_base64url(),
            Self::Sec1 => key.to_sec1_pem(),
        }
    }
}

fn load(file: &Path) -> Result<VapidKey, Failure> {
    let octets = if file == Path::new("-") {
        let mut octets = Vec::new();
        io::stdin().read_to_end(&mut octets).map(|_| octets)
    } else {
        fs::read(file)
    };
    let octets = octets.map_err(Failure::new(format!("cannot read {}", file.display())))?;
    VapidKey::from_octets(&octets).map_err(Failure::new(format!("cannot use {}", file.display())))
}

fn save(key: &SecretText, to: Option<&Path>, out: &mut dyn Write) -> Result<(), Failure> {
    let line_end = if key.expose().ends_with('\n') { "" } else { "\n" };
    let Some(file) = to else {
        return write!(out, "{}{line_end}", key.expose()).map_err(Failure::new("cannot write"));
    };
    let failed = Failure::new(format!("cannot write {}", file.display()));
    let mut options = OpenOptions::new();
    // A key that subscriptions are bound to is never overwritten.
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file).and_then(|mut file| write!(file, "{}{line_end}", key.expose())).map_err(failed)
}

#[derive(Debug)]
pub(crate) enum Failure {
    Failed(String, Box<dyn Error>),
    Usage(String),
}

impl Failure {
    fn new<E: Error + 'static>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        move |cause| Self::Failed(what.into(), Box::new(cause))
    }

    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(..) => 1,
            Self::Usage(_) => 2,
        }
    }
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Self::Usage(format!("vapid: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(what, cause) => writeln!(f, "vapid: {what}: {cause}"),
            Self::Usage(what) => write!(f, "{what}\n\n{USAGE}"),
        }
    }
}
