//! Where rows come from: a table of SQLite, or lines of JSON.

use std::error::Error;
use std::io::BufRead as _;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};
use serde_json::{Map, Value};
use tokio::sync::mpsc::{Receiver, Sender, channel};

type Failure = Box<dyn Error + Send + Sync>;

/// A numbered row, or why there is none.
pub(super) type Numbered = Result<(u64, Result<Value, String>), Failure>;

/// Reads on a thread of its own, and never more than a few batches ahead.
pub(super) fn read(table: Option<(String, String)>) -> Receiver<Numbered> {
    let (rows, receiver) = channel(4000);
    std::thread::spawn(move || {
        let read = match table {
            Some((file, table)) => read_table(&file, &table, &rows),
            None => read_lines(&rows),
        };
        if let Err(error) = read {
            let _ = rows.blocking_send(Err(error));
        }
    });
    receiver
}

fn read_lines(rows: &Sender<Numbered>) -> Result<(), Failure> {
    for (number, line) in (1..).zip(std::io::stdin().lock().lines()) {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        // The parser's own words quote the line.
        let row = serde_json::from_str(&line).map_err(|_| "not JSON".to_owned());
        if rows.blocking_send(Ok((number, row))).is_err() {
            break;
        }
    }
    Ok(())
}

fn read_table(file: &str, table: &str, rows: &Sender<Numbered>) -> Result<(), Failure> {
    let database = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut query = database.prepare(&format!("SELECT * FROM \"{}\"", table.replace('"', "\"\"")))?;
    let names: Vec<String> = query.column_names().into_iter().map(str::to_owned).collect();
    let mut found = query.query([])?;
    let mut number = 0;
    while let Some(row) = found.next()? {
        number += 1;
        if rows.blocking_send(Ok((number, object(row, &names)))).is_err() {
            break;
        }
    }
    Ok(())
}

fn object(row: &Row<'_>, names: &[String]) -> Result<Value, String> {
    let mut object = Map::new();
    for (index, name) in names.iter().enumerate() {
        let value = match row.get_ref(index).map_err(|_| format!("{name} cannot be read"))? {
            ValueRef::Integer(number) => number.into(),
            ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
            ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) => Value::Null,
        };
        object.insert(name.clone(), value);
    }
    Ok(object.into())
}
