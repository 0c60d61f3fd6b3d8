-- How the host is run, for those who measure that. Made at every opening, as the tables of packages.
--
-- Records that are about no order, by when they were committed: among all leaves they are a few in a
-- million, and nobody goes through all leaves for them. Those of an earlier build are not here.
CREATE TABLE IF NOT EXISTS operation_leaf (
  at   INTEGER NOT NULL,
  leaf INTEGER NOT NULL,
  PRIMARY KEY (at, leaf)
) STRICT, WITHOUT ROWID;

-- Channels and targets of configurations, and when each came into use. One that is taken out before
-- that has no row any more.
CREATE TABLE IF NOT EXISTS part (
  kind          TEXT NOT NULL,
  id            TEXT NOT NULL,
  configured_at INTEGER,
  used_at       INTEGER,
  PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
