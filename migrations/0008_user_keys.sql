-- Access keys of IAM users, for roles whose method needs one. `body` is the whole entry as JSON, its secret sealed.

CREATE TABLE catalog_key (
    id    TEXT NOT NULL PRIMARY KEY,
    body  TEXT NOT NULL
) STRICT;
