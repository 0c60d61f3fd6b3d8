-- Schema 8: an order has more than one effect on a target. `said` is the document that said
-- what is delivered, and 0 where that is the order as it came: of each, a target gets a kind
-- of message once.
ALTER TABLE outbox ADD COLUMN said INTEGER NOT NULL DEFAULT 0;
DROP INDEX outbox_order;
CREATE UNIQUE INDEX outbox_order ON outbox (order_seq, target, kind, said);
-- What a target called an order, for systems that know it by that.
CREATE INDEX outbox_external ON outbox (external_id) WHERE external_id IS NOT NULL AND said = 0;
