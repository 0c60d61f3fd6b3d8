-- From schema 6 to 7, and a part of a new store's tables: what became of events about orders,
-- and how far orders are.

ALTER TABLE order_event ADD COLUMN outcome TEXT NOT NULL DEFAULT 'noted';
CREATE INDEX order_event_early ON order_event (order_id, position) WHERE outcome = 'early';

-- `version` counts the events that moved the order; `record` is the decision on the last one.
CREATE TABLE order_progress (
  order_seq INTEGER PRIMARY KEY,
  version   INTEGER NOT NULL,
  state     TEXT NOT NULL,
  record    INTEGER NOT NULL
) STRICT;
