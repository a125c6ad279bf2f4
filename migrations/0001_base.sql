-- Times are milliseconds since the Unix epoch, UTC. Secrets are stored as SHA-256 or sealed, never in clear.

-- A browser that has signed in. `id_hash` is the SHA-256 of the cookie's token.
CREATE TABLE session (
    id_hash         BLOB    NOT NULL PRIMARY KEY,
    connector       TEXT    NOT NULL,
    subject         TEXT    NOT NULL,
    identity        TEXT    NOT NULL,
    created_ms      INTEGER NOT NULL,
    last_seen_ms    INTEGER NOT NULL,
    idle_ms         INTEGER NOT NULL,
    expires_ms      INTEGER NOT NULL,
    client_address  TEXT    NOT NULL,
    user_agent      TEXT    NOT NULL
) STRICT;
CREATE INDEX session_by_person ON session (connector, subject);
CREATE INDEX session_by_expiry ON session (expires_ms);

-- Somebody was sent to an identity provider. `handle_hash` is the SHA-256 of the RelayState.
CREATE TABLE sign_in_attempt (
    handle_hash   BLOB    NOT NULL PRIMARY KEY,
    connector     TEXT    NOT NULL,
    request_id    TEXT    NOT NULL,
    browser_hash  BLOB    NOT NULL,
    return_to     TEXT    NOT NULL,
    force_authn   INTEGER NOT NULL,
    started_ms    INTEGER NOT NULL,
    expires_ms    INTEGER NOT NULL
) STRICT;
CREATE INDEX sign_in_attempt_by_expiry ON sign_in_attempt (expires_ms);

-- A reply was verified and waits for the browser that began. Without `browser_hash` nobody began: ask before use.
CREATE TABLE sign_in_ticket (
    ticket_hash   BLOB    NOT NULL PRIMARY KEY,
    connector     TEXT    NOT NULL,
    browser_hash  BLOB,
    identity      TEXT    NOT NULL,
    return_to     TEXT    NOT NULL,
    expires_ms    INTEGER NOT NULL
) STRICT;
CREATE INDEX sign_in_ticket_by_expiry ON sign_in_ticket (expires_ms);

-- Evidence that was accepted, kept for as long as it could be presented again.
CREATE TABLE used_assertion (
    issuer        TEXT    NOT NULL,
    assertion_id  TEXT    NOT NULL,
    until_ms      INTEGER NOT NULL,
    PRIMARY KEY (issuer, assertion_id)
) STRICT;
CREATE INDEX used_assertion_by_expiry ON used_assertion (until_ms);

-- Rolegate's own keys. The private half is sealed.
CREATE TABLE key_pair (
    id              TEXT    NOT NULL PRIMARY KEY,
    purpose         TEXT    NOT NULL,
    sealed_private  BLOB    NOT NULL,
    certificate     BLOB    NOT NULL,
    created_ms      INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX key_pair_by_purpose ON key_pair (purpose);

-- Identity provider metadata that was fetched from a connector's `metadata_url`, the last good copy.
CREATE TABLE connector_metadata (
    connector   TEXT    NOT NULL PRIMARY KEY,
    url         TEXT    NOT NULL,
    document    TEXT    NOT NULL,
    fetched_ms  INTEGER NOT NULL
) STRICT;

-- What a person used last and marked as a favourite.
CREATE TABLE role_preference (
    connector     TEXT    NOT NULL,
    subject       TEXT    NOT NULL,
    account       TEXT    NOT NULL,
    role          TEXT    NOT NULL,
    favourite     INTEGER NOT NULL DEFAULT 0,
    last_used_ms  INTEGER,
    PRIMARY KEY (connector, subject, account, role)
) STRICT;

-- The audit log: a chain. Each row's `hash` covers the row and the hash before it.
CREATE TABLE audit_event (
    seq        INTEGER NOT NULL PRIMARY KEY,
    at_ms      INTEGER NOT NULL,
    kind       TEXT    NOT NULL,
    subject    TEXT,
    reference  TEXT,
    body       TEXT    NOT NULL,
    hash       BLOB    NOT NULL
) STRICT;
CREATE INDEX audit_event_by_subject ON audit_event (subject, seq);
CREATE INDEX audit_event_by_reference ON audit_event (reference);
CREATE TRIGGER audit_event_is_never_changed BEFORE UPDATE ON audit_event
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_event_is_never_removed BEFORE DELETE ON audit_event
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
