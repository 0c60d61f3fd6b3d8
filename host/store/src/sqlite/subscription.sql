-- Subscriptions of polls: a row for each one that was ever asked for, under its poll's name. Made at
-- every opening, as `poll`.
--
-- `about` names what it is asked for with. `epoch` fences: each claim is another one. `exception` is
-- what people were told of its failures, until it works again.
CREATE TABLE IF NOT EXISTS subscription (
  id            TEXT PRIMARY KEY,
  about         BLOB NOT NULL,
  external_id   TEXT,
  held_until    INTEGER,
  renewed_at    INTEGER,
  due_at        INTEGER NOT NULL,
  lease_until   INTEGER NOT NULL,
  epoch         INTEGER NOT NULL,
  failures      INTEGER NOT NULL DEFAULT 0,
  failing_since INTEGER,
  code          TEXT,
  exception     INTEGER
) STRICT;
