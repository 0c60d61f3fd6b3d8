-- Messages that have to go out by a time. Made at every opening, as the tables of packages: a folder of
-- an earlier build gets them, and such a build does without.
--
-- `place` is how far a rule has looked: the last order, or the last delivery where it counts from what was
-- said of an order. Both are in commit order, so nothing comes to lie before it.
CREATE TABLE IF NOT EXISTS due_place (
  due   TEXT PRIMARY KEY,
  place INTEGER NOT NULL
) STRICT;
-- The last leaf up to which a rule has looked for events that wait for their turn: of those there is no
-- delivery yet, and their own places are not in commit order.
CREATE TABLE IF NOT EXISTS due_early (
  due   TEXT PRIMARY KEY,
  place INTEGER NOT NULL
) STRICT;
-- What had not gone out when it was looked at. `said` is the document that the message is made of, and 0
-- where any about the order is the one. `exception` is what people were told, once.
CREATE TABLE IF NOT EXISTS due_message (
  seq       INTEGER PRIMARY KEY AUTOINCREMENT,
  due       TEXT NOT NULL,
  order_seq INTEGER NOT NULL,
  target    TEXT NOT NULL,
  kind      TEXT NOT NULL,
  said      INTEGER NOT NULL,
  due_at    INTEGER NOT NULL,
  exception INTEGER
) STRICT;
CREATE INDEX IF NOT EXISTS due_message_untold ON due_message (due_at, seq) WHERE exception IS NULL;
CREATE INDEX IF NOT EXISTS due_message_said ON due_message (said) WHERE said > 0;
CREATE INDEX IF NOT EXISTS due_message_told ON due_message (exception) WHERE exception IS NOT NULL;
