-- Schema 9: what an order has for a target stands in line, and only the first in line is looked at
-- when something is claimed. Of an order that waits for a target that is down there may be many
-- behind it, and of such orders thousands.
--
-- `bars` says that a delivery keeps later ones of its order and target waiting: it is pending, it
-- may have arrived all the same, or it is dead and blocks. Of two that do, the later is `behind`.
-- Danger: one that is wrongly behind would wait for ever, and nobody would miss it. So no statement
-- that changes a delivery has to think of the line: the triggers keep it, in that statement's
-- transaction, and touch two rows however long the line is.
ALTER TABLE outbox ADD COLUMN bars INTEGER NOT NULL GENERATED ALWAYS AS
  (state = 'pending' OR (state = 'withheld' AND unresolved) OR (state = 'dead' AND blocks)) VIRTUAL;
ALTER TABLE outbox ADD COLUMN behind INTEGER NOT NULL DEFAULT 0;
CREATE INDEX outbox_line ON outbox (order_seq, target, seq) WHERE bars;
UPDATE outbox SET behind = 1 WHERE bars AND seq > (
  SELECT min(first.seq) FROM outbox AS first
  WHERE first.order_seq = outbox.order_seq AND first.target = outbox.target AND first.bars);
DROP INDEX outbox_pending;
CREATE INDEX outbox_head ON outbox (target, due_at, seq) WHERE state = 'pending' AND behind = 0;

-- Whoever comes stands last.
CREATE TRIGGER outbox_joins AFTER INSERT ON outbox WHEN EXISTS (
  SELECT 1 FROM outbox AS first
  WHERE first.order_seq = NEW.order_seq AND first.target = NEW.target AND first.bars AND first.seq < NEW.seq)
BEGIN
  UPDATE outbox SET behind = 1 WHERE seq = NEW.seq;
END;

-- Whoever goes makes the next one the first.
CREATE TRIGGER outbox_leaves AFTER UPDATE OF state, unresolved, blocks ON outbox WHEN OLD.bars AND NOT NEW.bars
BEGIN
  UPDATE outbox SET behind = 0 WHERE behind AND seq = (
    SELECT min(first.seq) FROM outbox AS first
    WHERE first.order_seq = NEW.order_seq AND first.target = NEW.target AND first.bars);
END;

-- Whoever comes back takes the place that it had: the first two are looked at, for one may have
-- been the first until then.
CREATE TRIGGER outbox_returns AFTER UPDATE OF state, unresolved, blocks ON outbox WHEN NEW.bars AND NOT OLD.bars
BEGIN
  UPDATE outbox SET behind = seq > (
    SELECT min(first.seq) FROM outbox AS first
    WHERE first.order_seq = NEW.order_seq AND first.target = NEW.target AND first.bars)
  WHERE seq = NEW.seq OR seq IN (
    SELECT first.seq FROM outbox AS first
    WHERE first.order_seq = NEW.order_seq AND first.target = NEW.target AND first.bars ORDER BY first.seq LIMIT 2);
END;
