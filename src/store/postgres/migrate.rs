//! The tables: made once, by whichever node comes first.

use deadpool_postgres::{Object, Transaction};

use super::db::{begin, execute};
use super::error::PgError;
use crate::store::sql::{Damaged, SCHEMA};

/// What leads from one version of the tables to the next.
const STEPS: [&str; 2] = [include_str!("schema.sql"), include_str!("schema_2.sql")];
/// The oldest release that can use the tables as they are made now, by the version that it knows.
const MIN_READER: i64 = 1;
/// Held while tables are made: "webpushc" as a number.
const LOCK: i64 = 0x7765_6270_7573_6863;

/// Not `to_regclass`, which may go on saying what it said before the lock was waited for.
const IS_THERE: &str = "SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     WHERE n.nspname = 'webpush_channels' AND c.relname = 'meta'";

/// What a database says of itself.
struct Meta {
    schema: i64,
    min_reader: i64,
    tag: [u8; 8],
}

/// Makes the tables where they are missing. Returns what tells this database from others.
pub(super) async fn migrate(client: &mut Object) -> Result<[u8; 8], PgError> {
    let transaction = begin(client).await?;
    let meta = match read(&transaction).await? {
        Some(meta) if meta.schema >= SCHEMA => meta,
        _ => {
            // Another node's tables may take longer than a statement is allowed to wait.
            transaction.batch_execute("SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0").await?;
            transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
            upgrade(&transaction).await?
        }
    };
    if meta.min_reader > SCHEMA {
        return Err(PgError::Newer { needed: meta.min_reader, known: SCHEMA });
    }
    transaction.commit().await?;
    Ok(meta.tag)
}

/// Takes the steps that are still to be taken, once nobody else can.
async fn upgrade(transaction: &Transaction<'_>) -> Result<Meta, PgError> {
    let found = read(transaction).await?;
    let from = found.as_ref().map_or(0, |meta| meta.schema);
    let steps = usize::try_from(from).ok().and_then(|from| STEPS.get(from..)).unwrap_or_default();
    if found.is_none() {
        transaction.batch_execute("CREATE SCHEMA IF NOT EXISTS webpush_channels").await?;
    }
    transaction.batch_execute("SET LOCAL search_path TO webpush_channels").await?;
    for step in steps {
        transaction.batch_execute(step).await?;
    }
    let mut tag = found.as_ref().map_or([0; 8], |meta| meta.tag);
    if found.is_none() {
        getrandom::fill(&mut tag).map_err(PgError::Random)?;
    }
    let meta = Meta { schema: from.max(SCHEMA), min_reader: MIN_READER, tag };
    if !steps.is_empty() {
        write(transaction, &meta).await?;
    }
    Ok(meta)
}

async fn read(transaction: &Transaction<'_>) -> Result<Option<Meta>, PgError> {
    if transaction.query_opt(IS_THERE, &[]).await?.is_none() {
        return Ok(None);
    }
    let rows = transaction.query("SELECT name, value FROM webpush_channels.meta", &[]).await?;
    let mut values = Vec::with_capacity(rows.len());
    for row in rows {
        values.push((row.try_get::<_, String>(0)?, row.try_get::<_, String>(1)?));
    }
    parse(&values).map(Some).map_err(|column| Damaged::new("meta", column).into())
}

fn parse(values: &[(String, String)]) -> Result<Meta, &'static str> {
    let value = |column: &'static str| {
        let value = values.iter().find(|(name, _)| name == column).map(|(_, value)| value.as_str());
        value.ok_or(column)
    };
    let number = |column| {
        let number = value(column)?.parse::<i64>().ok();
        number.filter(|number| *number > 0).ok_or(column)
    };
    let tag = value("tag")?;
    let tag = Some(tag).filter(|tag| tag.len() == 16).and_then(|tag| u64::from_str_radix(tag, 16).ok());
    Ok(Meta {
        schema: number("schema")?,
        min_reader: number("min_reader")?,
        tag: tag.ok_or("tag")?.to_be_bytes(),
    })
}

async fn write(transaction: &Transaction<'_>, meta: &Meta) -> Result<(), PgError> {
    let tag = format!("{:016x}", u64::from_be_bytes(meta.tag));
    let values = [meta.schema.to_string(), meta.min_reader.to_string(), tag];
    let sql = "INSERT INTO webpush_channels.meta (name, value) SELECT * FROM unnest($1::text[], $2::text[]) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    execute(transaction, sql, &[&["schema", "min_reader", "tag"].as_slice(), &values.as_slice()]).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(schema: &str, min_reader: &str, tag: &str) -> Result<(i64, i64, [u8; 8]), &'static str> {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let values = [pair("tag", tag), pair("schema", schema), pair("min_reader", min_reader)];
        parse(&values).map(|meta| (meta.schema, meta.min_reader, meta.tag))
    }

    #[test]
    fn each_version_has_its_step() {
        assert_eq!(i64::try_from(STEPS.len()), Ok(SCHEMA));
    }

    #[test]
    fn damage_names_its_row() {
        assert_eq!(parsed("1", "1", "0102030405060708"), Ok((1, 1, [1, 2, 3, 4, 5, 6, 7, 8])));
        assert_eq!(parsed("x", "1", "0102030405060708"), Err("schema"));
        assert_eq!(parsed("0", "1", "0102030405060708"), Err("schema"));
        assert_eq!(parsed("1", "", "0102030405060708"), Err("min_reader"));
        assert_eq!(parsed("1", "1", "01020304050607"), Err("tag"));
        assert_eq!(parsed("1", "1", "010203040506070g"), Err("tag"));
        assert_eq!(parse(&[]).err(), Some("tag"));
    }
}
