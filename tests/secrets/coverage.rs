//! Whether every public type was thought of.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Types that cannot hold anything secret: words, numbers, settings, names that are shown on
/// purpose, errors that are words.
const PLAIN: &str = "
    AddressPolicy Audience BroadcastState Browser CancelVerdict Cancellation ChannelStatistics Claims Coding
    ConnectionFault Count Counters Counts DeclarativeReader Direction Ece EceAesGcm Freshness KeyAdvice
    LastFailure Limits ManualClock MassPruneBreaker MemoryStoreBuilder OriginReport OutcomeKind Padding Processed
    PushServiceBuilder Put Rate Refusal Renewal RenewalWindow RetireError RetryBudget RetryPolicy Review RustCrypto
    SignErrorKind SkipReason Snapshot SqliteFileError SqliteStore SqliteStoreBuilder StoreErrorKind
    SystemClock SystemResolver TransportErrorKind Ttl Urgency Vendor Version Violation
";

/// Errors and values that the tests provoke without writing the name of their type.
const UNNAMED: &str = "
    BroadcastError Classified CollapseKeyError ContactError Credentials DeclarativeBuilder DecryptError Delivery
    EndpointError EntryRef HubChannel HyperTransportError KeyError KeyIdError NameError Origin Page
    PayloadError PolicyError PositionError Received Removals ResponseDetail ChannelsBuilder
    SecretOctets SecretText SenderBuilder Sent SignError SubscriptionError SubscriptionIdError Token
    TopicError TransportError TtlError UrgencyError VapidKeyError VapidRefusal
";

#[test]
fn every_public_type_is_formatted_or_known_to_be_plain() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut public = BTreeSet::new();
    for_each_source(&root.join("src"), &mut |source| public.extend(public_types(source)));
    assert!(public.len() > 100, "{public:?}");
    let mut known: BTreeSet<String> = words(PLAIN).chain(words(UNNAMED)).map(str::to_owned).collect();
    for_each_source(&root.join("tests/secrets"), &mut |source| {
        if !source.contains("const UNNAMED") {
            known.extend(words(source).map(str::to_owned));
        }
    });
    let forgotten: Vec<_> = public.difference(&known).collect();
    assert!(forgotten.is_empty(), "format these in tests/secrets/types.rs or errors.rs: {forgotten:?}");
}

pub(crate) fn for_each_source(dir: &Path, visit: &mut dyn FnMut(&str)) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            for_each_source(&path, visit);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            visit(&fs::read_to_string(path).unwrap());
        }
    }
}

/// Names after `pub struct` and `pub enum`. Those of private modules do no harm.
fn public_types(source: &str) -> BTreeSet<String> {
    let names = source.lines().filter_map(|line| {
        let line = line.trim_start();
        let rest = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum "))?;
        words(rest).next().filter(|name| rest.starts_with(name)).map(str::to_owned)
    });
    names.collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !character.is_alphanumeric() && character != '_')
        .filter(|word| !word.is_empty())
}
