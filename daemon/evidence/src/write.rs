//! One batch of records, within a transaction.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use greenlit_protocol::TraceSearch;
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use crate::record::{Attempt, Decision, Detail, Search, SearchEnd};
use crate::reverted::is_reverted;
use crate::texts::{pack, unpack};
use crate::totals::{BUCKETS_MS, Sums};
use crate::writer::now_ms;

/// Applied fixes whose files are watched, newest first.
const WATCHED: u32 = 500;

/// A batch.
pub(crate) struct Batch<'a> {
    connection: &'a Connection,
    /// Whether prompts and replies are kept.
    texts: bool,
    sums: Sums,
    roots: HashMap<PathBuf, i64>,
    now: i64,
}

/// A value as one field.
fn packed(value: &impl Serialize) -> rusqlite::Result<Vec<u8>> {
    let json = serde_json::to_vec(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    Ok(pack(&json))
}

pub(crate) fn unpacked<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(&unpack(bytes).ok()?).ok()
}

fn number(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}

impl<'a> Batch<'a> {
    pub(crate) fn new(connection: &'a Connection, texts: bool) -> Self {
        Self { connection, texts, sums: Sums::default(), roots: HashMap::new(), now: now_ms() }
    }

    /// Writes the sums.
    pub(crate) fn finish(self) -> rusqlite::Result<()> {
        self.sums.write(self.connection)
    }

    fn root(&mut self, path: &Path) -> rusqlite::Result<i64> {
        if let Some(id) = self.roots.get(path) {
            return Ok(*id);
        }
        let text = path.to_string_lossy();
        let mut insert =
            self.connection.prepare_cached("INSERT OR IGNORE INTO root (path) VALUES (?1)")?;
        insert.execute([&text])?;
        let mut find = self.connection.prepare_cached("SELECT id FROM root WHERE path = ?1")?;
        let id = find.query_row([&text], |row| row.get(0))?;
        self.roots.insert(path.to_owned(), id);
        Ok(id)
    }

    pub(crate) fn search(&mut self, search: &Search) -> rusqlite::Result<()> {
        let root = self.root(&search.root)?;
        let about = TraceSearch { id: search.id, at_ms: self.now, ..search.about.clone() };
        self.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO search (id, root_id, at_ms, kind, branch, detail)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                number(search.id),
                root,
                self.now,
                about.kind,
                about.branch,
                packed(&about)?
            ])?;
        Ok(())
    }

    pub(crate) fn search_end(&mut self, end: &SearchEnd) -> rusqlite::Result<()> {
        let found = self
            .connection
            .prepare_cached("SELECT detail FROM search WHERE id = ?1")?
            .query_row([number(end.id)], |row| row.get::<_, Vec<u8>>(0))
            .optional()?;
        // Its beginning may have been dropped.
        let Some(mut about) = found.and_then(|detail| unpacked::<TraceSearch>(&detail)) else {
            return Ok(());
        };
        about.stats = Some(end.stats.clone());
        about.fallen.clone_from(&end.fallen);
        about.localization.clone_from(&end.localization);
        about.retrieval.clone_from(&end.retrieval);
        about.ended = Some(end.ended.clone());
        self.connection
            .prepare_cached("UPDATE search SET detail = ?2 WHERE id = ?1")?
            .execute(params![number(end.id), packed(&about)?])?;
        let sums = &mut self.sums;
        let ended = match end.ended.as_str() {
            known @ ("fixed" | "nothing found" | "nothing fails" | "cancelled") => known,
            _ => "error",
        };
        sums.add("searches", &[("kind", &about.kind), ("ended", ended)], 1);
        sums.add("search_ms", &[("kind", &about.kind)], end.stats.elapsed_ms);
        sums.add("search_cpu_ms", &[("kind", &about.kind)], end.stats.cpu_ms);
        let counts = end.stats.candidates;
        for (what, count) in [
            ("generated", counts.generated),
            ("refused", counts.rejected_static),
            ("known", counts.known),
            ("built", counts.built),
            ("run", counts.run),
            ("verified", counts.verified),
        ] {
            sums.add("candidates", &[("what", what)], count);
        }
        for (tier, model, rounds) in &end.rounds {
            sums.add("model_rounds", &[("tier", tier), ("model", model)], *rounds);
        }
        Ok(())
    }

    pub(crate) fn attempt(&mut self, attempt: &Attempt) -> rusqlite::Result<()> {
        let root = self.root(&attempt.root)?;
        let id = number(attempt.id);
        let known: Option<(bool, Option<i64>, bool)> = self
            .connection
            .prepare_cached("SELECT called, offered_ms, redacted FROM attempt WHERE id = ?1")?
            .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        if known.is_some_and(|(.., redacted)| redacted) {
            return Ok(());
        }
        let detail = Detail {
            summary: attempt.summary.clone(),
            failure: attempt.failure.clone(),
            diff: attempt.diff.clone(),
            edits: attempt.edits.clone(),
            call: attempt.call.clone(),
            evidence: attempt.evidence.clone(),
        };
        self.connection
            .prepare_cached(
                "INSERT INTO attempt (id, search_id, root_id, at_ms, tier, rule, model, adapter,
                     verdict, reason, fix, offered_ms, called, private, detail)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
                 ON CONFLICT (id) DO UPDATE SET
                     tier = excluded.tier, rule = excluded.rule, model = excluded.model,
                     adapter = excluded.adapter, verdict = excluded.verdict,
                     reason = excluded.reason, fix = excluded.fix,
                     offered_ms = coalesce(offered_ms, excluded.offered_ms),
                     called = max(called, excluded.called), private = max(private, excluded.private),
                     detail = excluded.detail",
            )?
            .execute(params![
                id,
                number(attempt.search),
                root,
                self.now,
                attempt.tier,
                attempt.rule,
                attempt.model,
                attempt.adapter,
                attempt.verdict,
                attempt.reason,
                attempt.fix,
                attempt.offered.then_some(self.now),
                attempt.call.is_some(),
                attempt.private,
                packed(&detail)?
            ])?;
        self.quotes(attempt)?;
        let (called, offered) =
            known.map_or((false, false), |(called, offered, _)| (called, offered.is_some()));
        if known.is_none() {
            let label = [("tier", &*attempt.tier), ("verdict", &*attempt.verdict)];
            self.sums.add("attempts", &label, 1);
            let why = attempt.reason.as_ref().and_then(|why| why.strip_prefix("verification: "));
            if let Some(why) = why {
                self.sums.add("verification_falls", &[("why", why)], 1);
            }
        }
        if attempt.offered && !offered {
            self.sums.add("offered", &[("tier", &attempt.tier)], 1);
            self.retrieved(attempt, "offered");
        }
        if !called {
            self.call(attempt);
        }
        Ok(())
    }

    fn quotes(&mut self, attempt: &Attempt) -> rusqlite::Result<()> {
        if let (true, Some(prompt)) = (self.texts, &attempt.prompt) {
            let json = serde_json::to_vec(&prompt[..])
                .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
            self.quote(attempt.id, "prompt", &json)?;
        }
        if let (true, Some(reply)) = (self.texts, &attempt.reply) {
            self.quote(attempt.id, "reply", reply.as_bytes())?;
        }
        for (path, text) in &attempt.files {
            self.quote(attempt.id, &format!("file:{path}"), text.as_bytes())?;
        }
        Ok(())
    }

    fn quote(&self, attempt: u64, role: &str, bytes: &[u8]) -> rusqlite::Result<()> {
        let hash = blake3::hash(bytes);
        let find = "SELECT id FROM text WHERE hash = ?1";
        let known: Option<i64> = self
            .connection
            .prepare_cached(find)?
            .query_row([hash.as_bytes()], |row| row.get(0))
            .optional()?;
        let text = match known {
            Some(text) => text,
            None => {
                self.connection
                    .prepare_cached("INSERT INTO text (hash, body) VALUES (?1, ?2)")?
                    .execute(params![hash.as_bytes(), pack(bytes)])?;
                self.connection.last_insert_rowid()
            }
        };
        self.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO quote (attempt_id, role, text_id) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![number(attempt), role, text])?;
        Ok(())
    }

    fn call(&mut self, attempt: &Attempt) {
        let Some(call) = &attempt.call else { return };
        let adapter = call.adapter.as_deref().unwrap_or_default();
        let model = [("tier", &*attempt.tier), ("model", &call.model), ("adapter", adapter)];
        let ending = match attempt.verdict.as_str() {
            known @ ("invalid" | "failed" | "cancelled" | "repeated") => known,
            _ => "used",
        };
        let sums = &mut self.sums;
        sums.add("model_calls", &[&model[..], &[("ending", ending)]].concat(), 1);
        let tokens = [("prompt", call.prompt_tokens), ("completion", call.completion_tokens)];
        for (kind, count) in tokens {
            sums.add("model_tokens", &[&model[..], &[("kind", kind)]].concat(), count);
        }
        sums.add("model_ms", &model, call.latency_ms);
        sums.add("model_ms_count", &model, 1);
        for bucket in BUCKETS_MS.iter().filter(|bucket| call.latency_ms <= **bucket) {
            let bound = format!("{}", *bucket as f64 / 1000.0);
            sums.add("model_ms_bucket", &[&model[..], &[("le", &bound)]].concat(), 1);
        }
        let digest = call.digest.as_deref().unwrap_or_default();
        sums.set("model_info", &[&model[..], &[("digest", digest)]].concat(), 1);
    }

    /// Whether what was retrieved lies where the fix changes lines.
    fn retrieved(&mut self, attempt: &Attempt, fixes: &str) {
        let evidence = attempt.evidence.as_ref().map(|report| &report.entry.evidence);
        let passages = evidence.and_then(|evidence| evidence.retrieved.as_ref());
        for passage in passages.iter().flat_map(|found| &found.passages) {
            let used = if passage.used { "yes" } else { "no" };
            self.sums.add("retrieved_passages", &[("fixes", fixes), ("used", used)], 1);
        }
    }

    /// Gives whether other files are to be watched now.
    pub(crate) fn decision(&mut self, fix: &str, decision: Decision) -> rusqlite::Result<bool> {
        let (column, name) = match decision {
            Decision::Applied => ("applied_ms", "applied"),
            Decision::Dismissed => ("dismissed_ms", "dismissed"),
        };
        let newest = format!(
            "SELECT id, tier, {column} IS NULL, detail FROM attempt WHERE fix = ?1
             ORDER BY id DESC LIMIT 1"
        );
        let found: Option<(i64, String, bool, Vec<u8>)> = self
            .connection
            .prepare_cached(&newest)?
            .query_row([fix], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            .optional()?;
        // What was not recorded cannot be decided on here.
        let Some((id, tier, first, detail)) = found else { return Ok(false) };
        let also = match decision {
            // Applied once more: whatever became of it then, it stands again.
            Decision::Applied => ", reverted_ms = NULL",
            Decision::Dismissed => "",
        };
        self.connection
            .prepare_cached(&format!("UPDATE attempt SET {column} = ?2{also} WHERE id = ?1"))?
            .execute(params![id, self.now])?;
        if first {
            self.sums.add(name, &[("tier", &tier)], 1);
            if decision == Decision::Applied
                && let Some(detail) = unpacked::<Detail>(&detail)
            {
                let attempt = Attempt { evidence: detail.evidence, ..Attempt::default() };
                self.retrieved(&attempt, "applied");
            }
        }
        Ok(decision == Decision::Applied)
    }

    /// Compares a file with what applied fixes made of it. Gives whether one is seen to be taken back.
    pub(crate) fn looked(
        &mut self,
        root: &Path,
        path: &Path,
        text: Option<&str>,
        branch: Option<&str>,
    ) -> rusqlite::Result<bool> {
        // A file that is gone says nothing of the fix.
        let Some(now) = text else { return Ok(false) };
        let Ok(inside) = path.strip_prefix(root) else { return Ok(false) };
        let name = inside.components().map(|part| part.as_os_str().to_string_lossy());
        let name = name.collect::<Vec<_>>().join("/");
        let mut open = self.connection.prepare_cached(
            "SELECT attempt.id, attempt.tier, search.branch, attempt.detail, text.body
             FROM attempt JOIN root ON root.id = attempt.root_id
             JOIN quote ON quote.attempt_id = attempt.id AND quote.role = ?2
             JOIN text ON text.id = quote.text_id
             LEFT JOIN search ON search.id = attempt.search_id
             WHERE attempt.applied_ms IS NOT NULL AND attempt.reverted_ms IS NULL
             AND root.path = ?1 ORDER BY attempt.applied_ms DESC LIMIT ?3",
        )?;
        let rows = open.query_map(
            params![root.to_string_lossy(), format!("file:{name}"), WATCHED],
            |row| {
                Ok((
                    row.get::<_, i64>(0)?,
                    row.get::<_, String>(1)?,
                    row.get::<_, Option<String>>(2)?,
                    row.get::<_, Vec<u8>>(3)?,
                    row.get::<_, Vec<u8>>(4)?,
                ))
            },
        )?;
        let mut taken_back = Vec::new();
        for row in rows {
            let (id, tier, of, detail, before) = row?;
            // On another branch it was never applied.
            if of.as_deref() != branch {
                continue;
            }
            let Some(detail) = unpacked::<Detail>(&detail) else { continue };
            let before = unpack(&before).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let Some(before) = before else { continue };
            let edits = detail.edits.iter().filter(|edit| edit.path == name);
            let edits: Vec<_> =
                edits.map(|edit| (edit.start..edit.end, edit.new_text.as_str())).collect();
            if is_reverted(&before, &edits, now) {
                taken_back.push((id, tier));
            }
        }
        for (id, tier) in &taken_back {
            self.connection
                .prepare_cached("UPDATE attempt SET reverted_ms = ?2 WHERE id = ?1")?
                .execute(params![id, self.now])?;
            self.sums.add("reverted", &[("tier", tier)], 1);
        }
        Ok(!taken_back.is_empty())
    }
}

/// Files that applied fixes changed, with their roots.
pub(crate) fn applied_files(connection: &Connection) -> rusqlite::Result<Vec<(PathBuf, String)>> {
    let mut find = connection.prepare(
        "SELECT root.path, quote.role FROM
             (SELECT id, root_id FROM attempt
              WHERE applied_ms IS NOT NULL AND reverted_ms IS NULL
              ORDER BY applied_ms DESC LIMIT ?1) AS applied
         JOIN root ON root.id = applied.root_id
         JOIN quote ON quote.attempt_id = applied.id AND quote.role LIKE 'file:%'",
    )?;
    let rows = find.query_map([WATCHED], |row| {
        let (root, role): (String, String) = (row.get(0)?, row.get(1)?);
        Ok((PathBuf::from(root), role.trim_start_matches("file:").to_owned()))
    })?;
    rows.collect()
}

/// Removes what quotes code from an attempt, and its texts from all that share them. Gives whether there is
/// such an attempt.
pub(crate) fn redact(connection: &mut Connection, id: u64) -> rusqlite::Result<bool> {
    // What is removed is overwritten, not only marked as free.
    connection.pragma_update_and_check(None, "secure_delete", "ON", |_| Ok(()))?;
    let transaction = connection.transaction()?;
    let detail: Option<Vec<u8>> = transaction
        .query_row("SELECT detail FROM attempt WHERE id = ?1", [number(id)], |row| row.get(0))
        .optional()?;
    let Some(detail) = detail else { return Ok(false) };
    let call = unpacked::<Detail>(&detail).and_then(|detail| detail.call);
    let detail = packed(&Detail { call, ..Detail::default() })?;
    transaction.execute(
        "UPDATE attempt SET detail = ?2, reason = NULL, redacted = 1 WHERE id = ?1",
        params![number(id), detail],
    )?;
    let texts = "SELECT text_id FROM quote WHERE attempt_id = ?1";
    transaction.execute(&format!("DELETE FROM text WHERE id IN ({texts})"), [number(id)])?;
    transaction.execute(&format!("DELETE FROM quote WHERE text_id IN ({texts})"), [number(id)])?;
    transaction.commit()?;
    connection.pragma_update_and_check(None, "secure_delete", "OFF", |_| Ok(()))?;
    // The log still has the pages of before.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(true)
}
