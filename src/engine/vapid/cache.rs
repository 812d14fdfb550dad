//! Tokens by origin, bounded: origins come from endpoints that strangers chose (V-17).

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use super::Renewal;
use super::token::{HOUR, Term, Token};

/// The tokens of one signer.
pub(super) struct TokenCache(Mutex<Tokens>);

struct Tokens {
    used: LruCache<Box<str>, Cached>,
    /// Renewals apart, so that a flood of other origins in `used` takes from an origin neither its
    /// renewed token nor its hourly limit. Only a flood of origins that refuse tokens does.
    renewed: LruCache<Box<str>, Renewed>,
}

struct Cached {
    token: Token,
    term: Term,
    /// The next one, where it was made ahead of its turn.
    next: Option<Box<(Token, Term)>>,
}

struct Renewed {
    at: u64,
    term: Term,
    /// None: it is to be made by a signer.
    token: Option<Token>,
}

impl TokenCache {
    pub(super) fn new(capacity: NonZeroUsize) -> Self {
        Self(Mutex::new(Tokens { used: LruCache::new(capacity), renewed: LruCache::new(capacity) }))
    }

    pub(super) fn capacity(&self) -> NonZeroUsize {
        self.lock().used.cap()
    }

    /// The origins that have a token here.
    pub(super) fn len(&self) -> usize {
        self.lock().used.len()
    }

    /// The token in use, or the slot's. `make` signs and runs without the lock: two threads may
    /// make the same token, neither waits for the other.
    pub(super) fn get_or_make(&self, origin: &str, now: u64, make: impl FnOnce(Term) -> Token) -> Token {
        if let Some(token) = self.lock().current(origin, now) {
            return token;
        }
        let term = Term::of_slot(now);
        let token = make(term);
        let mut tokens = self.lock();
        tokens.current(origin, now).unwrap_or_else(|| tokens.put(origin, token, term))
    }

    /// The token in use, or the term of the one that is to be made.
    pub(super) fn find(&self, origin: &str, now: u64) -> Result<Token, Term> {
        let mut tokens = self.lock();
        tokens.current(origin, now).ok_or_else(|| tokens.wanted(origin, now))
    }

    /// Takes a token that a signer made, unless another one is wanted by now. Returns the one to
    /// use.
    pub(super) fn offer(&self, origin: &str, now: u64, term: Term, token: Token) -> Option<Token> {
        let mut tokens = self.lock();
        if let Some(current) = tokens.current(origin, now) {
            return Some(current);
        }
        if tokens.wanted(origin, now) != term {
            return None;
        }
        if let Some(renewed) = tokens.renewed.peek_mut(origin)
            && renewed.term == term
        {
            renewed.token = Some(token.clone());
        }
        Some(tokens.put(origin, token, term))
    }

    /// The term of the token to be made ahead of its turn, when it is time for that.
    pub(super) fn next_term(&self, origin: &str, now: u64) -> Option<Term> {
        self.lock().next_term(origin, now)
    }

    /// Keeps a token until it is its turn.
    pub(super) fn keep_next(&self, origin: &str, now: u64, term: Term, token: Token) {
        let mut tokens = self.lock();
        if tokens.next_term(origin, now) == Some(term)
            && let Some(cached) = tokens.used.peek_mut(origin)
        {
            cached.next = Some(Box::new((token, term)));
        }
    }

    /// `make` signs under the lock, so that one thread alone renews: it happens once an hour
    /// for an origin that refuses our tokens. It makes none where that is for a signer.
    pub(super) fn renew(
        &self,
        origin: &str,
        refused: u32,
        now: u64,
        make: impl FnOnce(Term) -> Option<Token>,
    ) -> Renewal {
        let mut tokens = self.lock();
        match tokens.current(origin, now) {
            Some(token) if token.generation != refused => return Renewal::Renewed(token),
            // Evicted, or the slot changed since the request was made.
            None if Term::of_slot(now).generation != refused => {
                let term = tokens.wanted(origin, now);
                return match make(term) {
                    Some(token) => Renewal::Renewed(tokens.put(origin, token, term)),
                    None => Renewal::Renewing,
                };
            }
            None if tokens.wanted(origin, now).generation != refused => return Renewal::Renewing,
            _ => {}
        }
        // The distance, not the difference: a clock that was a year ahead must not block a year.
        if tokens.renewed.peek(origin).is_some_and(|last| now.abs_diff(last.at) < HOUR) {
            return Renewal::TooSoon;
        }
        let term = Term::renewed(now);
        let token = make(term);
        tokens.renewed.put(origin.into(), Renewed { at: now, term, token: token.clone() });
        if let Some(token) = token {
            return Renewal::Renewed(tokens.put(origin, token, term));
        }
        tokens.used.pop(origin);
        Renewal::Renewing
    }

    fn lock(&self) -> MutexGuard<'_, Tokens> {
        // A panic elsewhere leaves whole entries: each change is one call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tokens {
    /// Called for every message: one lookup, and the clone of a header, which shares.
    fn current(&mut self, origin: &str, now: u64) -> Option<Token> {
        if let Some(cached) = self.used.get(origin)
            && cached.term.holds(now)
        {
            return Some(cached.token.clone());
        }
        let (token, term) = self.successor(origin, now)?;
        Some(self.put(origin, token, term))
    }

    /// What takes the place of a token that is used no more.
    fn successor(&mut self, origin: &str, now: u64) -> Option<(Token, Term)> {
        let renewed = self.renewed.get(origin).filter(|renewed| renewed.term.holds(now));
        if let Some(renewed) = renewed {
            return Some((renewed.token.clone()?, renewed.term));
        }
        let next = self.used.peek_mut(origin)?.next.take()?;
        next.1.holds(now).then_some(*next)
    }

    /// The term of the token that is to be made.
    fn wanted(&mut self, origin: &str, now: u64) -> Term {
        let renewing = self.renewed.get(origin).filter(|renewed| renewed.token.is_none());
        renewing.map(|renewed| renewed.term).filter(|term| term.holds(now)).unwrap_or(Term::of_slot(now))
    }

    fn next_term(&self, origin: &str, now: u64) -> Option<Term> {
        self.used.peek(origin).filter(|cached| cached.next.is_none())?.term.next(now)
    }

    fn put(&mut self, origin: &str, token: Token, term: Term) -> Token {
        self.used.put(origin.into(), Cached { token: token.clone(), term, next: None });
        token
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const START: u64 = 80_000 * 6 * HOUR;

    fn cache(capacity: usize) -> TokenCache {
        TokenCache::new(NonZeroUsize::new(capacity).unwrap())
    }

    /// A token without the cost of signing: its header is its `exp`.
    fn unsigned(term: Term) -> Token {
        Token { header: HeaderValue::from(term.exp), generation: term.generation }
    }

    fn exp(token: &Token) -> u64 {
        token.header.to_str().unwrap().parse().unwrap()
    }

    #[test]
    fn ten_thousand_origins_leave_as_many_tokens_as_fit() {
        let cache = cache(1024);
        for n in 0..10_000 {
            cache.get_or_make(&format!("https://h{n}.example.org"), START, unsigned);
            cache.get_or_make("https://hot.example.org", START, unsigned);
        }
        assert_eq!(cache.len(), 1024);
        let kept = |_| -> Token { panic!("a hot origin keeps its token") };
        cache.get_or_make("https://hot.example.org", START, kept);
    }

    #[test]
    fn a_token_is_signed_once_a_slot() {
        let cache = cache(4);
        let mut signed = 0;
        for now in (START..START + 24 * HOUR).step_by(60) {
            cache.get_or_make("https://push.example.net", now, |term| {
                signed += 1;
                unsigned(term)
            });
        }
        assert_eq!(signed, 4);
    }

    #[test]
    fn the_oldest_renewal_is_forgotten_first() {
        let cache = cache(2);
        let renew = |origin: &str| {
            let used = cache.get_or_make(origin, START, unsigned);
            cache.renew(origin, used.generation, START, |term| Some(unsigned(term)))
        };
        for origin in ["https://a.example.org", "https://b.example.org", "https://c.example.org"] {
            assert!(matches!(renew(origin), Renewal::Renewed(_)));
        }
        assert!(matches!(renew("https://c.example.org"), Renewal::TooSoon));
        assert!(matches!(renew("https://b.example.org"), Renewal::TooSoon));
        assert!(matches!(renew("https://a.example.org"), Renewal::Renewed(_)), "as documented");
    }

    proptest! {
        /// Whatever the clock does, a token is one that services take; while it only runs on,
        /// generations grow and renewals keep an hour apart.
        #[test]
        fn any_clock_gives_usable_tokens(
            steps in prop::collection::vec((-200_000_i64..200_000, any::<bool>()), 1..60),
            monotonic in any::<bool>(),
        ) {
            let (cache, origin) = (cache(4), "https://push.example.net");
            let mut now = START;
            let mut last = cache.get_or_make(origin, now, unsigned);
            let mut renewed_at: Option<u64> = None;
            for (step, refused) in steps {
                let step = if monotonic { step.abs() % 10_000 } else { step };
                now = now.saturating_add_signed(step);
                let mut renewed = false;
                let token = if refused {
                    let make = |term| { renewed = true; Some(unsigned(term)) };
                    match cache.renew(origin, last.generation, now, make) {
                        Renewal::Renewed(token) => token,
                        Renewal::Renewing => unreachable!("only of signers"),
                        Renewal::TooSoon => cache.get_or_make(origin, now, unsigned),
                    }
                } else {
                    cache.get_or_make(origin, now, unsigned)
                };
                prop_assert!(exp(&token) >= now + 6 * HOUR && exp(&token) <= now + 24 * HOUR - 300);
                if monotonic {
                    prop_assert!(token.generation >= last.generation);
                    if renewed && exp(&token) == now + 12 * HOUR {
                        prop_assert!(renewed_at.is_none_or(|at| now >= at + HOUR));
                        renewed_at = Some(now);
                    }
                }
                last = token;
            }
        }
    }
}
