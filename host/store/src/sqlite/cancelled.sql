-- Schema 9: whether an order is to be cancelled is asked with each event about it, of which there
-- may be ten thousand.
CREATE INDEX order_event_cancel ON order_event (order_id) WHERE kind = 'order.cancel-requested';
