-- Schema 11: how much there is of items. `item` has the newest level of each, by the time that its
-- warehouse gives it; `item_level` each document that said one, for whoever forgets its content.
--
-- An item's deliveries stand in `outbox` beside those of orders: `order_seq` is its number with a
-- minus there and `said` the level's document with one, so that nothing that looks for an order's
-- deliveries finds them. `order_id` is the item's id.
CREATE TABLE item (
  seq      INTEGER PRIMARY KEY,
  id       TEXT NOT NULL UNIQUE,
  sku      TEXT NOT NULL,
  node     TEXT NOT NULL,
  as_of    INTEGER NOT NULL,
  said     BLOB NOT NULL,
  position INTEGER NOT NULL
) STRICT;

CREATE TABLE item_level (
  position   INTEGER PRIMARY KEY,
  item       INTEGER NOT NULL,
  event      INTEGER NOT NULL,
  outcome    TEXT NOT NULL,
  decided_at INTEGER NOT NULL,
  leaf       INTEGER NOT NULL
) STRICT;

-- What was given up about a level is over when a newer one comes.
CREATE INDEX exception_delivery ON exception (outbox) WHERE outbox IS NOT NULL AND closed_at IS NULL;
