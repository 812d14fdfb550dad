//! Several nodes on one PostgreSQL: what they share, and what outages, clocks and upgrades do to them.

#![cfg(all(feature = "postgres", unix))]
#![allow(clippy::unwrap_used, unreachable_pub, reason = "in a test, a panic is the message")]

#[path = "postgres_nodes/clocks.rs"]
mod clocks;
#[path = "postgres_nodes/control.rs"]
mod control;
#[path = "postgres_nodes/crowd.rs"]
mod crowd;
#[path = "postgres_nodes/load.rs"]
mod load;
#[path = "postgres_nodes/meter.rs"]
mod meter;
#[path = "postgres_nodes/nodes.rs"]
mod nodes;
#[path = "postgres_nodes/outage.rs"]
mod outage;
#[path = "support/postgres.rs"]
mod postgres;
#[path = "support/proxy.rs"]
mod proxy;
#[path = "postgres_nodes/publishing.rs"]
mod publishing;
#[path = "postgres_nodes/server.rs"]
mod server;
#[path = "postgres_nodes/sharing.rs"]
mod sharing;
mod support;
#[path = "postgres_nodes/upgrade.rs"]
mod upgrade;
