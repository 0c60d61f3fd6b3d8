-- What plugins caused: holds and routes by the minute, the value of held orders by the day
-- (UTC), both counted from 1970. `budget.rs` says which of them a budget is.
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
