-- How much of the room that STS has for session policies and tags a role's sessions took, in percent: the latest time, and
-- the most ever. Whoever writes a session policy is told before STS refuses it.
CREATE TABLE packed_size (
    account          TEXT    NOT NULL,
    role             TEXT    NOT NULL,
    latest_percent   INTEGER NOT NULL,
    latest_ms        INTEGER NOT NULL,
    highest_percent  INTEGER NOT NULL,
    highest_ms       INTEGER NOT NULL,
    PRIMARY KEY (account, role)
) STRICT;
