//! A run, from its beginning to the account.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use webpush_channels_server::auth::Basic;

use crate::account::Account;
use crate::api::Api;
use crate::clients::Crowd;
use crate::database::Database;
use crate::ledger::Ledger;
use crate::nodes::{Nodes, Setup};
use crate::options::Options;
use crate::origins::{self, Origin};
use crate::shared::{Shared, lock};
use crate::watch::{self, Life};
use crate::{Result, faults, publisher};

const CROWDS: usize = 4;
/// Longer than the last retry of a request that was never answered.
const PATIENCE: Duration = Duration::from_secs(150);

/// Runs, prints, and says what is not as it must be.
pub(crate) async fn run(options: Options) -> Result<Vec<String>> {
    let directory = tempfile::tempdir()?;
    let database = Arc::new(Database::new(directory.path(), options.database_url.as_deref()).await);
    println!("seed {}, {} s, {}", options.seed, options.seconds, database.name());
    let shared = Arc::new(start(options, directory.path(), &database).await?);
    let lives = Arc::new(Mutex::new(Vec::new()));
    let watching = tokio::spawn(watch::watch(Arc::clone(&shared), Arc::clone(&lives)));
    let mut crowds = fill(&shared).await?;
    println!("{:.1} s: everybody is registered", shared.now().as_secs_f64());
    if shared.options.swallow_one {
        let anchor = crowds[0].anchor();
        shared.ledger().swallowed = Some((anchor, 0));
    }
    crowds = go_on(&shared, &database, crowds).await;
    println!("{:.1} s: every broadcast has ended", shared.now().as_secs_f64());
    shared.ledger().stored.clear();
    for crowd in &mut crowds {
        crowd.read_all().await?;
    }
    watching.abort();
    end(&shared).await;
    let account = told(&shared, &crowds, &lock(&lives));
    if !account.wrong.is_empty() {
        println!("{}", shared.nodes.last_words()?);
    }
    Ok(account.wrong)
}

async fn start(options: Options, directory: &Path, database: &Database) -> Result<Shared> {
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let seen = Arc::clone(&ledger);
    let began = Instant::now();
    let opened = move |service, manner, number, payload: Option<&[u8]>| {
        let Some(broadcast) = payload.and_then(publisher::broadcast_of) else { return false };
        lock(&seen).accept(service, number, broadcast, (began.elapsed(), manner))
    };
    let origins = origins::start(options.seed, Arc::new(opened)).await?;
    let authorities = directory.join("authorities.pem");
    let pem: String = origins.iter().filter_map(|origin| origin.push.ca_pem()).collect();
    std::fs::write(&authorities, pem)?;
    let publisher = Basic::new("").user_id(&format!("{0}:{0}", publisher::USER)).to_string();
    let setup =
        Setup { directory: directory.to_owned(), postgres: database.url().await, authorities, publisher };
    let nodes = Arc::new(Nodes::start(setup).await?);
    let api = Api::new(Arc::clone(&nodes))?;
    let key = api.call(publisher::USER, Method::GET, "vapid", None).await?;
    let key = key.json["data"]["applicationServerKey"].as_str().ok_or("the service has no key")?;
    let key = URL_SAFE_NO_PAD.decode(key)?.try_into().map_err(|_| "the key is no point")?;
    let journal = database.open().await?;
    Ok(Shared::new(options, began, ledger, origins, nodes, api, journal, key))
}

async fn fill(shared: &Arc<Shared>) -> Result<Vec<Crowd>> {
    let mut filling = JoinSet::new();
    for number in 0..CROWDS {
        let mut crowd = Crowd::new(Arc::clone(shared), number, shared.options.users / CROWDS);
        filling.spawn(async move { crowd.fill().await.map(|()| crowd) });
    }
    let mut crowds = Vec::new();
    while let Some(crowd) = filling.join_next().await {
        crowds.push(crowd??);
    }
    Ok(crowds)
}

/// Changes, broadcasts and faults, and then the rest of the broadcasts without.
async fn go_on(shared: &Arc<Shared>, database: &Arc<Database>, crowds: Vec<Crowd>) -> Vec<Crowd> {
    shared.start();
    let every = Duration::from_secs(CROWDS as u64).div_f64(shared.options.changes_per_second as f64);
    let mut living = JoinSet::new();
    for crowd in crowds {
        living.spawn(crowd.live(every));
    }
    let mut faults = JoinSet::new();
    faults.spawn(faults::at_push_services(Arc::clone(shared)));
    faults.spawn(faults::at_machines(Arc::clone(shared), Arc::clone(database)));
    let publishing = tokio::spawn(publisher::publish(Arc::clone(shared)));
    while shared.goes_on_for(Duration::ZERO) {
        tokio::time::sleep(Duration::from_secs(1)).await;
        alive(shared).await;
    }
    shared.stop();
    println!("{:.1} s: no new changes, broadcasts and faults", shared.now().as_secs_f64());
    faults.join_all().await;
    let crowds = living.join_all().await;
    finish(shared, publishing).await;
    crowds
}

/// Waits for the ends of all broadcasts, as long as there are some to see.
async fn finish(shared: &Shared, publishing: JoinHandle<()>) {
    let (mut ended, mut since) = (0, shared.now());
    while !publishing.is_finished() {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = shared.ledger().broadcasts.iter().filter(|broadcast| broadcast.end.is_some()).count();
        if now > ended {
            (ended, since) = (now, shared.now());
        }
        if shared.now() > since + PATIENCE {
            publishing.abort();
            return shared.wrong("broadcasts do not end");
        }
    }
}

async fn alive(shared: &Shared) {
    for node in &shared.nodes.all {
        if let Err(error) = node.check().await {
            shared.wrong(error.to_string());
        }
    }
}

/// Every process ends as it is told, and has nothing bad to tell.
async fn end(shared: &Shared) {
    alive(shared).await;
    for node in &shared.nodes.all {
        if let Err(error) = node.terminate().await {
            shared.wrong(error.to_string());
        }
    }
    match shared.nodes.panics() {
        Ok(panics) => panics.into_iter().for_each(|line| shared.wrong(line)),
        Err(error) => shared.wrong(format!("no logs: {error}")),
    }
}

fn told(shared: &Shared, crowds: &[Crowd], lives: &[Life]) -> Account {
    let mut account = Account::of(&shared.ledger());
    for what in shared.all_wrong() {
        account.wrong(what);
    }
    if account.broadcasts == 0 || account.owed == 0 {
        account.wrong("nothing was owed to anybody");
    }
    for (number, Origin { push, .. }) in shared.origins.iter().enumerate() {
        let counters = push.counters();
        if counters.undecryptable + counters.mismatched > 0 {
            account.wrong(format!("push service {number} could not open what it took: {counters:?}"));
        }
        let violations: Vec<_> = push.violations().into_iter().filter(|it| !is_expected(*it)).collect();
        if !violations.is_empty() {
            account.wrong(format!("push service {number} refused requests: {violations:?}"));
        }
    }
    for life in lives {
        life.wrong().into_iter().for_each(|what| account.wrong(what));
    }
    print(shared, crowds, lives, &account);
    account
}

/// Subscriptions that are gone, those of a former key, and requests of nodes that were killed.
const fn is_expected(violation: webpush_channels::testing::Violation) -> bool {
    use webpush_channels::testing::Violation;
    matches!(violation, Violation::Gone | Violation::VapidKeyMismatch | Violation::BodyTruncated)
}

fn print(shared: &Shared, crowds: &[Crowd], lives: &[Life], account: &Account) {
    let devices: usize = crowds.iter().map(Crowd::devices).sum();
    println!("\n{account}");
    println!("done               {}", shared.done.line());
    let api = &shared.api;
    println!(
        "calls of clients   {}, {} told to come back, {} without an answer; {devices} subscriptions at the end",
        api.calls.get(),
        api.refused.get(),
        api.broken.get()
    );
    for node in &shared.nodes.all {
        println!("{}", watch::told(lives, node.name));
    }
    println!();
}
