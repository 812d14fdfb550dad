//! Users with their browsers: they register, read, renew, replace, move, leave, vanish and come back.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use reqwest::Method;
use serde_json::{Value, json};
use webpush_channels::testing::UserAgent;
use webpush_channels::{Subscription, SubscriptionId};

use crate::Result;
use crate::api::Answer;
use crate::ledger::CHANNELS;
use crate::shared::Shared;

/// Browsers share a few keys, because making them takes long.
const KEYS: u64 = 64;
/// A user has no more devices.
const DEVICES: usize = 6;
/// Devices for each two users, about.
const PER_TWO: usize = 3;
/// One device in so many is bound to a key that the service does not have.
const FORMER: usize = 40;

/// The channels' names.
pub(crate) const NAMES: [&str; CHANNELS] = ["news", "sport", "weather"];

/// A subscription that is stored.
#[derive(Debug)]
struct Device {
    /// In the ledger.
    number: usize,
    service: usize,
    subscription: Subscription,
    id: SubscriptionId,
    /// It is bound to another key: nothing is owed to it, and nobody may remove it.
    former: bool,
}

#[derive(Debug)]
struct User {
    name: String,
    devices: Vec<Device>,
    joined: [bool; CHANNELS],
    /// Ids of those that are gone, until they are pruned.
    gone: Vec<String>,
}

/// Users whose changes come one after another, so that the ledger always knows how things stand.
pub(crate) struct Crowd {
    shared: Arc<Shared>,
    random: Rng,
    agents: Vec<UserAgent>,
    users: Vec<User>,
}

impl Crowd {
    pub(crate) fn new(shared: Arc<Shared>, number: usize, users: usize) -> Self {
        let random = Rng::with_seed(shared.options.seed.wrapping_mul(31).wrapping_add(number as u64));
        let user = |n| User {
            name: format!("user-{number}-{n}"),
            devices: Vec::new(),
            joined: [false; CHANNELS],
            gone: Vec::new(),
        };
        let agents = (0..KEYS).map(UserAgent::seeded).collect();
        Self { shared, random, agents, users: (0..users).map(user).collect() }
    }

    /// Everybody registers and joins.
    pub(crate) async fn fill(&mut self) -> Result<()> {
        for user in 0..self.users.len() {
            self.arrive(user).await?;
            if user % 2 == 0 {
                self.register(user).await?;
            }
        }
        Ok(())
    }

    /// The ledger's number of a device that nothing is ever done to.
    pub(crate) fn anchor(&self) -> usize {
        self.users[0].devices[0].number
    }

    /// Changes something again and again, until the run ends.
    pub(crate) async fn live(mut self, every: Duration) -> Self {
        while self.shared.pause(every.mul_f64(0.5 + self.random.f64())).await {
            if let Err(error) = self.change().await {
                self.shared.wrong(format!("a client failed: {error}"));
            }
        }
        self
    }

    async fn change(&mut self) -> Result<()> {
        // Not the first, which stays as it is.
        let user = self.random.usize(1..self.users.len());
        let devices: usize = self.users.iter().map(|user| user.devices.len()).sum();
        let wanted = self.users.len() * PER_TWO / 2;
        match self.random.u8(..100) {
            0..30 => self.read(user).await,
            30..40 => self.renew(user).await,
            40..55 if devices < wanted => self.register(user).await,
            40..55 => self.unregister(user).await,
            55..70 => self.replace(user).await,
            70..82 => self.toggle(user).await,
            82..89 => self.vanish(user).await,
            89..97 => self.move_one(user).await,
            _ => {
                self.forget(user).await?;
                self.arrive(user).await
            }
        }
    }

    async fn call(&self, user: usize, method: Method, path: &str, body: Option<Value>) -> Result<Answer> {
        self.shared.api.call(&self.users[user].name, method, path, body).await
    }

    /// A new user: registers first, joins then. Some browsers have had other keys when they registered.
    async fn arrive(&mut self, user: usize) -> Result<()> {
        let (service, subscription, former) = self.subscription(user == 0);
        if self.random.u8(..8) == 0 {
            let endpoint = subscription.endpoint().clone();
            let other = self.agents[self.random.usize(..self.agents.len())].subscribe(endpoint);
            self.call(user, Method::POST, "subscriptions", Some(json!({"data": other}))).await?;
            self.shared.done.count("keys changed");
        }
        self.store(user, service, subscription, former).await?;
        for channel in 0..CHANNELS {
            if channel == 0 || user == 0 || self.random.bool() {
                self.join(user, channel).await?;
            }
        }
        Ok(())
    }

    /// What a browser gets from its push service.
    fn subscription(&mut self, plain: bool) -> (usize, Subscription, bool) {
        let service = self.random.usize(..self.shared.origins.len());
        let agent = &self.agents[self.random.usize(..self.agents.len())];
        let former = !plain && self.random.usize(..FORMER) == 0;
        let former_key = *UserAgent::seeded(KEYS).keys().p256dh().as_bytes();
        let key = if former { &former_key } else { &self.shared.key };
        let (subscription, number) = self.shared.origins[service].subscribe(agent, key);
        let id = subscription.id().to_string();
        self.shared.ledger().add(service, number, id);
        (service, subscription, former)
    }

    async fn register(&mut self, user: usize) -> Result<()> {
        if self.users[user].devices.len() == DEVICES {
            return Ok(());
        }
        let (service, subscription, former) = self.subscription(false);
        self.store(user, service, subscription, former).await
    }

    async fn store(
        &mut self,
        user: usize,
        service: usize,
        subscription: Subscription,
        former: bool,
    ) -> Result<()> {
        self.call(user, Method::POST, "subscriptions", Some(json!({"data": subscription}))).await?;
        self.shared.done.count("registered");
        self.hold(user, service, subscription, former);
        Ok(())
    }

    /// It is the user's from now on.
    fn hold(&mut self, user: usize, service: usize, subscription: Subscription, former: bool) {
        let number = self.shared.origins[service].push.number(&subscription);
        let number = self.shared.ledger().number(service, number);
        let id = subscription.id();
        self.users[user].devices.push(Device { number, service, subscription, id, former });
        self.enter(user);
    }

    /// All devices of the user are members where the user is.
    fn enter(&self, user: usize) {
        let (user, now) = (&self.users[user], self.shared.now());
        let mut ledger = self.shared.ledger();
        for device in user.devices.iter().filter(|device| !device.former) {
            for channel in (0..CHANNELS).filter(|channel| user.joined[*channel]) {
                ledger.enter(device.number, channel, now);
            }
        }
    }

    /// Takes one from its user: what is done to it next may end that anything is owed to it.
    fn take(&mut self, user: usize) -> Option<Device> {
        let devices = &mut self.users[user].devices;
        if devices.is_empty() {
            return None;
        }
        let device = devices.swap_remove(self.random.usize(..devices.len()));
        let now = self.shared.now();
        let mut ledger = self.shared.ledger();
        (0..CHANNELS).for_each(|channel| ledger.leave(device.number, channel, now));
        drop(ledger);
        Some(device)
    }

    /// What is stored is what must be there, and those that are gone as long as nobody has noticed.
    pub(crate) async fn read(&mut self, user: usize) -> Result<()> {
        let stored = self.call(user, Method::GET, "subscriptions", None).await?.ids();
        let there: HashSet<_> = stored.iter().cloned().collect();
        let user = &mut self.users[user];
        user.gone.retain(|gone| there.contains(gone));
        for device in &user.devices {
            if !there.contains(&device.id.to_string()) {
                self.shared.done.count("WRONGLY PRUNED");
                self.shared.wrong(format!("{} of {} lives and is not stored", device.id, user.name));
            }
        }
        if stored.len() != user.devices.len() + user.gone.len() {
            self.shared.wrong(format!("{} has subscriptions that it never had: {stored:?}", user.name));
        }
        self.shared.ledger().stored.extend(there);
        let channels = self.shared.api.call(&user.name, Method::GET, "channels", None).await?.ids();
        let mut joined: Vec<_> = (0..CHANNELS).filter(|it| user.joined[*it]).map(|it| NAMES[it]).collect();
        joined.sort_unstable();
        if channels != joined {
            self.shared.wrong(format!("{} is in {channels:?}, not in {joined:?}", user.name));
        }
        self.shared.done.count("read");
        Ok(())
    }

    /// A page that is opened posts what it has.
    async fn renew(&self, user: usize) -> Result<()> {
        for device in &self.users[user].devices {
            let body = json!({"data": device.subscription});
            self.call(user, Method::POST, "subscriptions", Some(body)).await?;
            self.shared.done.count("renewed");
        }
        Ok(())
    }

    async fn unregister(&mut self, user: usize) -> Result<()> {
        let Some(device) = self.take(user) else { return Ok(()) };
        self.call(user, Method::DELETE, &format!("subscriptions/{}", device.id), None).await?;
        self.shared.done.count("unregistered");
        Ok(())
    }

    /// The browser has got a new subscription for the old one, which its push service knows no more.
    async fn replace(&mut self, user: usize) -> Result<()> {
        let Some(old) = self.take(user) else { return Ok(()) };
        let (service, subscription, former) = self.subscription(false);
        let path = format!("subscriptions/{}/replace", old.id);
        self.call(user, Method::POST, &path, Some(json!({"data": subscription}))).await?;
        self.shared.origins[old.service].push.unsubscribe(&old.subscription);
        self.hold(user, service, subscription, former);
        self.shared.done.count("replaced");
        Ok(())
    }

    /// Joins a channel or leaves it.
    async fn toggle(&mut self, user: usize) -> Result<()> {
        let channel = self.random.usize(..CHANNELS);
        if self.users[user].joined[channel] {
            self.quit(user, channel).await
        } else {
            self.join(user, channel).await
        }
    }

    async fn join(&mut self, user: usize, channel: usize) -> Result<()> {
        self.call(user, Method::PUT, &format!("channels/{}/registration", NAMES[channel]), None).await?;
        self.users[user].joined[channel] = true;
        self.enter(user);
        self.shared.done.count("joined");
        Ok(())
    }

    async fn quit(&mut self, user: usize, channel: usize) -> Result<()> {
        let now = self.shared.now();
        for device in &self.users[user].devices {
            self.shared.ledger().leave(device.number, channel, now);
        }
        self.users[user].joined[channel] = false;
        self.call(user, Method::DELETE, &format!("channels/{}/registration", NAMES[channel]), None).await?;
        self.shared.done.count("left");
        Ok(())
    }

    /// The person takes the permission away: the push service knows it, and nobody else.
    async fn vanish(&mut self, user: usize) -> Result<()> {
        let before = self.shared.now();
        let devices = &mut self.users[user].devices;
        let Some(at) = devices.iter().position(|device| !device.former) else { return Ok(()) };
        let device = devices.swap_remove(at);
        self.users[user].gone.push(device.id.to_string());
        self.shared.origins[device.service].push.unsubscribe(&device.subscription);
        self.shared.ledger().gone(device.number, before, self.shared.now());
        self.shared.done.count("gone");
        // And comes back, some of them.
        if self.random.bool() { self.register(user).await } else { Ok(()) }
    }

    /// Somebody else signs in at the browser.
    async fn move_one(&mut self, from: usize) -> Result<()> {
        let to = self.random.usize(1..self.users.len());
        if to == from || self.users[to].devices.len() == DEVICES {
            return Ok(());
        }
        let Some(device) = self.take(from) else { return Ok(()) };
        let Device { service, subscription, former, .. } = device;
        self.call(to, Method::POST, "subscriptions", Some(json!({"data": subscription}))).await?;
        self.hold(to, service, subscription, former);
        self.shared.done.count("moved");
        Ok(())
    }

    /// Nothing is left of the user, but what is gone and what nobody has noticed yet.
    async fn forget(&mut self, user: usize) -> Result<()> {
        while let Some(device) = self.take(user) {
            self.call(user, Method::DELETE, &format!("subscriptions/{}", device.id), None).await?;
        }
        for channel in 0..CHANNELS {
            self.quit(user, channel).await?;
        }
        self.shared.done.count("users came anew");
        Ok(())
    }

    /// Reads all that is stored at the end.
    pub(crate) async fn read_all(&mut self) -> Result<()> {
        for user in 0..self.users.len() {
            self.read(user).await?;
        }
        Ok(())
    }

    pub(crate) fn devices(&self) -> usize {
        self.users.iter().map(|user| user.devices.len()).sum()
    }
}
