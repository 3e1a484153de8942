CREATE TABLE root (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE search (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    root_id INTEGER NOT NULL REFERENCES root (id),
    at_ms INTEGER NOT NULL,
    kind TEXT NOT NULL,
    branch TEXT,
    detail BLOB NOT NULL
) STRICT;

-- AUTOINCREMENT: a number is never used again, whatever was removed and whatever the clock says.
CREATE TABLE attempt (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    search_id INTEGER NOT NULL,
    root_id INTEGER NOT NULL REFERENCES root (id),
    at_ms INTEGER NOT NULL,
    tier TEXT NOT NULL,
    rule TEXT,
    model TEXT,
    adapter TEXT,
    verdict TEXT NOT NULL,
    reason TEXT,
    fix TEXT,
    offered_ms INTEGER,
    applied_ms INTEGER,
    dismissed_ms INTEGER,
    reverted_ms INTEGER,
    called INTEGER NOT NULL DEFAULT 0,
    private INTEGER NOT NULL DEFAULT 0,
    redacted INTEGER NOT NULL DEFAULT 0,
    detail BLOB NOT NULL
) STRICT;

CREATE INDEX attempt_at ON attempt (at_ms);
CREATE INDEX attempt_root ON attempt (root_id, id);
CREATE INDEX attempt_tier ON attempt (tier, id);
CREATE INDEX attempt_search ON attempt (search_id);
CREATE INDEX attempt_fix ON attempt (fix, id) WHERE fix IS NOT NULL;
CREATE INDEX attempt_offered ON attempt (id) WHERE offered_ms IS NOT NULL;
CREATE INDEX attempt_applied ON attempt (applied_ms) WHERE applied_ms IS NOT NULL;

-- Texts by content: the prompt of a round and the unpatched file are the same for many attempts.
CREATE TABLE text (
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    body BLOB NOT NULL
) STRICT;

CREATE TABLE quote (
    attempt_id INTEGER NOT NULL,
    role TEXT NOT NULL,
    text_id INTEGER NOT NULL,
    PRIMARY KEY (attempt_id, role)
) STRICT, WITHOUT ROWID;

CREATE INDEX quote_text ON quote (text_id);

-- Sums that outlive what was counted.
CREATE TABLE total (
    name TEXT NOT NULL,
    label TEXT NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (name, label)
) STRICT, WITHOUT ROWID;
