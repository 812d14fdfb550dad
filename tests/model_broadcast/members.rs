//! Who is in the channels, and what they do meanwhile.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::sleep;
use webpush_channels::store::journal::Journal;
use webpush_channels::store::{Change, Entry, NewEntry};
use webpush_channels::{AuthSecret, ChannelName, PublicKey, Subscription, SubscriptionKeys, UserId};

use super::plan::{Plan, host, rng};
use super::record::{Device, Record, Rule, device};

const P256DH: &str =
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";

/// The channels, and so the broadcasts, of one case at most.
pub const CHANNELS: usize = 4;

pub fn channel(number: usize) -> ChannelName {
    ChannelName::new(format!("c{number}")).expect("it is a name")
}

pub fn channels() -> Vec<ChannelName> {
    (0..CHANNELS).map(channel).collect()
}

pub fn user(number: usize) -> UserId {
    UserId::new(format!("user-{number}")).expect("it is a name")
}

/// An endpoint at one of the plan's origins.
fn endpoint(plan: &Plan, rng: &mut fastrand::Rng, name: &str) -> String {
    format!("{}/p/{name}{}", host(rng.usize(0..plan.manners.len())), if rng.bool() { "" } else { "-" })
}

fn subscription(endpoint: &str, auth: [u8; 16], expires: Option<SystemTime>) -> Subscription {
    let key = PublicKey::from_base64url(P256DH).expect("it is a key");
    let keys = SubscriptionKeys::new(key, AuthSecret::from_bytes(auth));
    Subscription::new(endpoint.parse().expect(endpoint), keys).with_expiration_time(expires)
}

pub fn new_entry(
    plan: &Plan,
    user: UserId,
    name: &str,
    rng: &mut fastrand::Rng,
    record: &Record,
) -> NewEntry {
    let mut auth = [0; 16];
    rng.fill(&mut auth);
    let soon = record.wall.time() + Duration::from_secs(rng.u64(1..5000));
    let expires = Some(soon).filter(|_| rng.u8(0..12) == 0 && !plan.jumps.is_empty());
    NewEntry::new(user, subscription(&endpoint(plan, rng, name), auth, expires))
}

/// Puts everybody where they are at first.
pub async fn populate(store: &Arc<dyn Journal>, plan: &Plan, record: &Record) {
    let rng = &mut rng((plan.seed, "members"));
    for (number, devices) in plan.users.iter().enumerate() {
        let new: Vec<_> = (0..*devices)
            .map(|device| new_entry(plan, user(number), &format!("{number}-{device}"), rng, record))
            .collect();
        store.put(&new).await.expect("it works");
        for channel in channels() {
            store.join(&channel, &[user(number)]).await.expect("it works");
        }
        sync(store, record, &user(number)).await;
    }
}

/// What the store has of a user is what it should have.
async fn sync(store: &Arc<dyn Journal>, record: &Record, user: &UserId) {
    let entries = store.subscriptions(user).await.expect("it works");
    let mut facts = record.facts();
    facts.rows.retain(|_, (owner, _)| owner != user);
    for entry in entries {
        facts.knows(&entry);
        facts.rows.insert(entry.subscription.id(), (user.clone(), entry.version));
    }
}

/// Those who are there from the beginning to the end.
pub async fn stable(store: &Arc<dyn Journal>, plan: &Plan) -> Vec<(Entry, Device)> {
    let mut stable = Vec::new();
    for number in 0..plan.volatile {
        let entries = store.subscriptions(&user(number)).await.expect("it works");
        stable.extend(entries.into_iter().map(|entry| {
            let device = device(&entry);
            (entry, device)
        }));
    }
    stable
}

/// Comings and goings of those who are volatile.
pub async fn live(store: Arc<dyn Journal>, plan: Arc<Plan>, record: Arc<Record>) {
    let rng = &mut rng((plan.seed, "life"));
    let restless = plan.users.len() - plan.volatile;
    if restless == 0 {
        return;
    }
    for turn in 0..rng.usize(5..40) {
        sleep(Duration::from_millis([0, 1, 40, 300, 2000][rng.usize(0..5)])).await;
        let who = user(plan.volatile + rng.usize(0..restless));
        let other = user(plan.volatile + rng.usize(0..restless));
        act(&store, &plan, &record, rng, turn, (&who, &other)).await;
        sync(&store, &record, &who).await;
        sync(&store, &record, &other).await;
        record.facts().fault("member came, went or changed");
    }
}

async fn act(
    store: &Arc<dyn Journal>,
    plan: &Plan,
    record: &Record,
    rng: &mut fastrand::Rng,
    turn: usize,
    (who, other): (&UserId, &UserId),
) {
    let entries = store.subscriptions(who).await.expect("it works");
    let one = (!entries.is_empty()).then(|| entries[rng.usize(0..entries.len())].clone());
    let channel = channel(rng.usize(0..CHANNELS));
    let new = new_entry(plan, who.clone(), &format!("new-{turn}"), rng, record);
    let again = |user: &UserId, auth| {
        one.as_ref().map(|one| {
            let uri = one.subscription.endpoint().as_str();
            NewEntry::new(user.clone(), subscription(uri, auth, one.subscription.expiration_time()))
        })
    };
    let mut auth = [0; 16];
    rng.fill(&mut auth);
    let put = match rng.u8(0..9) {
        0 => return store.join(&channel, std::slice::from_ref(who)).await.expect("it works"),
        1 => return store.leave(&channel, std::slice::from_ref(who)).await.expect("it works"),
        2 | 3 => Some(new),
        4 => again(who, auth),
        // The browser is another user's now, with the same keys.
        5 => one.as_ref().and_then(|one| again(other, *one.subscription.keys().auth().as_bytes())),
        6 => one.as_ref().and_then(|one| again(who, *one.subscription.keys().auth().as_bytes())),
        7 => {
            if let Some(one) = &one {
                store.replace(who, &one.subscription.id(), &new).await.expect("it works");
            }
            None
        }
        _ => {
            if let Some(one) = &one {
                store.apply(&[(one.reference(), Change::Remove)]).await.expect("it works");
            }
            None
        }
    };
    if let Some(put) = put {
        store.put(&[put]).await.expect("it works");
    }
}

/// What is in the store is what should be there.
pub async fn check_rows(store: &Arc<dyn Journal>, plan: &Plan, record: &Record) {
    let mut found = Vec::new();
    for number in 0..plan.users.len() {
        let user = user(number);
        let entries = store.subscriptions(&user).await.expect("it works");
        found.extend(
            entries.into_iter().map(|entry| (entry.subscription.id(), (user.clone(), entry.version))),
        );
    }
    let mut facts = record.facts();
    let lacking = facts.rows.iter().filter(|(id, row)| !found.contains(&(**id, (*row).clone()))).count();
    let spare = found.iter().filter(|(id, row)| facts.rows.get(id) != Some(row)).count();
    facts.check(lacking + spare == 0, Rule::Rows, || {
        format!("the store lacks {lacking} entries, and has {spare} that should not be there")
    });
}
