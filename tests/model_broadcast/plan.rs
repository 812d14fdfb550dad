//! What a case is made of, drawn from its seed: who is there, how push services behave, what fails when.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::ops::Range;
use std::time::Duration;

use webpush_channels::channel::Limits;
use webpush_channels::transport::{Processed, TransportErrorKind};

/// How a push service behaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Manner {
    Fine,
    /// Everything that there is.
    Mixed,
    /// 429, until some time after the start.
    Busy {
        after: u64,
        until: u64,
    },
    /// No connection.
    Dead,
    /// Never an answer: the transport's own timeout ends it.
    Silent,
    /// Every answer after seconds.
    Slow,
    /// Half of its subscriptions are gone.
    Gone,
    /// It refuses our tokens.
    Refusing,
    /// The connection breaks when the request is out.
    Torn,
    /// It takes small bodies only.
    Small,
    /// 201 and 503 in turns of seconds.
    Flapping,
}

const MANNERS: [Manner; 15] = [
    Manner::Fine,
    Manner::Fine,
    Manner::Mixed,
    Manner::Mixed,
    Manner::Mixed,
    Manner::Busy { after: 7, until: 20 },
    Manner::Busy { after: 60, until: 3000 },
    Manner::Dead,
    Manner::Silent,
    Manner::Slow,
    Manner::Gone,
    Manner::Refusing,
    Manner::Torn,
    Manner::Small,
    Manner::Flapping,
];

/// What a push service answers.
#[derive(Clone, Copy, Debug)]
pub enum Reply {
    Status(u16),
    After(u16, u64),
    Mismatch,
    Fails(TransportErrorKind, Processed),
}

/// What goes wrong with one call of the store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    NotDone,
    AnswerLost,
    Slow(Duration),
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub manners: Vec<Manner>,
    /// How many subscriptions each user has.
    pub users: Vec<usize>,
    /// From this user on they come, go, change and move.
    pub volatile: usize,
    pub limits: Limits,
    pub per_origin: usize,
    pub attempts: u8,
    pub ttl: u32,
    pub send_within: Duration,
    pub collapses: bool,
    pub fallback: bool,
    /// Of a hundred calls of the store so many go wrong.
    pub faults: u64,
    /// The store cannot be reached.
    pub away: Option<Range<Duration>>,
    /// The call of this number fails for good.
    pub fatal: Option<usize>,
    /// The encryptor fails or panics for some.
    pub odd: Option<bool>,
    /// Jumps of the wall clock: when, and by how many seconds.
    pub jumps: Vec<(Duration, i64)>,
    /// The machine sleeps: when, and for how long.
    pub naps: Vec<(Duration, Duration)>,
    /// Origins whose removals are withheld.
    pub withholding: HashSet<String>,
    /// The clock is the machine's: what is written down is late by some milliseconds, and things happen at once.
    pub real: bool,
    /// The longest pause after the first failure.
    pub backoff: Duration,
}

pub fn rng(parts: impl Hash) -> fastrand::Rng {
    let mut hash = DefaultHasher::new();
    parts.hash(&mut hash);
    fastrand::Rng::with_seed(hash.finish())
}

fn millis(rng: &mut fastrand::Rng, range: Range<u64>) -> Duration {
    Duration::from_millis(rng.u64(range))
}

impl Plan {
    pub fn draw(seed: u64) -> Self {
        let rng = &mut rng((seed, "plan"));
        let origins = rng.usize(1..7);
        let manners: Vec<_> = (0..origins).map(|_| MANNERS[rng.usize(0..MANNERS.len())]).collect();
        let users: Vec<_> = (0..rng.usize(1..24)).map(|_| rng.usize(0..4)).collect();
        let volatile = if rng.bool() { users.len() } else { rng.usize(0..=users.len()) };
        let window = [1, 2, 3, 7, 16, 64][rng.usize(0..6)];
        let in_flight = [1, 2, 5, 16, 200][rng.usize(0..5)];
        let limits = Limits::default()
            .with_window(window)
            .with_in_flight(in_flight)
            .with_deferred([0, 1, 5, 1000][rng.usize(0..4)])
            .with_encryption_threads(0);
        let send_within = [5, 60, 600, 3600, 7200][rng.usize(0..5)];
        let withholding = (0..origins).filter(|_| rng.u8(0..4) == 0).map(host).collect();
        Self {
            seed,
            manners,
            users,
            volatile,
            limits,
            per_origin: [1, 2, 8, 100][rng.usize(0..4)],
            attempts: rng.u8(1..7),
            ttl: [0, 1, 30, 600, 3600, 86_400][rng.usize(0..6)],
            send_within: Duration::from_secs(send_within),
            collapses: rng.bool(),
            fallback: rng.bool(),
            faults: [0, 0, 3, 10, 20][rng.usize(0..5)],
            away: (rng.u8(0..4) == 0).then(|| {
                let from = millis(rng, 0..20_000);
                from..from + millis(rng, 100..12_000)
            }),
            fatal: (rng.u8(0..8) == 0).then(|| rng.usize(0..30)),
            odd: (rng.u8(0..6) == 0).then(|| rng.bool()),
            jumps: jumps(rng),
            naps: naps(rng),
            withholding,
            real: false,
            backoff: Duration::from_secs(1),
        }
    }

    /// Nothing but the answers goes wrong, and everybody stays.
    pub fn calm(mut self) -> Self {
        self.volatile = self.users.len();
        (self.faults, self.away, self.fatal, self.odd) = (0, None, None, None);
        self.jumps.clear();
        self.naps.clear();
        self
    }

    /// In real time, on several threads: nothing that waits for seconds.
    pub fn quick(self) -> Self {
        const QUICK: [Manner; 4] = [Manner::Fine, Manner::Gone, Manner::Torn, Manner::Small];
        let mut plan = Self { real: true, backoff: Duration::from_millis(5), ..self.calm() };
        let rng = &mut rng((plan.seed, "quick"));
        plan.manners.iter_mut().for_each(|manner| *manner = QUICK[rng.usize(0..QUICK.len())]);
        plan.limits = plan.limits.with_encryption_threads(2);
        plan.faults = [0, 5, 15][rng.usize(0..3)];
        (plan.send_within, plan.ttl) = (Duration::from_secs(3600), 3600);
        plan
    }

    /// How late something may be written down.
    pub const fn slack(&self) -> Duration {
        if self.real { Duration::from_millis(500) } else { Duration::ZERO }
    }

    pub fn manner(&self, origin: &str) -> Manner {
        let number = origin.trim_start_matches("https://o").split('.').next().unwrap_or_default();
        number.parse::<usize>().map_or(Manner::Fine, |number| self.manners[number % self.manners.len()])
    }

    pub fn fault(&self, call: usize) -> Option<Fault> {
        let mut rng = rng((self.seed, "fault", call));
        if rng.u64(0..100) >= self.faults {
            return None;
        }
        Some(match rng.u8(0..3) {
            0 => Fault::NotDone,
            1 => Fault::AnswerLost,
            _ => Fault::Slow(millis(&mut rng, 1..900)),
        })
    }

    /// What comes of the `nth` request (from 0) of a broadcast to a URL, and after how long. `age` is
    /// for how long the world is there.
    pub fn reply(
        &self,
        uri: &str,
        broadcast: usize,
        nth: usize,
        len: usize,
        age: Duration,
    ) -> (Duration, Reply) {
        let rng = &mut rng((self.seed, uri, broadcast, nth));
        let soon = Duration::from_millis([0, 0, 1, 40, 300][rng.usize(0..5)]);
        let ok = (soon, Reply::Status(201));
        match self.manner(&super::record::origin(uri)) {
            Manner::Mixed => mixed(rng),
            Manner::Busy { after, until } if age < Duration::from_secs(until) => {
                (soon, Reply::After(429, after))
            }
            Manner::Dead => (soon, Reply::Fails(TransportErrorKind::Connect, Processed::No)),
            Manner::Silent => {
                (Duration::from_secs(30), Reply::Fails(TransportErrorKind::Timeout, Processed::Unknown))
            }
            Manner::Slow => (millis(rng, 1000..9000), Reply::Status(201)),
            Manner::Gone if uri.len().is_multiple_of(2) || nth > 0 => {
                (soon, Reply::Status([404, 410][rng.usize(0..2)]))
            }
            Manner::Refusing => (soon, Reply::Status([401, 403][rng.usize(0..2)])),
            Manner::Torn if rng.bool() => {
                (soon, Reply::Fails(TransportErrorKind::Interrupted, Processed::Unknown))
            }
            Manner::Small if len > 400 => (soon, Reply::Status(413)),
            Manner::Flapping if (age.as_secs() / 3).is_multiple_of(2) => (soon, Reply::After(503, 1)),
            _ => ok,
        }
    }
}

fn jumps(rng: &mut fastrand::Rng) -> Vec<(Duration, i64)> {
    let jump = [-400_000, -90_000, -4000, -60, 60, 4000, 90_000, 400_000];
    let count = if rng.bool() { 0 } else { rng.usize(1..4) };
    (0..count).map(|_| (millis(rng, 0..30_000), jump[rng.usize(0..jump.len())])).collect()
}

fn naps(rng: &mut fastrand::Rng) -> Vec<(Duration, Duration)> {
    let count = if rng.u8(0..4) > 0 { 0 } else { rng.usize(1..3) };
    (0..count).map(|_| (millis(rng, 0..20_000), millis(rng, 500..90_000))).collect()
}

fn mixed(rng: &mut fastrand::Rng) -> (Duration, Reply) {
    let delay = [0, 1, 40, 300, 2500, 9000, 28_000][rng.usize(0..7)];
    let reply = match rng.u8(0..24) {
        0 | 1 => Reply::After(429, [0, 1, 7, 4000][rng.usize(0..4)]),
        2 => Reply::Status(429),
        3 => Reply::After(503, 3),
        4 | 5 => Reply::Status([500, 502, 408][rng.usize(0..3)]),
        6 => Reply::Status([404, 410][rng.usize(0..2)]),
        7 => Reply::Fails(TransportErrorKind::Connect, Processed::No),
        8 => Reply::Fails(TransportErrorKind::Interrupted, Processed::Unknown),
        9 => Reply::Fails(TransportErrorKind::Interrupted, Processed::No),
        10 => Reply::Status(403),
        11 => Reply::Status(400),
        12 => Reply::Status([301, 302, 418][rng.usize(0..3)]),
        13 => Reply::Mismatch,
        14 => Reply::Status(413),
        15 => Reply::Fails(TransportErrorKind::Busy, Processed::No),
        _ => Reply::Status(201),
    };
    (Duration::from_millis(delay), reply)
}

pub fn host(origin: usize) -> String {
    format!("https://o{origin}.example.net")
}
