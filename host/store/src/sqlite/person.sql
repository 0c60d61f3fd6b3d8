-- From schema 4 to 6 (5 was never released), and a part of a new store's tables: accounts, and what proves them.
-- Nothing here signs anybody in: a password is its hash, a token its digest.

-- `roles` one a line; `changes` counts the leaves about the account.
CREATE TABLE person (
  name         TEXT PRIMARY KEY,
  email        TEXT,
  password     TEXT,
  roles        TEXT NOT NULL,
  made_at      INTEGER NOT NULL,
  made_by      TEXT NOT NULL,
  disabled_at  INTEGER,
  failures     INTEGER NOT NULL DEFAULT 0,
  locked_until INTEGER,
  changes      INTEGER NOT NULL DEFAULT 1
) STRICT, WITHOUT ROWID;

CREATE TABLE credential (
  digest       BLOB PRIMARY KEY,
  person       TEXT NOT NULL REFERENCES person (name),
  kind         TEXT NOT NULL,
  label        TEXT,
  made_at      INTEGER NOT NULL,
  expires_at   INTEGER,
  last_used_at INTEGER NOT NULL,
  ended_at     INTEGER,
  ended_by     TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX credential_person ON credential (person, kind, made_at);
