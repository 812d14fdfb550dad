-- Version 1. Numbers are given in sequence and never used twice; rows are clustered by them. Times of people are
-- seconds, times of leases and deadlines milliseconds since 1970.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value NOT NULL -- schema, min_reader: numbers; tag: 8 octets that tell this database from others
) WITHOUT ROWID;

-- The next number of each kind: 'subscription', 'join'.
CREATE TABLE sequences (
    name TEXT PRIMARY KEY,
    next INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE users (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    subscriptions INTEGER NOT NULL DEFAULT 0 -- how many rows below are this user's
);

CREATE TABLE subscriptions (
    owner INTEGER NOT NULL,
    number INTEGER NOT NULL,
    id BLOB NOT NULL UNIQUE, -- SHA-256 of the endpoint
    endpoint TEXT NOT NULL,
    p256dh BLOB NOT NULL,
    auth BLOB NOT NULL,
    key BLOB,
    coding INTEGER NOT NULL,
    payload_limit INTEGER,
    needs_renewal INTEGER NOT NULL,
    expires INTEGER, -- milliseconds
    created INTEGER NOT NULL,
    seen INTEGER NOT NULL,
    version BLOB NOT NULL,
    PRIMARY KEY (owner, number)
) WITHOUT ROWID;
CREATE INDEX subscriptions_needing_renewal ON subscriptions (owner, number) WHERE needs_renewal <> 0;

-- Ids that entries had before they were replaced: the last eight of each.
CREATE TABLE former_ids (
    id BLOB PRIMARY KEY,
    owner INTEGER NOT NULL,
    number INTEGER NOT NULL,
    since INTEGER NOT NULL -- order of replacements of one entry
) WITHOUT ROWID;
CREATE INDEX former_ids_by_entry ON former_ids (owner, number, since);

CREATE TABLE channels (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE
);

CREATE TABLE members (
    channel INTEGER NOT NULL,
    owner INTEGER NOT NULL,
    joined INTEGER NOT NULL, -- the number of the joining
    PRIMARY KEY (channel, owner)
) WITHOUT ROWID;
CREATE INDEX members_by_user ON members (owner, channel);

CREATE TABLE broadcasts (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    fingerprint BLOB NOT NULL,
    audience_kind INTEGER NOT NULL, -- 0: channel, 1: user
    audience TEXT NOT NULL,
    payload BLOB NOT NULL,
    ttl INTEGER NOT NULL,
    urgency TEXT NOT NULL,
    urgency_rank INTEGER NOT NULL, -- higher is leased first, among equals
    collapse_key TEXT,
    padding_kind INTEGER NOT NULL,
    padding INTEGER NOT NULL,
    send_within INTEGER NOT NULL, -- milliseconds
    created INTEGER NOT NULL, -- milliseconds
    ended INTEGER, -- milliseconds; NULL while it runs
    state INTEGER NOT NULL DEFAULT 0, -- 0: running, 1: finished, 2: timed out, 3: aborted
    paused INTEGER NOT NULL DEFAULT 0,
    per_minute INTEGER,
    leased INTEGER NOT NULL DEFAULT 0, -- the number of the last lease: the least recent comes first
    tally TEXT -- the sums, once it has ended; its ranges are gone then
);
CREATE INDEX broadcasts_running ON broadcasts (leased, urgency_rank DESC, number) WHERE ended IS NULL;
CREATE INDEX broadcasts_ended ON broadcasts (ended) WHERE ended IS NOT NULL;

-- Range 0 of each broadcast is always done: it holds the sums of its retries.
CREATE TABLE ranges (
    broadcast INTEGER NOT NULL,
    number INTEGER NOT NULL,
    octets BLOB NOT NULL,
    position BLOB,
    done INTEGER NOT NULL DEFAULT 0,
    timed_out INTEGER NOT NULL DEFAULT 0,
    takeovers INTEGER NOT NULL DEFAULT 0,
    lease INTEGER, -- a row of leases
    tally TEXT NOT NULL,
    PRIMARY KEY (broadcast, number)
) WITHOUT ROWID;
-- Whether a broadcast has work is asked of all that run: most have none.
CREATE INDEX ranges_free ON ranges (broadcast, number) WHERE done = 0 AND lease IS NULL;

CREATE TABLE retries (
    broadcast INTEGER NOT NULL,
    id BLOB NOT NULL, -- 16 octets
    owner TEXT NOT NULL,
    subscription BLOB NOT NULL, -- its id, 32 octets
    origin TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    unconfirmed INTEGER NOT NULL,
    due INTEGER NOT NULL, -- milliseconds
    ttl_left INTEGER NOT NULL, -- milliseconds, when it was deferred
    deferred INTEGER NOT NULL, -- when that was, milliseconds
    lease INTEGER, -- a row of leases
    PRIMARY KEY (broadcast, id)
) WITHOUT ROWID;
CREATE INDEX retries_due ON retries (broadcast, due) WHERE lease IS NULL;
CREATE INDEX retries_by_lease ON retries (lease) WHERE lease IS NOT NULL;
CREATE INDEX retries_by_user ON retries (owner);

CREATE TABLE leases (
    number INTEGER PRIMARY KEY AUTOINCREMENT, -- the epoch: never used twice
    broadcast INTEGER NOT NULL,
    range INTEGER NOT NULL, -- 0: a batch of retries
    worker BLOB NOT NULL,
    until INTEGER NOT NULL, -- milliseconds
    checkpoint INTEGER NOT NULL DEFAULT 0 -- the number of the last one
);
CREATE INDEX leases_until ON leases (until);
CREATE INDEX leases_by_broadcast ON leases (broadcast);

CREATE TABLE failures (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    broadcast INTEGER NOT NULL,
    owner TEXT NOT NULL,
    subscription BLOB NOT NULL, -- its id, 32 octets
    origin TEXT NOT NULL,
    outcome TEXT NOT NULL,
    detail TEXT,
    attempts INTEGER NOT NULL
);
CREATE INDEX failures_by_broadcast ON failures (broadcast, number);
CREATE INDEX failures_by_user ON failures (owner);

-- What ended broadcasts to a channel add up to; survives their purge.
CREATE TABLE totals (
    channel TEXT PRIMARY KEY,
    broadcasts INTEGER NOT NULL,
    pruned INTEGER NOT NULL,
    counts TEXT NOT NULL
) WITHOUT ROWID;
