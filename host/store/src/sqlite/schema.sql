-- Schema 2. Migrations expand, then contract; a newer schema refuses an older program.
-- Times are milliseconds since 1970-01-01T00:00:00Z, amounts minor units.
--
-- Danger: an index over random keys (digests, UUIDs) costs every row a page that no other
-- row of its commit touches, and ever more of them are not in memory. So rows refer to each
-- other by their numbers, which grow at one end; a random key has an index only where the
-- road has to find something by it: an input, and an order, each by its id. Two that were made here
-- all the same, `payload_key_subject` and `order_event_order`, `numbers.sql` takes away again.

CREATE TABLE configuration (
  version      INTEGER PRIMARY KEY,
  digest       BLOB NOT NULL,
  bytes        BLOB NOT NULL,
  activated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE reference_table (
  name    TEXT PRIMARY KEY,
  version INTEGER NOT NULL
) STRICT;

CREATE TABLE reference_row (
  name TEXT NOT NULL,
  key  TEXT NOT NULL,
  row  BLOB NOT NULL,
  PRIMARY KEY (name, key)
) STRICT, WITHOUT ROWID;

-- A payload and its key live apart: erasing a subject deletes keys only. Where
-- retention ended, an empty ciphertext says that it was here. Whoever has a payload
-- (`input`, `document`, `orders`, `order_event`, `outbox`) names it by its number.
CREATE TABLE payload (
  id         INTEGER PRIMARY KEY,
  commitment BLOB NOT NULL,
  ciphertext BLOB NOT NULL
) STRICT;

CREATE TABLE payload_key (
  payload INTEGER PRIMARY KEY,
  key     BLOB NOT NULL,
  subject BLOB
) STRICT;
CREATE INDEX payload_key_subject ON payload_key (subject) WHERE subject IS NOT NULL;

-- `leaf` and `forgotten_leaf` are the leaves about it.
CREATE TABLE input (
  seq            INTEGER PRIMARY KEY,
  id             BLOB NOT NULL UNIQUE,
  channel        TEXT NOT NULL,
  sender         TEXT NOT NULL,
  received_at    INTEGER NOT NULL,
  disposition    TEXT NOT NULL,
  payload        INTEGER NOT NULL,
  reply          BLOB NOT NULL,
  leaf           INTEGER NOT NULL,
  forgotten_at   INTEGER,
  forgotten_leaf INTEGER
) STRICT;
CREATE INDEX input_kept ON input (received_at, id) WHERE forgotten_at IS NULL;
CREATE INDEX input_disposition ON input (disposition) WHERE disposition <> 'documents';

-- An envelope belongs to the first input that brought it; its answer is a part of that input's reply.
CREATE TABLE envelope (
  channel       TEXT NOT NULL,
  sender        TEXT NOT NULL,
  key           TEXT NOT NULL,
  content       BLOB NOT NULL,
  input         BLOB NOT NULL,
  answer_offset INTEGER,
  answer_length INTEGER,
  PRIMARY KEY (channel, sender, key)
) STRICT, WITHOUT ROWID;

-- Of one business key the first undecided document is `undecided`, those after it stand
-- `behind`, each until its turn. `repeated` says that the key had come before. So a key
-- that comes ten thousand times costs each of its documents what another one costs.
CREATE TABLE document (
  position    INTEGER PRIMARY KEY,
  input       INTEGER NOT NULL,
  idx         INTEGER NOT NULL,
  channel     TEXT NOT NULL,
  sender      TEXT NOT NULL,
  received_at INTEGER NOT NULL,
  key         TEXT NOT NULL,
  partner     TEXT NOT NULL,
  kind        TEXT NOT NULL,
  content     BLOB NOT NULL,
  payload     INTEGER NOT NULL,
  repeated    INTEGER NOT NULL,
  state       TEXT NOT NULL,
  fingerprint BLOB
) STRICT;
CREATE INDEX document_undecided ON document (position) WHERE state = 'undecided';
CREATE INDEX document_key ON document (channel, sender, key, position);
CREATE INDEX document_repeated ON document (channel, sender, key, content, position) WHERE repeated = 1;
CREATE INDEX document_behind ON document (channel, sender, key, position) WHERE state = 'behind';
CREATE INDEX document_input ON document (input, idx);
CREATE INDEX document_without_order ON document (state) WHERE state IN ('duplicate', 'unmapped');

-- `seq` is commit order without a gap: no order is ever removed.
CREATE TABLE orders (
  seq           INTEGER PRIMARY KEY,
  id            TEXT NOT NULL UNIQUE,
  position      INTEGER NOT NULL UNIQUE,
  channel       TEXT NOT NULL,
  sender        TEXT NOT NULL,
  number        TEXT NOT NULL,
  state         TEXT NOT NULL,
  queue         TEXT,
  value_minor   INTEGER NOT NULL,
  currency      TEXT NOT NULL,
  recommended   INTEGER NOT NULL,
  why           TEXT NOT NULL,
  event         INTEGER NOT NULL,
  decision      INTEGER NOT NULL,
  configuration INTEGER NOT NULL,
  decided_at    INTEGER NOT NULL,
  leaf          INTEGER NOT NULL
) STRICT;
CREATE INDEX orders_decided ON orders (decided_at, seq);
CREATE INDEX orders_state ON orders (state, position) WHERE state <> 'released';
CREATE INDEX orders_recommended ON orders (seq) WHERE recommended = 1;
CREATE INDEX orders_number ON orders (number);

-- What came about an order after it. The order may come after its cancellation.
CREATE TABLE order_event (
  position   INTEGER PRIMARY KEY,
  order_id   TEXT NOT NULL,
  kind       TEXT NOT NULL,
  event      INTEGER NOT NULL,
  decision   INTEGER NOT NULL,
  decided_at INTEGER NOT NULL,
  leaf       INTEGER NOT NULL
) STRICT;
CREATE INDEX order_event_order ON order_event (order_id, position);
CREATE INDEX order_event_event ON order_event (event);

-- Orders of a customer in one currency, in the order they came: `nth` and `total` count
-- and add up to and with the row, `day_largest` is the largest of its day (UTC) so far,
-- `highest` the highest position. `total` is 16 bytes, big-endian: no sum overflows it.
CREATE TABLE customer_event (
  customer    BLOB NOT NULL,
  currency    TEXT NOT NULL,
  at          INTEGER NOT NULL,
  nth         INTEGER NOT NULL,
  position    INTEGER NOT NULL,
  highest     INTEGER NOT NULL,
  value_minor INTEGER NOT NULL,
  total       BLOB NOT NULL,
  day_largest INTEGER NOT NULL,
  ship_to     BLOB,
  PRIMARY KEY (customer, currency, at, nth)
) STRICT, WITHOUT ROWID;

CREATE TABLE customer_place (
  customer BLOB NOT NULL,
  ship_to  BLOB NOT NULL,
  last_day INTEGER NOT NULL,
  PRIMARY KEY (customer, ship_to)
) STRICT, WITHOUT ROWID;
CREATE INDEX customer_place_recent ON customer_place (customer, last_day);

CREATE TABLE hold (
  id         INTEGER PRIMARY KEY,
  order_id   TEXT NOT NULL,
  owner      TEXT NOT NULL,
  plugin     TEXT,
  reason     TEXT NOT NULL,
  queue      TEXT NOT NULL,
  lines      TEXT NOT NULL,
  opened_at  INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX hold_order ON hold (order_id);

CREATE TABLE exception (
  id        INTEGER PRIMARY KEY AUTOINCREMENT,
  order_id  TEXT,
  input     BLOB,
  position  INTEGER,
  outbox    INTEGER,
  stage     TEXT NOT NULL,
  code      TEXT NOT NULL,
  detail    TEXT NOT NULL,
  queue     TEXT NOT NULL,
  opened_at INTEGER NOT NULL,
  closed_at INTEGER
) STRICT;
CREATE INDEX exception_open ON exception (id) WHERE closed_at IS NULL;
CREATE INDEX exception_order ON exception (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX exception_input ON exception (input) WHERE input IS NOT NULL;

-- An order has one delivery of a kind to a target: order, target and kind are its id.
-- `order_seq` is the order's number, `order_id` spares a look for it.
CREATE TABLE outbox (
  seq          INTEGER PRIMARY KEY,
  order_seq    INTEGER NOT NULL,
  order_id     TEXT NOT NULL,
  target       TEXT NOT NULL,
  kind         TEXT NOT NULL,
  event        INTEGER NOT NULL,
  state        TEXT NOT NULL DEFAULT 'pending',
  attempts     INTEGER NOT NULL DEFAULT 0,
  doubts       INTEGER NOT NULL DEFAULT 0,
  unresolved   INTEGER NOT NULL DEFAULT 0,
  due_at       INTEGER NOT NULL,
  deadline_from INTEGER NOT NULL,
  lease_until  INTEGER NOT NULL DEFAULT 0,
  ask_at       INTEGER NOT NULL DEFAULT 0,
  epoch        INTEGER NOT NULL DEFAULT 0,
  external_id  TEXT,
  last_code    TEXT,
  blocks       INTEGER NOT NULL DEFAULT 0,
  replays      INTEGER NOT NULL DEFAULT 0,
  attempts_before INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX outbox_pending ON outbox (target, due_at, seq) WHERE state = 'pending';
CREATE INDEX outbox_in_doubt ON outbox (due_at, seq) WHERE state = 'withheld' AND unresolved = 1;
CREATE INDEX outbox_stuck ON outbox (state) WHERE state NOT IN ('pending', 'delivered');
CREATE INDEX outbox_retried ON outbox (attempts) WHERE attempts > 1;
CREATE UNIQUE INDEX outbox_order ON outbox (order_seq, target, kind);

CREATE TABLE number_range (
  name TEXT PRIMARY KEY,
  next INTEGER NOT NULL
) STRICT;

CREATE TABLE kv (
  plugin TEXT NOT NULL,
  scope  TEXT NOT NULL,
  key    TEXT NOT NULL,
  value  BLOB NOT NULL,
  PRIMARY KEY (plugin, scope, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX kv_scope ON kv (scope);

-- `seq` is commit order, from 1 and without a gap: one writer, and no row is ever
-- removed. So a leaf's index in the log is its number less one, and it has one when the
-- head covers it: giving indices writes nothing but the head. A leaf that is `alone` is
-- all there is of its write, which is known by it when it is repeated.
CREATE TABLE leaf (
  seq   INTEGER PRIMARY KEY,
  id    BLOB NOT NULL,
  bytes BLOB NOT NULL,
  alone INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX leaf_alone ON leaf (id) WHERE alone = 1;

-- Where to find a leaf by its id; `find.rs` says how.
CREATE TABLE leaf_run (
  first INTEGER PRIMARY KEY,
  ids   BLOB NOT NULL
) STRICT;

-- Leaves about an order after the one of its decision.
CREATE TABLE order_leaf (
  order_seq INTEGER NOT NULL,
  leaf      INTEGER NOT NULL,
  PRIMARY KEY (order_seq, leaf)
) STRICT, WITHOUT ROWID;

CREATE TABLE tree_head (
  only_row   INTEGER PRIMARY KEY CHECK (only_row = 1),
  size       INTEGER NOT NULL,
  edge       BLOB NOT NULL,
  checkpoint TEXT NOT NULL
) STRICT;
