-- Schema 10: deliveries that go out under a number of their receiver's own, and what the receiver
-- says of each. `within_ms` is how long it may take to say something, none where nobody waits for
-- it; `due_at` is set when the delivery is done. `said` is the document by which it was answered.
CREATE TABLE interchange (
  outbox      INTEGER PRIMARY KEY,
  partner     TEXT NOT NULL,
  number      INTEGER NOT NULL,
  numbered_at INTEGER NOT NULL,
  within_ms   INTEGER,
  due_at      INTEGER,
  answer      TEXT,
  answered_at INTEGER,
  said        INTEGER,
  exception   INTEGER
) STRICT;
CREATE UNIQUE INDEX interchange_number ON interchange (partner, number);
CREATE INDEX interchange_due ON interchange (due_at, outbox)
  WHERE answer IS NULL AND exception IS NULL AND due_at IS NOT NULL;
CREATE INDEX interchange_overdue ON interchange (exception) WHERE answer IS NULL AND exception IS NOT NULL;
