-- Keys for terminals and programs. Tokens are stored as SHA-256 only.

-- What somebody allowed a program: a personal token, a sign-in from a terminal, or a workload's exchange. Everything its
-- tokens may do ends when the row goes. `identity` is as last vouched for, at `vouched_ms`; `authentication` is how the
-- person was recognised when they allowed it, which a later sign-in elsewhere does not make stronger.
CREATE TABLE token_authorization (
    id              TEXT    NOT NULL PRIMARY KEY,
    kind            TEXT    NOT NULL,
    realm           TEXT    NOT NULL,
    person          TEXT    NOT NULL,
    connector       TEXT    NOT NULL,
    subject         TEXT    NOT NULL,
    identity        TEXT    NOT NULL,
    authentication  TEXT    NOT NULL,
    client          TEXT    NOT NULL,
    label           TEXT    NOT NULL,
    scope           TEXT    NOT NULL,
    networks        TEXT    NOT NULL,
    session         TEXT,
    created_ms      INTEGER NOT NULL,
    vouched_ms      INTEGER NOT NULL,
    expires_ms      INTEGER NOT NULL,
    last_used_ms    INTEGER,
    last_used_from  TEXT,
    client_address  TEXT    NOT NULL,
    user_agent      TEXT    NOT NULL
) STRICT;
CREATE INDEX token_authorization_of_person ON token_authorization (realm, person);
CREATE INDEX token_authorization_of_subject ON token_authorization (connector, subject);
CREATE INDEX token_authorization_of_session ON token_authorization (session);
CREATE INDEX token_authorization_by_expiry ON token_authorization (expires_ms);

-- `used_ms` is set when a refresh token was exchanged: it is kept, so that its second use is noticed. `scope` is set on an
-- access token that was asked for with less than its authorization allows.
CREATE TABLE token (
    hash           BLOB    NOT NULL PRIMARY KEY,
    authorized_by  TEXT    NOT NULL REFERENCES token_authorization (id) ON DELETE CASCADE,
    kind           TEXT    NOT NULL,
    scope          TEXT,
    created_ms     INTEGER NOT NULL,
    expires_ms     INTEGER NOT NULL,
    used_ms        INTEGER
) STRICT;
CREATE INDEX token_of_authorization ON token (authorized_by);
CREATE INDEX token_by_expiry ON token (expires_ms);

-- An authorization code (RFC 6749 4.1). Kept for a while after its use, which `used_ms` and `came_to` tell of: whoever
-- presents it again ends what it came to. Who allowed it is known by `session`, which must still be live when the code is
-- exchanged: signing out ends a code too.
CREATE TABLE authorization_code (
    hash           BLOB    NOT NULL PRIMARY KEY,
    client         TEXT    NOT NULL,
    client_name    TEXT    NOT NULL,
    redirect_uri   TEXT    NOT NULL,
    challenge      TEXT    NOT NULL,
    scope          TEXT    NOT NULL,
    session        TEXT    NOT NULL,
    client_address TEXT    NOT NULL,
    user_agent     TEXT    NOT NULL,
    created_ms     INTEGER NOT NULL,
    expires_ms     INTEGER NOT NULL,
    used_ms        INTEGER,
    came_to        TEXT
) STRICT;
CREATE INDEX authorization_code_by_expiry ON authorization_code (expires_ms);

-- A device's request (RFC 8628). `user_code_mac` is an HMAC: the code is too short for a plain hash. `decision` is
-- NULL, 'approved' or 'refused'; `decided_by` is the public id of the session that said so, `decided_from` and
-- `decided_with` the address and the browser.
CREATE TABLE device_request (
    hash            BLOB    NOT NULL PRIMARY KEY,
    user_code_mac   BLOB    NOT NULL,
    client          TEXT    NOT NULL,
    client_name     TEXT    NOT NULL,
    scope           TEXT    NOT NULL,
    client_address  TEXT    NOT NULL,
    user_agent      TEXT    NOT NULL,
    created_ms      INTEGER NOT NULL,
    expires_ms      INTEGER NOT NULL,
    interval_ms     INTEGER NOT NULL,
    polled_ms       INTEGER,
    decision        TEXT,
    decided_by      TEXT,
    decided_from    TEXT,
    decided_with    TEXT
) STRICT;
CREATE UNIQUE INDEX device_request_by_user_code ON device_request (user_code_mac);
CREATE INDEX device_request_by_expiry ON device_request (expires_ms);
