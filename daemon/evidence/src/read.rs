//! Questions about what was recorded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use greenlit_protocol::{
    EvidenceTotals, FileEdit, TraceEntry, TraceFilter, TraceMessage, TraceReport, TraceSearch,
};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use crate::database::open_to_read;
use crate::record::Detail;
use crate::texts::unpack;
use crate::write::unpacked;
use crate::writer::now_ms;

/// Bytes of one page of an export: an answer has to fit a frame.
const PAGE_BYTES: usize = 8 << 20;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Nothing is recorded.
    #[error("attempts are not recorded: {why}")]
    NotKept {
        /// Why.
        why: String,
    },
    /// There is no such attempt.
    #[error("no attempt {id} is kept")]
    Unknown {
        /// As it was asked for.
        id: String,
    },
    /// The database cannot be read.
    #[error("the record of attempts cannot be read")]
    Sqlite {
        /// Why.
        #[from]
        source: rusqlite::Error,
    },
    /// A change was not written.
    #[error("the record of attempts cannot be changed: {why}")]
    NotWritten {
        /// Why.
        why: String,
    },
    /// The thread that writes has too much to do.
    #[error("the record of attempts is busy")]
    Busy,
}

/// What a replay needs of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// In few words.
    pub entry: TraceEntry,
    /// The search that it belongs to.
    pub search: TraceSearch,
    /// The candidate.
    pub edits: Vec<FileEdit>,
    /// What was run, for what was verified.
    pub evidence: Option<greenlit_protocol::EvidenceReport>,
    /// How the model was asked, if one was.
    pub call: Option<greenlit_protocol::TraceCall>,
    /// Unpatched texts by path relative to the root.
    pub files: BTreeMap<String, String>,
}

pub(crate) struct Reader(Connection);

const ENTRY: &str =
    "attempt.id, attempt.at_ms, root.path, tier, rule, model, adapter, verdict, reason,
    fix, offered_ms, applied_ms, dismissed_ms, reverted_ms, detail";
const FROM: &str = "FROM attempt JOIN root ON root.id = attempt.root_id";

fn entry(row: &Row<'_>) -> rusqlite::Result<(TraceEntry, Detail)> {
    let detail: Vec<u8> = row.get(14)?;
    let detail: Detail = unpacked(&detail).unwrap_or_default();
    let entry = TraceEntry {
        id: u64::try_from(row.get::<_, i64>(0)?).unwrap_or_default(),
        at_ms: row.get(1)?,
        root: PathBuf::from(row.get::<_, String>(2)?),
        tier: row.get(3)?,
        rule: row.get(4)?,
        model: row.get(5)?,
        adapter: row.get(6)?,
        verdict: row.get(7)?,
        reason: row.get(8)?,
        summary: detail.summary.clone(),
        fix: row.get(9)?,
        offered_ms: row.get(10)?,
        applied_ms: row.get(11)?,
        dismissed_ms: row.get(12)?,
        reverted_ms: row.get(13)?,
    };
    Ok((entry, detail))
}

impl Reader {
    pub(crate) fn open(path: &Path) -> Result<Self, ReadError> {
        Ok(Self(open_to_read(path)?))
    }

    fn condition(filter: &TraceFilter) -> (String, Vec<Value>) {
        let mut conditions = vec!["1".to_owned()];
        let mut values = Vec::new();
        let mut add = |condition: &str, value: Value| {
            values.push(value);
            conditions.push(format!("{condition} ?{}", values.len()));
        };
        if let Some(root) = &filter.root {
            add("root.path =", Value::Text(root.to_string_lossy().into_owned()));
        }
        if let Some(since) = filter.since_ms {
            add("attempt.at_ms >=", Value::Integer(since));
        }
        if let Some(tier) = &filter.tier {
            add("attempt.tier =", Value::Text(tier.clone()));
        }
        if filter.offered {
            conditions.push("attempt.offered_ms IS NOT NULL".to_owned());
        }
        (conditions.join(" AND "), values)
    }

    pub(crate) fn list(&self, filter: &TraceFilter) -> Result<Vec<TraceEntry>, ReadError> {
        let (condition, values) = Self::condition(filter);
        let limit = filter.limit.min(TraceFilter::MOST);
        // By time where time is asked for: each order has its index, so that nothing is sorted.
        let order = match filter.since_ms {
            Some(_) if filter.root.is_none() && filter.tier.is_none() && !filter.offered => {
                "attempt.at_ms DESC, attempt.id DESC"
            }
            _ => "attempt.id DESC",
        };
        let sql = format!("SELECT {ENTRY} {FROM} WHERE {condition} ORDER BY {order} LIMIT {limit}");
        let mut select = self.0.prepare(&sql)?;
        let rows = select.query_map(params_from_iter(values), |row| Ok(entry(row)?.0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The number of an attempt, by it or by the handle of a fix.
    pub(crate) fn find(&self, id: &str) -> Result<u64, ReadError> {
        let unknown = || ReadError::Unknown { id: id.to_owned() };
        let by_fix: Option<i64> = self
            .0
            .query_row(
                "SELECT id FROM attempt WHERE fix = ?1 ORDER BY id DESC LIMIT 1",
                [id],
                |row| row.get(0),
            )
            .optional()?;
        if let Some(id) = by_fix {
            return Ok(u64::try_from(id).unwrap_or_default());
        }
        let number: i64 = id.parse().map_err(|_| unknown())?;
        let found = self.0.query_row("SELECT id FROM attempt WHERE id = ?1", [number], |row| {
            row.get::<_, i64>(0)
        });
        let found = found.optional()?.ok_or_else(unknown)?;
        Ok(u64::try_from(found).unwrap_or_default())
    }

    pub(crate) fn report(&self, id: u64) -> Result<TraceReport, ReadError> {
        let sql = format!(
            "SELECT {ENTRY}, attempt.search_id, attempt.private, attempt.redacted {FROM}
             WHERE attempt.id = ?1"
        );
        let mut select = self.0.prepare_cached(&sql)?;
        let id = i64::try_from(id).unwrap_or(i64::MAX);
        let ((entry, detail), search, private, redacted) = select.query_row([id], |row| {
            Ok((entry(row)?, row.get::<_, i64>(15)?, row.get(16)?, row.get(17)?))
        })?;
        let search = self.search(search)?;
        let (mut prompt, mut reply, mut files) = (None, None, Vec::new());
        for (role, text) in self.quotes(id)? {
            match role.as_str() {
                "prompt" => prompt = serde_json::from_slice::<Vec<TraceMessage>>(&text).ok(),
                "reply" => reply = String::from_utf8(text).ok(),
                _ => files.push(role.trim_start_matches("file:").to_owned()),
            }
        }
        let Detail { failure, diff, edits, call, evidence, .. } = detail;
        Ok(TraceReport {
            entry,
            search,
            call,
            prompt,
            reply,
            diff,
            edits,
            failure,
            evidence,
            files,
            private,
            redacted,
        })
    }

    fn search(&self, id: i64) -> Result<TraceSearch, ReadError> {
        let found: Option<Vec<u8>> = self
            .0
            .prepare_cached("SELECT detail FROM search WHERE id = ?1")?
            .query_row([id], |row| row.get(0))
            .optional()?;
        let about = found.and_then(|detail| unpacked::<TraceSearch>(&detail));
        let id = u64::try_from(id).unwrap_or_default();
        Ok(about.unwrap_or(TraceSearch { id, ..TraceSearch::default() }))
    }

    fn quotes(&self, id: i64) -> Result<Vec<(String, Vec<u8>)>, ReadError> {
        let mut select = self.0.prepare_cached(
            "SELECT role, body FROM quote JOIN text ON text.id = text_id WHERE attempt_id = ?1",
        )?;
        let rows = select
            .query_map([id], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
        let mut quotes = Vec::new();
        for row in rows {
            let (role, body) = row?;
            // What makes no sense is as good as gone.
            if let Ok(text) = unpack(&body) {
                quotes.push((role, text));
            }
        }
        Ok(quotes)
    }

    pub(crate) fn kept(&self, id: u64) -> Result<Kept, ReadError> {
        let TraceReport { entry, search, edits, evidence, call, .. } = self.report(id)?;
        let quotes = self.quotes(i64::try_from(id).unwrap_or(i64::MAX))?;
        let file = |(role, text): (String, Vec<u8>)| {
            let path = role.strip_prefix("file:")?.to_owned();
            Some((path, String::from_utf8(text).ok()?))
        };
        let files = quotes.into_iter().filter_map(file).collect();
        Ok(Kept { entry, search, edits, evidence, call, files })
    }

    pub(crate) fn export(
        &self,
        filter: &TraceFilter,
        after: u64,
    ) -> Result<Vec<TraceReport>, ReadError> {
        let (condition, mut values) = Self::condition(filter);
        values.push(Value::Integer(i64::try_from(after).unwrap_or(i64::MAX)));
        let limit = filter.limit.min(TraceFilter::MOST);
        let sql = format!(
            "SELECT attempt.id {FROM} WHERE {condition} AND attempt.id > ?{}
             ORDER BY attempt.id LIMIT {limit}",
            values.len()
        );
        let mut select = self.0.prepare(&sql)?;
        let ids = select.query_map(params_from_iter(values), |row| row.get::<_, i64>(0))?;
        let (mut page, mut bytes) = (Vec::new(), 0);
        for id in ids {
            let report = self.report(u64::try_from(id?).unwrap_or_default())?;
            let prompt = report.prompt.iter().flatten().map(|message| message.content.len());
            bytes += 4096 + prompt.sum::<usize>();
            bytes +=
                [&report.reply, &report.diff].into_iter().flatten().map(String::len).sum::<usize>();
            page.push(report);
            if bytes > PAGE_BYTES {
                break;
            }
        }
        Ok(page)
    }

    pub(crate) fn tokens(
        &self,
        tier: &str,
        within: Duration,
    ) -> Result<Vec<(Duration, u64)>, ReadError> {
        let now = now_ms();
        let since = now.saturating_sub(i64::try_from(within.as_millis()).unwrap_or(i64::MAX));
        let mut select = self.0.prepare(
            "SELECT at_ms, detail FROM attempt WHERE tier = ?1 AND at_ms >= ?2 AND called ORDER BY at_ms",
        )?;
        let rows = select.query_map((tier, since), |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
        })?;
        let mut tokens = Vec::new();
        for row in rows {
            let (at, detail) = row?;
            let call = unpacked::<Detail>(&detail).and_then(|detail| detail.call);
            let ago = Duration::from_millis(u64::try_from(now - at).unwrap_or_default());
            tokens.extend(call.map(|call| (ago, call.prompt_tokens + call.completion_tokens)));
        }
        Ok(tokens)
    }

    pub(crate) fn dismissed(&self, most: usize) -> Result<Vec<String>, ReadError> {
        /// Attempts that are looked at: older fixes are of contents that nobody has any more.
        const NEWEST: i64 = 100_000;
        let mut select = self.0.prepare(
            "SELECT fix FROM attempt
             WHERE id > (SELECT coalesce(max(id), 0) FROM attempt) - ?1 AND fix IS NOT NULL
             GROUP BY fix HAVING max(dismissed_ms) > coalesce(max(applied_ms), 0)
             ORDER BY max(dismissed_ms) DESC, max(id) DESC LIMIT ?2",
        )?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = select.query_map((NEWEST, most), |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(crate) fn accepted(&self, root: &Path, after: u64) -> Result<Vec<Kept>, ReadError> {
        let mut select = self.0.prepare(
            "SELECT attempt.id FROM attempt JOIN root ON root.id = attempt.root_id
             WHERE root.path = ?1 AND attempt.id > ?2 AND applied_ms IS NOT NULL
                 AND reverted_ms IS NULL AND verdict = 'verified' AND NOT private AND NOT redacted
             ORDER BY attempt.id",
        )?;
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let path = root.to_string_lossy();
        let ids = select.query_map((&*path, after), |row| row.get::<_, i64>(0))?;
        let (mut page, mut bytes) = (Vec::new(), 0);
        for id in ids {
            let kept = self.kept(u64::try_from(id?).unwrap_or_default())?;
            // A page without any would be taken for the end.
            if kept.search.kind != "tests" || kept.edits.is_empty() {
                continue;
            }
            bytes += kept.files.values().map(String::len).sum::<usize>();
            page.push(kept);
            if bytes > PAGE_BYTES {
                break;
            }
        }
        Ok(page)
    }

    pub(crate) fn totals(&self) -> Result<Vec<(String, String, i64)>, ReadError> {
        let mut select =
            self.0.prepare("SELECT name, label, value FROM total ORDER BY name, label")?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(crate) fn sums(&self) -> Result<EvidenceTotals, ReadError> {
        let mut sums = EvidenceTotals::default();
        for (name, label, value) in self.totals()? {
            let value = u64::try_from(value).unwrap_or_default();
            let sum = match name.as_str() {
                "attempts" => {
                    if label.contains("verdict=\"verified\"") {
                        sums.verified += value;
                    }
                    &mut sums.attempts
                }
                "offered" => &mut sums.offered,
                "applied" => &mut sums.applied,
                "dismissed" => &mut sums.dismissed,
                "reverted" => &mut sums.reverted,
                "model_calls" => &mut sums.calls,
                _ => continue,
            };
            *sum += value;
        }
        Ok(sums)
    }
}
