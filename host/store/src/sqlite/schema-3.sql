-- From schema 2 to 3, after `budget.sql`: budgets begin with what the holds say.
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
