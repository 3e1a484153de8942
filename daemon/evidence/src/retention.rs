//! What leaves: what is too old, and the oldest where all takes too much.

use rusqlite::{Connection, params};

use crate::store::Limits;

/// Attempts removed in one transaction.
const STEP: u32 = 2000;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Which attempts leave first.
enum Which {
    Before(i64),
    NeverOffered,
    Any,
}

/// Removes what is too old or too much.
pub(crate) fn tidy(
    connection: &mut Connection,
    limits: &Limits,
    now_ms: i64,
) -> rusqlite::Result<()> {
    let days = i64::try_from(limits.days).unwrap_or(i64::MAX);
    let oldest = now_ms.saturating_sub(days.saturating_mul(DAY_MS));
    let mut removed = 0;
    loop {
        let gone = remove(connection, &Which::Before(oldest))?;
        removed += gone;
        if gone < STEP as usize {
            break;
        }
    }
    let mut which = Which::NeverOffered;
    if used(connection)? > limits.bytes {
        while used(connection)? > limits.bytes / 10 * 9 {
            let gone = remove(connection, &which)?;
            removed += gone;
            match (gone, &which) {
                (0, Which::NeverOffered) => which = Which::Any,
                (0, _) => break,
                _ => {}
            }
        }
    }
    if removed > 0 {
        connection.execute(
            "DELETE FROM search WHERE id < coalesce((SELECT min(search_id) FROM attempt), 0)",
            [],
        )?;
        // Each page that is given back is a row.
        let mut give_back = connection.prepare("PRAGMA incremental_vacuum")?;
        let mut rows = give_back.query([])?;
        while rows.next()?.is_some() {}
        drop(rows);
        drop(give_back);
        // The file gets shorter when the log is taken over; a reader may be in the way, until the next time.
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        tracing::info!(removed, "old attempts were removed");
    }
    Ok(())
}

/// Bytes that hold something.
fn used(connection: &Connection) -> rusqlite::Result<u64> {
    let number = |pragma: &str| {
        connection.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i64>(0))
    };
    let used = (number("page_count")? - number("freelist_count")?) * number("page_size")?;
    Ok(u64::try_from(used).unwrap_or_default())
}

fn remove(connection: &mut Connection, which: &Which) -> rusqlite::Result<usize> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(
        "CREATE TEMP TABLE IF NOT EXISTS leaving (id INTEGER PRIMARY KEY);
         CREATE TEMP TABLE IF NOT EXISTS leaving_text (id INTEGER PRIMARY KEY);
         DELETE FROM leaving; DELETE FROM leaving_text;",
    )?;
    let insert = |condition: &str| {
        format!("INSERT INTO leaving SELECT id FROM attempt {condition} LIMIT {STEP}")
    };
    let gone = match which {
        Which::Before(oldest) => {
            transaction.execute(&insert("WHERE at_ms < ?1 ORDER BY at_ms"), params![oldest])?
        }
        Which::NeverOffered => {
            transaction.execute(&insert("WHERE offered_ms IS NULL ORDER BY id"), [])?
        }
        Which::Any => transaction.execute(&insert("ORDER BY id"), [])?,
    };
    if gone > 0 {
        transaction.execute_batch(
            "INSERT OR IGNORE INTO leaving_text
                 SELECT text_id FROM quote WHERE attempt_id IN (SELECT id FROM leaving);
             DELETE FROM quote WHERE attempt_id IN (SELECT id FROM leaving);
             DELETE FROM text WHERE id IN (SELECT id FROM leaving_text)
                 AND NOT EXISTS (SELECT 1 FROM quote WHERE quote.text_id = text.id);
             DELETE FROM attempt WHERE id IN (SELECT id FROM leaving);",
        )?;
    }
    transaction.commit()?;
    Ok(gone)
}
