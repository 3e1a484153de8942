//! The thread that writes: batches of what waits, one transaction each.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rusqlite::Connection;

use crate::database::{self, OpenError, is_damage, move_aside};
use crate::retention;
use crate::store::{Message, Options, Shared, chain, lock};
use crate::write;

/// Records written in one transaction.
const BATCH: usize = 512;
/// How often what is too old or too much is looked for.
const TIDY: Duration = Duration::from_secs(600);
/// And after so many records.
const TIDY_RECORDS: usize = 20_000;

/// The only connection that writes.
pub(crate) struct Writer {
    pub(crate) connection: Connection,
}

impl Writer {
    pub(crate) fn open(options: &Options) -> Result<Self, OpenError> {
        let connection = database::open(&options.path)?;
        if let Some(most) = options.most_pages {
            let set = connection.pragma_update_and_check(None, "max_page_count", most, |_| Ok(()));
            set.map_err(|source| OpenError::Sqlite { path: options.path.clone(), source })?;
        }
        Ok(Self { connection })
    }

    /// The greatest numbers that were ever used, of searches and of attempts.
    pub(crate) fn last_numbers(&self) -> (u64, u64) {
        let last = |table: &str| {
            let sql = "SELECT seq FROM sqlite_sequence WHERE name = ?1";
            let last = self.connection.query_row(sql, [table], |row| row.get::<_, i64>(0));
            last.ok().and_then(|last| u64::try_from(last).ok()).unwrap_or(0)
        };
        (last("search"), last("attempt"))
    }
}

/// Moves a damaged database aside and begins a new one.
pub(crate) fn start_over(options: &Options, shared: &Shared) -> Result<Writer, OpenError> {
    let aside = move_aside(&options.path)?;
    shared.notice(format!(
        "the record of attempts was damaged: it is now {}, and a new one was begun",
        aside.display()
    ));
    Writer::open(options)
}

pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Writes until the end.
pub(crate) fn run(
    mut writer: Writer,
    options: Options,
    shared: &Shared,
    queue: &Receiver<Message>,
) {
    watch(&writer, shared);
    let (mut tidied, mut records) = (Instant::now(), TIDY_RECORDS);
    loop {
        if tidied.elapsed() >= TIDY || records >= TIDY_RECORDS {
            (tidied, records) = (Instant::now(), 0);
            if let Err(error) = retention::tidy(&mut writer.connection, &options.limits, now_ms())
                && !mend(&mut writer, &options, shared, &error)
            {
                return;
            }
        }
        let first = match queue.recv_timeout(TIDY) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return close(&writer),
        };
        let mut batch = vec![first];
        while batch.len() < BATCH
            && !matches!(batch.last(), Some(Message::End | Message::Damaged))
            && let Ok(message) = queue.try_recv()
        {
            batch.push(message);
        }
        records += batch.len();
        let ends = matches!(batch.last(), Some(Message::End));
        let damaged = matches!(batch.last(), Some(Message::Damaged));
        let (writes, after) = sort(batch);
        if let Err(error) = write_all(&mut writer, &options, shared, &writes) {
            let mended = is_damage(&error) && mend(&mut writer, &options, shared, &error);
            // What belongs to the database of before makes no sense in a new one but by itself.
            let again =
                if mended { write_all(&mut writer, &options, shared, &writes) } else { Err(error) };
            match again {
                Ok(()) => {}
                Err(error) => failed(shared, &error, writes.len()),
            }
        }
        writes.iter().for_each(|message| shared.took(size(message)));
        if damaged && !still_whole(&writer) {
            let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
            let error = rusqlite::Error::SqliteFailure(code, None);
            if !mend(&mut writer, &options, shared, &error) {
                return;
            }
        }
        for message in after {
            answer(&mut writer, shared, message);
        }
        if ends {
            return close(&writer);
        }
    }
}

/// What is written, and what is answered once it is.
fn sort(batch: Vec<Message>) -> (Vec<Message>, Vec<Message>) {
    let waits = |message: &Message| {
        matches!(
            message,
            Message::Settle(_) | Message::Redact { .. } | Message::End | Message::Damaged
        )
    };
    batch.into_iter().partition(|message| !waits(message))
}

fn write_all(
    writer: &mut Writer,
    options: &Options,
    shared: &Shared,
    writes: &[Message],
) -> rusqlite::Result<()> {
    if writes.is_empty() {
        return Ok(());
    }
    let transaction = writer.connection.transaction()?;
    let mut watch_again = false;
    let mut into = write::Batch::new(&transaction, options.limits.texts);
    for message in writes {
        match message {
            Message::Search(search) => into.search(search)?,
            Message::SearchEnd(end) => into.search_end(end)?,
            Message::Attempt(attempt) => into.attempt(attempt)?,
            Message::Decision { fix, decision } => {
                watch_again |= into.decision(fix, *decision)?;
            }
            Message::Looked { root, path, text, branch } => {
                watch_again |= into.looked(root, path, text.as_deref(), branch.as_deref())?;
            }
            Message::Redact { .. } | Message::Settle(_) | Message::End | Message::Damaged => {}
        }
    }
    into.finish()?;
    transaction.commit()?;
    if lock(&shared.problem).take().is_some() {
        shared.notice("attempts are recorded again".to_owned());
    }
    if watch_again {
        watch(writer, shared);
    }
    Ok(())
}

fn size(message: &Message) -> usize {
    match message {
        Message::Attempt(attempt) => attempt.size(),
        Message::Looked { text, .. } => text.as_ref().map_or(0, |text| text.len()),
        _ => 0,
    }
}

/// Nothing of a batch was written.
fn failed(shared: &Shared, error: &rusqlite::Error, records: usize) {
    let why = format!("attempts cannot be recorded: {}", chain(error));
    tracing::warn!(why, records, "records are dropped");
    shared.dropped.fetch_add(records as u64, std::sync::atomic::Ordering::Relaxed);
    *lock(&shared.problem) = Some(why);
}

/// Begins a new database where this one is broken. `false` when nothing can be written any more.
fn mend(writer: &mut Writer, options: &Options, shared: &Shared, error: &rusqlite::Error) -> bool {
    if !is_damage(error) {
        tracing::warn!(error = chain(error), "the record of attempts cannot be tidied");
        return true;
    }
    // Its connection has to be closed before its files are renamed.
    let Ok(nothing) = Connection::open_in_memory() else { return false };
    drop(std::mem::replace(&mut writer.connection, nothing));
    match start_over(options, shared) {
        Ok(new) => {
            *writer = new;
            lock(&shared.watched).clear();
            true
        }
        Err(error) => {
            *lock(&shared.problem) = Some(chain(&error));
            false
        }
    }
}

/// Whether a complaint about damage is wrong, or about the database of before.
fn still_whole(writer: &Writer) -> bool {
    let check =
        writer.connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    check.is_ok_and(|said| said == "ok")
}

fn answer(writer: &mut Writer, shared: &Shared, message: Message) {
    match message {
        Message::Settle(done) => {
            // Who asked may not wait any more.
            let _gone = done.try_send(());
        }
        Message::Redact { attempt, done } => redact(writer, shared, attempt, &done),
        _ => {}
    }
}

fn redact(
    writer: &mut Writer,
    shared: &Shared,
    attempt: u64,
    done: &SyncSender<Result<bool, String>>,
) {
    let result = write::redact(&mut writer.connection, attempt);
    watch(writer, shared);
    let _gone = done.try_send(result.map_err(|error| chain(&error)));
}

/// Notes which files applied fixes changed.
fn watch(writer: &Writer, shared: &Shared) {
    match write::applied_files(&writer.connection) {
        Ok(files) => {
            let absolute = |(root, path): (PathBuf, String)| join(&root, &path);
            *lock(&shared.watched) = files.into_iter().map(absolute).collect::<BTreeSet<_>>();
        }
        Err(error) => tracing::warn!(error = chain(&error), "applied fixes are not watched"),
    }
}

pub(crate) fn join(root: &Path, path: &str) -> PathBuf {
    path.split('/').fold(root.to_owned(), |whole, part| whole.join(part))
}

/// Leaves one file where it can.
fn close(writer: &Writer) {
    if let Err(error) =
        writer.connection.execute_batch("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE)")
    {
        tracing::debug!(%error, "the log of the database stays");
    }
}
