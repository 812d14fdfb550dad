-- Version 1, all in the schema webpush_channels: a database may be shared with an application. Numbers are given in
-- sequence and never used twice; rows are clustered by them. Times of people are seconds, times of leases and deadlines milliseconds since 1970.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL -- schema, min_reader, tag (8 octets in hex that tell this database from others)
);

CREATE SEQUENCE subscription_number;
CREATE SEQUENCE join_number;
CREATE SEQUENCE lease_order;

CREATE TABLE users (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    subscriptions BIGINT NOT NULL DEFAULT 0 -- how many rows below are this user's
);

CREATE TABLE subscriptions (
    owner BIGINT NOT NULL,
    number BIGINT NOT NULL,
    id BYTEA NOT NULL UNIQUE, -- SHA-256 of the endpoint
    endpoint TEXT NOT NULL,
    p256dh BYTEA NOT NULL,
    auth BYTEA NOT NULL,
    key BYTEA,
    coding SMALLINT NOT NULL,
    payload_limit INTEGER,
    needs_renewal BOOLEAN NOT NULL,
    expires BIGINT, -- milliseconds
    created BIGINT NOT NULL,
    seen BIGINT NOT NULL,
    version BYTEA NOT NULL,
    PRIMARY KEY (owner, number)
) WITH (fillfactor = 90); -- an entry that is marked stays in its page, and the indexes as they are
CREATE INDEX subscriptions_needing_renewal ON subscriptions (owner, number) WHERE needs_renewal;

-- Ids that entries had before they were replaced: the last eight of each.
CREATE TABLE former_ids (
    id BYTEA PRIMARY KEY,
    owner BIGINT NOT NULL,
    number BIGINT NOT NULL,
    since BIGINT NOT NULL -- order of replacements of one entry
);
CREATE INDEX former_ids_by_entry ON former_ids (owner, number, since);

CREATE TABLE channels (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

CREATE TABLE members (
    channel BIGINT NOT NULL,
    owner BIGINT NOT NULL,
    joined BIGINT NOT NULL, -- the number of the joining
    PRIMARY KEY (channel, owner)
);
CREATE INDEX members_by_user ON members (owner, channel);

CREATE TABLE broadcasts (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    fingerprint BYTEA NOT NULL,
    audience_kind SMALLINT NOT NULL, -- 0: channel, 1: user
    audience TEXT NOT NULL,
    payload BYTEA NOT NULL,
    ttl BIGINT NOT NULL,
    urgency TEXT NOT NULL,
    urgency_rank SMALLINT NOT NULL, -- higher is leased first, among equals
    collapse_key TEXT,
    padding_kind SMALLINT NOT NULL,
    padding INTEGER NOT NULL,
    send_within BIGINT NOT NULL, -- milliseconds
    created BIGINT NOT NULL, -- milliseconds
    ended BIGINT, -- milliseconds; NULL while it runs
    state SMALLINT NOT NULL DEFAULT 0, -- 0: running, 1: finished, 2: timed out, 3: aborted
    paused BOOLEAN NOT NULL DEFAULT FALSE,
    per_minute BIGINT,
    leased BIGINT NOT NULL DEFAULT 0, -- order of the last lease: the least recent comes first
    tally TEXT -- the sums, once it has ended; its ranges are gone then
);
CREATE INDEX broadcasts_running ON broadcasts (leased, urgency_rank DESC, number) WHERE ended IS NULL;
CREATE INDEX broadcasts_ended ON broadcasts (ended) WHERE ended IS NOT NULL;

-- Range 0 of each broadcast is always done: it holds the sums of its retries.
CREATE TABLE ranges (
    broadcast BIGINT NOT NULL,
    number BIGINT NOT NULL,
    octets BYTEA NOT NULL,
    position BYTEA,
    done BOOLEAN NOT NULL DEFAULT FALSE,
    timed_out BOOLEAN NOT NULL DEFAULT FALSE,
    takeovers BIGINT NOT NULL DEFAULT 0,
    lease BIGINT, -- a row of leases
    tally TEXT NOT NULL,
    PRIMARY KEY (broadcast, number)
);
-- Whether a broadcast has work is asked of all that run: most have none.
CREATE INDEX ranges_free ON ranges (broadcast, number) WHERE lease IS NULL AND NOT done;

CREATE TABLE retries (
    broadcast BIGINT NOT NULL,
    id BYTEA NOT NULL, -- 16 octets
    owner TEXT NOT NULL,
    subscription BYTEA NOT NULL, -- its id, 32 octets
    origin TEXT NOT NULL,
    attempts SMALLINT NOT NULL,
    failures SMALLINT NOT NULL,
    unconfirmed BOOLEAN NOT NULL,
    due BIGINT NOT NULL, -- milliseconds
    ttl_left BIGINT NOT NULL, -- milliseconds, when it was deferred
    deferred BIGINT NOT NULL, -- when that was, milliseconds
    lease BIGINT, -- a row of leases
    PRIMARY KEY (broadcast, id)
);
CREATE INDEX retries_due ON retries (broadcast, due) WHERE lease IS NULL;
CREATE INDEX retries_by_lease ON retries (lease) WHERE lease IS NOT NULL;
CREATE INDEX retries_by_user ON retries (owner);

CREATE TABLE leases (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- the epoch: never used twice
    broadcast BIGINT NOT NULL,
    range BIGINT NOT NULL, -- 0: a batch of retries
    worker BYTEA NOT NULL,
    until BIGINT NOT NULL, -- milliseconds
    checkpoint BIGINT NOT NULL DEFAULT 0 -- the number of the last one
);
-- None on until, which each checkpoint changes: leases are few.
CREATE INDEX leases_by_broadcast ON leases (broadcast);

CREATE TABLE failures (
    broadcast BIGINT NOT NULL,
    number BIGINT GENERATED ALWAYS AS IDENTITY,
    owner TEXT NOT NULL,
    subscription BYTEA NOT NULL, -- its id, 32 octets
    origin TEXT NOT NULL,
    outcome TEXT NOT NULL,
    detail TEXT,
    attempts SMALLINT NOT NULL,
    PRIMARY KEY (broadcast, number)
);
CREATE INDEX failures_by_user ON failures (owner);

-- What ended broadcasts to a channel add up to; survives their purge.
CREATE TABLE totals (
    channel TEXT PRIMARY KEY,
    broadcasts BIGINT NOT NULL,
    pruned BIGINT NOT NULL,
    counts TEXT NOT NULL
);
