-- From schema 2 to 3: budgets are counted in rows of their own, beginning with what the
-- holds say.
CREATE TABLE budget_minute (
  plugin TEXT NOT NULL,
  minute INTEGER NOT NULL,
  holds  INTEGER NOT NULL,
  routes INTEGER NOT NULL,
  PRIMARY KEY (plugin, minute)
) STRICT, WITHOUT ROWID;
CREATE TABLE budget_day (
  plugin      TEXT NOT NULL,
  currency    TEXT NOT NULL,
  day         INTEGER NOT NULL,
  value_minor INTEGER NOT NULL,
  PRIMARY KEY (plugin, currency, day)
) STRICT, WITHOUT ROWID;
INSERT INTO budget_minute
  SELECT plugin, opened_at / 60000, count(*) FILTER (WHERE owner = 'advice'), count(*) FILTER (WHERE owner = 'route')
  FROM hold WHERE owner IN ('advice', 'route') GROUP BY 1, 2;
INSERT INTO budget_day
  SELECT plugin, currency, day, CAST(min(total(value), 9007199254740991) AS INTEGER) FROM (
    SELECT hold.plugin, orders.currency, hold.opened_at / 86400000 AS day, max(0, max(hold.value_minor)) AS value
    FROM hold JOIN orders ON orders.id = hold.order_id
    WHERE hold.owner = 'advice' GROUP BY hold.order_id, hold.plugin)
  GROUP BY 1, 2, 3;
DROP INDEX hold_plugin;
ALTER TABLE hold DROP COLUMN value_minor;
