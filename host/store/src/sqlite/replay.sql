-- Deliveries that people had sent again after their target had taken them. Made at every opening, as
-- the tables of packages: a folder of an earlier build gets them, and such a build does without.
CREATE TABLE IF NOT EXISTS replay (
  seq     INTEGER PRIMARY KEY,
  digest  BLOB NOT NULL UNIQUE,
  target  TEXT NOT NULL,
  channel TEXT,
  kind    TEXT,
  since   INTEGER NOT NULL,
  until   INTEGER NOT NULL,
  at      INTEGER NOT NULL,
  who     TEXT NOT NULL,
  record  INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS replay_delivery (
  replay INTEGER NOT NULL,
  outbox INTEGER NOT NULL,
  PRIMARY KEY (replay, outbox)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS replay_delivery_outbox ON replay_delivery (outbox);
-- What people want sent in a delivery: the record of the step that says so.
CREATE TABLE IF NOT EXISTS correction (
  outbox INTEGER PRIMARY KEY,
  record INTEGER NOT NULL
) STRICT;
