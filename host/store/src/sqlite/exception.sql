-- From schema 4 to 6 (5 was never released), and a part of a new store's tables: exceptions as a queue that people
-- work on.

-- `kind` says what may be decided. `revision` counts the steps: a write about an exception is
-- made on the last one that somebody saw. `customer` is that of the order, for those who
-- decide about all of a customer's at once.
ALTER TABLE exception ADD COLUMN kind TEXT NOT NULL DEFAULT 'order';
ALTER TABLE exception ADD COLUMN due_at INTEGER;
ALTER TABLE exception ADD COLUMN escalated_at INTEGER;
ALTER TABLE exception ADD COLUMN claimed_by TEXT;
ALTER TABLE exception ADD COLUMN claimed_at INTEGER;
ALTER TABLE exception ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE exception ADD COLUMN closed_by TEXT;
ALTER TABLE exception ADD COLUMN closed_how TEXT;
ALTER TABLE exception ADD COLUMN customer BLOB;
CREATE INDEX exception_due ON exception (due_at, id) WHERE closed_at IS NULL AND escalated_at IS NULL;
CREATE INDEX exception_customer ON exception (customer, id) WHERE closed_at IS NULL AND customer IS NOT NULL;
CREATE INDEX exception_queue ON exception (queue, id) WHERE closed_at IS NULL;

-- Was decided on again, as a person wanted: it is not in the order of its key any more.
ALTER TABLE document ADD COLUMN again INTEGER NOT NULL DEFAULT 0;
CREATE INDEX document_again ON document (channel, sender, key) WHERE again = 1;

UPDATE exception SET kind = CASE
  WHEN outbox IS NOT NULL THEN 'delivery' WHEN stage = 'accept' THEN 'input'
  WHEN order_id IS NULL AND position IS NOT NULL THEN 'document' ELSE 'order' END;
UPDATE exception SET closed_how = 'closed' WHERE closed_at IS NOT NULL;
-- Holds escalated to exceptions of their own; from now on their order's does.
UPDATE exception SET closed_at = opened_at, closed_how = 'cleared'
  WHERE closed_at IS NULL AND id IN (SELECT exception FROM hold WHERE exception IS NOT NULL);
-- What failed about an order waits in the order's own exception.
UPDATE exception SET kind = 'held' WHERE closed_at IS NULL AND outbox IS NULL
  AND id IN (SELECT min(exception.id) FROM exception JOIN orders ON orders.id = exception.order_id
             WHERE orders.state = 'exception' AND exception.position = orders.position AND exception.closed_at IS NULL
             GROUP BY orders.id);
UPDATE exception SET due_at = (SELECT min(expires_at) FROM hold
                               WHERE hold.order_id = exception.order_id AND hold.closed_at IS NULL)
  WHERE kind = 'held' AND closed_at IS NULL;
-- What escalated does so once more: the queue that heard of it has no exception for it now.
INSERT INTO exception (kind, order_id, position, stage, code, detail, queue, opened_at, due_at)
  SELECT 'held', orders.id, orders.position, 'decide',
         CASE hold.owner WHEN 'policy' THEN hold.reason ELSE hold.owner END, orders.why,
         coalesce(orders.queue, hold.queue), hold.opened_at, hold.expires_at
  FROM orders JOIN hold ON hold.id = (SELECT first.id FROM hold AS first
                                      WHERE first.order_id = orders.id AND first.closed_at IS NULL
                                      ORDER BY first.expires_at, first.id LIMIT 1)
  WHERE orders.state IN ('held', 'routed') ORDER BY orders.position;
UPDATE exception SET customer = customer_event.customer FROM customer_event
  WHERE customer_event.position = exception.position AND closed_at IS NULL AND kind = 'held';
DROP INDEX hold_due;
ALTER TABLE hold DROP COLUMN escalated_at;
ALTER TABLE hold DROP COLUMN exception;

-- `queue` is whose work it was, `since` from when on whoever took the step could look at it.
CREATE TABLE exception_step (
  seq       INTEGER PRIMARY KEY,
  exception INTEGER NOT NULL,
  at        INTEGER NOT NULL,
  who       TEXT,
  step      TEXT NOT NULL,
  addressee TEXT,
  record    INTEGER,
  leaf      INTEGER NOT NULL,
  queue     TEXT NOT NULL,
  since     INTEGER NOT NULL
) STRICT;
CREATE INDEX exception_step_exception ON exception_step (exception, seq);
CREATE INDEX exception_step_at ON exception_step (at, seq);

-- Of an exception at most one proposal is open, and nobody approves one twice.
CREATE TABLE proposal (
  seq              INTEGER PRIMARY KEY,
  exception        INTEGER NOT NULL,
  digest           BLOB NOT NULL,
  action           TEXT NOT NULL,
  record           INTEGER NOT NULL,
  by_whom          TEXT NOT NULL,
  at               INTEGER NOT NULL,
  expires_at       INTEGER NOT NULL,
  approvals_needed INTEGER NOT NULL,
  ended            TEXT,
  ended_at         INTEGER
) STRICT;
CREATE UNIQUE INDEX proposal_open ON proposal (exception) WHERE ended IS NULL;
CREATE INDEX proposal_expires ON proposal (expires_at, seq) WHERE ended IS NULL;

CREATE TABLE approval (
  proposal INTEGER NOT NULL,
  nth      INTEGER NOT NULL,
  who      TEXT NOT NULL,
  at       INTEGER NOT NULL,
  PRIMARY KEY (proposal, nth),
  UNIQUE (proposal, who)
) STRICT, WITHOUT ROWID;

-- Who made an input what it is: the account that mended another one.
CREATE TABLE input_maker (
  input INTEGER NOT NULL,
  who   TEXT NOT NULL,
  PRIMARY KEY (input, who)
) STRICT, WITHOUT ROWID;

-- How models and people get on: which component asked for a hold, and what a person said of
-- it last. Of what scorers propose, so many of a kind met with the same in an hour (from 1970).
ALTER TABLE hold ADD COLUMN component BLOB;
ALTER TABLE hold ADD COLUMN judged_at INTEGER;
ALTER TABLE hold ADD COLUMN judged_how TEXT;
CREATE INDEX hold_judged ON hold (judged_at, id) WHERE judged_at IS NOT NULL;
CREATE TABLE weighed_hour (
  hour      INTEGER NOT NULL,
  plugin    TEXT NOT NULL,
  component BLOB NOT NULL,
  proposed  TEXT NOT NULL,
  outcome   TEXT NOT NULL,
  clause    TEXT NOT NULL,
  proposals INTEGER NOT NULL,
  PRIMARY KEY (hour, plugin, component, proposed, outcome, clause)
) STRICT, WITHOUT ROWID;
-- Exceptions about plugins that are not called: of one component and cause at most one is open.
-- `cause` is empty where it is all calls.
ALTER TABLE exception ADD COLUMN plugin TEXT;
ALTER TABLE exception ADD COLUMN component BLOB;
ALTER TABLE exception ADD COLUMN cause TEXT;
ALTER TABLE exception ADD COLUMN failure TEXT;
ALTER TABLE exception ADD COLUMN pauses INTEGER;
ALTER TABLE exception ADD COLUMN paused_until INTEGER;
CREATE UNIQUE INDEX exception_plugin ON exception (plugin, component, cause)
  WHERE closed_at IS NULL AND plugin IS NOT NULL;

-- How far each subscriber of notices was told: the last exception that opened, and the last step.
CREATE TABLE notice_place (
  subscriber TEXT PRIMARY KEY,
  exception  INTEGER NOT NULL,
  step       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
