-- Schema 12: two indexes over random keys are gone, over the order of an event and over whom a payload
-- is about; `schema.sql` says why. An order has six events and twenty payloads.
--
-- An event knows its order by its number. It may come before the order: then that is not known yet,
-- and whoever writes the order tells it to the events that waited. Whom a payload is about is asked
-- when somebody is to be forgotten, and found by looking at each key.
ALTER TABLE order_event ADD COLUMN order_seq INTEGER;
UPDATE order_event SET order_seq = (SELECT seq FROM orders WHERE orders.id = order_event.order_id);
DROP INDEX order_event_order;
CREATE INDEX order_event_order ON order_event (order_seq, position);
CREATE INDEX order_event_alone ON order_event (order_id, position) WHERE order_seq IS NULL;
DROP INDEX payload_key_subject;
