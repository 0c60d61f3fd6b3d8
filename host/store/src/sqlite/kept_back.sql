-- From schema 3 to 4, and a part of a new store's tables: what becomes of orders that are
-- kept back, and what releases take of credit accounts.

-- `exception` is the one that the hold escalated to; `closed_by` is an account, and none
-- where the host closed it.
ALTER TABLE hold ADD COLUMN escalated_at INTEGER;
ALTER TABLE hold ADD COLUMN exception INTEGER;
ALTER TABLE hold ADD COLUMN closed_at INTEGER;
ALTER TABLE hold ADD COLUMN closed_by TEXT;
-- What is refused is past holding, and so is what is released and has nothing withheld.
UPDATE hold SET closed_at = opened_at WHERE EXISTS (
  SELECT 1 FROM orders WHERE orders.id = hold.order_id AND (orders.state = 'refused' OR (orders.state = 'released'
    AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.order_seq = orders.seq AND outbox.state = 'withheld'))));
-- What is kept back is few among many, and gone through in journal order.
CREATE INDEX orders_kept_back ON orders (position) WHERE state IN ('held', 'routed', 'exception');
CREATE INDEX hold_due ON hold (expires_at, id) WHERE closed_at IS NULL AND escalated_at IS NULL;

-- Up to when the version tells what was, by the clock of then, or of its rows where they are ahead.
ALTER TABLE reference_table ADD COLUMN loaded_at INTEGER NOT NULL DEFAULT 0;

CREATE TABLE order_review (
  seq           INTEGER PRIMARY KEY,
  order_seq     INTEGER NOT NULL,
  record        INTEGER NOT NULL,
  configuration INTEGER NOT NULL,
  at            INTEGER NOT NULL,
  who           TEXT,
  leaf          INTEGER NOT NULL
) STRICT;
CREATE INDEX order_review_order ON order_review (order_seq, seq);

-- What an order took of a credit account; `taken_minute` is when its target took it over.
-- `credit_open` adds up those without, `credit_taken` those with one, by the minute.
CREATE TABLE credit_order (
  order_seq    INTEGER PRIMARY KEY,
  account      BLOB NOT NULL,
  currency     TEXT NOT NULL,
  minor        INTEGER NOT NULL,
  taken_minute INTEGER
) STRICT;
CREATE TABLE credit_open (
  account  BLOB NOT NULL,
  currency TEXT NOT NULL,
  minor    INTEGER NOT NULL,
  PRIMARY KEY (account, currency)
) STRICT, WITHOUT ROWID;
CREATE TABLE credit_taken (
  account  BLOB NOT NULL,
  currency TEXT NOT NULL,
  minute   INTEGER NOT NULL,
  minor    INTEGER NOT NULL,
  PRIMARY KEY (account, currency, minute)
) STRICT, WITHOUT ROWID;
