-- Packages of plugins. Their bytes are files, named by the digest; which one of a plugin
-- is active is the word of the configuration alone. Made at every opening, so that a
-- folder of an earlier build of schema 2 gets it, too.
CREATE TABLE IF NOT EXISTS package (
  digest       BLOB PRIMARY KEY,
  plugin       TEXT NOT NULL,
  version      TEXT NOT NULL,
  kind         TEXT NOT NULL,
  publisher    TEXT NOT NULL,
  installed_at INTEGER NOT NULL,
  staged_at    INTEGER,
  staged_grant TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS package_plugin ON package (plugin, installed_at);
