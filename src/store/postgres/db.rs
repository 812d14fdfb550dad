//! What all statements go through.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use bytes::BytesMut;
use deadpool_postgres::{GenericClient, Object, Pool, Transaction};
use tokio_postgres::types::{Format, IsNull, ToSql, Type};
use tokio_postgres::{IsolationLevel, Row};

use super::error::PgError;
use super::listen::Listener;
use super::migrate;

/// The database: connections, what tells it from others, and who hears of new work.
pub(super) struct Db {
    pool: Pool,
    tag: [u8; 8],
    listener: Option<Listener>,
}

/// A transaction that came in others' way this often is left to the caller's patience.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(2);

impl Db {
    /// Connects once, and makes the tables where they are missing.
    pub(super) async fn open(pool: Pool, listener: Option<Listener>) -> Result<Self, PgError> {
        let tag = migrate::migrate(&mut pool.get().await?).await?;
        Ok(Self { pool, tag, listener })
    }

    /// A connection, from the pool.
    pub(super) async fn client(&self) -> Result<Object, PgError> {
        Ok(self.pool.get().await?)
    }

    /// What tells this database from others, in positions, ranges and lease tokens.
    pub(super) const fn tag(&self) -> [u8; 8] {
        self.tag
    }

    /// Who hears of new work, where anybody does.
    pub(super) const fn listener(&self) -> Option<&Listener> {
        self.listener.as_ref()
    }
}

/// Begins a transaction in which each statement sees what others committed before it: who holds a
/// lock then sees what was done under it.
pub(super) async fn begin(client: &mut Object) -> Result<Transaction<'_>, PgError> {
    let transaction = client.build_transaction().isolation_level(IsolationLevel::ReadCommitted);
    Ok(transaction.start().await?)
}

/// Asks, by a statement that the connection keeps prepared.
pub(super) async fn query(
    client: &impl GenericClient,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, PgError> {
    let statement = client.prepare_cached(sql).await?;
    let parameters: Vec<Quiet<'_>> = parameters.iter().map(|parameter| Quiet(*parameter)).collect();
    Ok(client.query(&statement, &Quiet::all(&parameters)).await?)
}

/// Changes, by a statement that the connection keeps prepared. Returns the number of rows.
pub(super) async fn execute(
    client: &impl GenericClient,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<u64, PgError> {
    let statement = client.prepare_cached(sql).await?;
    let parameters: Vec<Quiet<'_>> = parameters.iter().map(|parameter| Quiet(*parameter)).collect();
    Ok(client.execute(&statement, &Quiet::all(&parameters)).await?)
}

/// A parameter that is sent and not shown: the driver logs parameters, and they are endpoints,
/// keys and payloads (S-12).
struct Quiet<'a>(&'a (dyn ToSql + Sync));

impl<'a> Quiet<'a> {
    fn all(parameters: &'a [Self]) -> Vec<&'a (dyn ToSql + Sync)> {
        parameters.iter().map(|parameter| parameter as _).collect()
    }
}

impl fmt::Debug for Quiet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

impl ToSql for Quiet<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        self.0.to_sql_checked(kind, out)
    }

    // What is inside is asked when it is written.
    fn accepts(_: &Type) -> bool {
        true
    }

    fn to_sql_checked(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        self.0.to_sql_checked(kind, out)
    }

    fn encode_format(&self, kind: &Type) -> Format {
        self.0.encode_format(kind)
    }
}

/// Does a transaction again when it came in the way of another. `transaction` begins one each
/// time, and has done nothing when it fails.
pub(super) async fn retrying<T, F>(mut transaction: impl FnMut() -> F) -> Result<T, PgError>
where
    F: Future<Output = Result<T, PgError>>,
{
    for attempt in 1.. {
        match transaction().await {
            Err(error) if error.is_collision() && attempt < TRIES => {
                // Those who collided must not meet again.
                tokio::time::sleep(PAUSE.mul_f64(f64::from(1 << attempt.min(6)) * fastrand::f64())).await;
            }
            result => return result,
        }
    }
    Err(PgError::Raced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_sent_and_not_shown() {
        let (number, text) = (7_i64, "https://push.example.net/secret");
        let plain: [(&(dyn ToSql + Sync), Type); 2] = [(&number, Type::INT8), (&text, Type::TEXT)];
        for (plain, kind) in plain {
            assert_eq!(format!("{:?} {:?}", Quiet(plain), Quiet::all(&[Quiet(plain)])), ".. [..]");
            let (mut sent, mut expected) = (BytesMut::new(), BytesMut::new());
            Quiet(plain).to_sql_checked(&kind, &mut sent).unwrap();
            plain.to_sql_checked(&kind, &mut expected).unwrap();
            assert_eq!(sent, expected);
            assert!(Quiet(plain).to_sql_checked(&Type::BOOL, &mut sent).is_err(), "the wrong type");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_collision_is_tried_again_but_not_for_ever() {
        let mut calls = 0;
        let result = retrying(|| {
            calls += 1;
            let result = if calls < 4 { Err(PgError::Raced) } else { Ok(calls) };
            async { result }
        });
        assert_eq!(result.await.unwrap(), 4);

        let mut calls = 0;
        let result = retrying(|| {
            calls += 1;
            async { Err::<(), _>(PgError::Raced) }
        });
        assert!(matches!(result.await, Err(PgError::Raced)));
        assert_eq!(calls, TRIES);
    }

    #[tokio::test]
    async fn what_is_no_collision_is_not_tried_again() {
        let mut calls = 0;
        let result = retrying(|| {
            calls += 1;
            async { Err::<(), _>(PgError::Busy) }
        });
        assert!(matches!(result.await, Err(PgError::Busy)));
        assert_eq!(calls, 1);
    }
}
