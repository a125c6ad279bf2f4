-- Who may do what. Key columns are what rows refer to each other by; `body` is the whole entry as JSON.

CREATE TABLE catalog_connector (
    id    TEXT NOT NULL PRIMARY KEY,
    body  TEXT NOT NULL
) STRICT;

CREATE TABLE catalog_account (
    id    TEXT NOT NULL PRIMARY KEY,
    body  TEXT NOT NULL
) STRICT;

CREATE TABLE catalog_role (
    account  TEXT NOT NULL REFERENCES catalog_account (id),
    name     TEXT NOT NULL,
    body     TEXT NOT NULL,
    PRIMARY KEY (account, name)
) STRICT;

CREATE TABLE catalog_rule (
    id    TEXT NOT NULL PRIMARY KEY,
    body  TEXT NOT NULL
) STRICT;

-- One row. `revision` grows with every change, so that a process can tell whether what it compiled still holds.
CREATE TABLE catalog_meta (
    one       INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    revision  INTEGER NOT NULL,
    support   TEXT    NOT NULL
) STRICT;
INSERT INTO catalog_meta (one, revision, support) VALUES (1, 0, '{}');
