//! What goes wrong, one thing after another: at the push services, and at the machines.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use crate::Result;
use crate::database::Database;
use crate::nodes::{Node, TERM};
use crate::origins::Manner;
use crate::shared::Shared;

/// A request without an answer is tried again after half a minute: the run need not end with that wait.
const LAST_SILENCE: Duration = Duration::from_secs(25);

/// Deals each of them once before any of them again, so that a short run has all of them.
struct Deck<T> {
    all: Vec<T>,
    left: Vec<T>,
}

impl<T: Clone> Deck<T> {
    fn new(all: &[T]) -> Self {
        Self { all: all.to_vec(), left: Vec::new() }
    }

    fn deal(&mut self, random: &mut Rng) -> T {
        if self.left.is_empty() {
            self.left.clone_from(&self.all);
        }
        self.left.swap_remove(random.usize(..self.left.len()))
    }
}

/// One push service or two misbehave for a few seconds, then all are sound for a moment.
pub(crate) async fn at_push_services(shared: Arc<Shared>) {
    let mut random = Rng::with_seed(shared.options.seed.wrapping_mul(7));
    let mut manners = Deck::new(&Manner::BAD);
    while shared.pause(Duration::from_millis(random.u64(500..3000))).await {
        for _ in 0..=random.usize(..2) {
            let manner = manners.deal(&mut random);
            if manner == Manner::Silent && !shared.goes_on_for(LAST_SILENCE) {
                continue;
            }
            shared.origins[random.usize(..shared.origins.len())].behave(manner);
            shared.done.count(name(manner));
        }
        shared.pause(Duration::from_millis(random.u64(1000..4000))).await;
        shared.origins.iter().for_each(|origin| origin.behave(Manner::Sound));
    }
}

const fn name(manner: Manner) -> &'static str {
    match manner {
        Manner::Sound => "times sound",
        Manner::Throttling => "times 429",
        Manner::Unavailable => "times 503",
        Manner::Broken => "times 500",
        Manner::Resetting => "times RST_STREAM",
        Manner::Refusing => "times REFUSED_STREAM",
        Manner::Goaway => "times GOAWAY",
        Manner::Parting => "times GOAWAY after each answer",
        Manner::Cutting => "times connections cut",
        Manner::TakingAndCutting => "times connections cut after acceptance",
        Manner::Halving => "times half an answer",
        Manner::Silent => "times silence",
        Manner::Slow => "times slow",
        Manner::Closed => "times no connections",
    }
}

#[derive(Clone, Copy)]
enum Accident {
    Outage,
    Stop,
    Kill,
    Terminate,
}

/// Processes are stopped, killed and told to end, and the database goes away: one of it at a time.
pub(crate) async fn at_machines(shared: Arc<Shared>, database: Arc<Database>) {
    let mut random = Rng::with_seed(shared.options.seed.wrapping_mul(13));
    let mut accidents =
        Deck::new(&[Accident::Outage, Accident::Stop, Accident::Kill, Accident::Kill, Accident::Terminate]);
    while shared.pause(Duration::from_millis(random.u64(3000..7000))).await {
        let accident = accidents.deal(&mut random);
        if let Err(error) = happen(accident, &shared, &database, &mut random).await {
            shared.wrong(format!("a fault failed: {error}"));
        }
    }
}

async fn happen(accident: Accident, shared: &Shared, database: &Database, random: &mut Rng) -> Result<()> {
    let nodes = &shared.nodes.all;
    let any = &nodes[random.usize(..nodes.len())];
    let passing: Vec<&Node> = nodes.iter().filter(|node| !node.lasts).collect();
    let passing = passing[random.usize(..passing.len())];
    match accident {
        Accident::Outage => {
            shared.done.count("databases away");
            database.outage(Duration::from_millis(random.u64(500..3000))).await
        }
        Accident::Stop => {
            shared.done.count("nodes stopped for longer than a lease");
            any.signal("STOP")?;
            tokio::time::sleep(Duration::from_secs(TERM) + Duration::from_millis(random.u64(1000..4000)))
                .await;
            any.signal("CONT")
        }
        Accident::Kill => {
            shared.done.count("nodes killed");
            passing.kill().await?;
            tokio::time::sleep(Duration::from_millis(random.u64(..3000))).await;
            passing.start(&shared.nodes.setup).await
        }
        Accident::Terminate => {
            shared.done.count("nodes told to end");
            passing.terminate().await?;
            passing.start(&shared.nodes.setup).await
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_deck_deals_everything_before_it_begins_anew() {
        let (mut deck, mut random) = (Deck::new(&[1, 2, 3, 4, 5]), Rng::with_seed(1));
        for _ in 0..3 {
            let dealt: HashSet<_> = (0..5).map(|_| deck.deal(&mut random)).collect();
            assert_eq!(dealt.len(), 5);
        }
    }
}
