-- Polls: a row for each one that was ever due. Made at every opening, as `package`: nothing else
-- refers to it, and an earlier build of the same schema leaves it alone.
--
-- `cursor` is the connector's, and counts for no other one. `epoch` fences: each claim is another
-- one. `woken` says that somebody asked for it while it was under way. `exception` is what people
-- were told of its failures, until it works again.
CREATE TABLE IF NOT EXISTS poll (
  id            TEXT PRIMARY KEY,
  connector     TEXT,
  cursor        BLOB,
  due_at        INTEGER NOT NULL,
  lease_until   INTEGER NOT NULL DEFAULT 0,
  epoch         INTEGER NOT NULL DEFAULT 0,
  woken         INTEGER NOT NULL DEFAULT 0,
  failures      INTEGER NOT NULL DEFAULT 0,
  failing_since INTEGER,
  code          TEXT,
  exception     INTEGER
) STRICT;

-- How each one went when it went well: when, when its cursor moved, and what its source said then.
CREATE TABLE IF NOT EXISTS poll_well (
  id        TEXT PRIMARY KEY,
  worked_at INTEGER NOT NULL,
  moved_at  INTEGER,
  said      BLOB
) STRICT;
