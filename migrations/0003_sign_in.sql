-- Several ways in, sessions that can be listed and ended, and signing out at the provider. Everything added has a
-- default, so that the release before still works on this schema.

-- `public_id` names a session in lists and addresses; it opens nothing. `realm` and `person` are the key of a person
-- across linked connectors. `provider_subject` and `provider_session` are what a provider's logout message names.
ALTER TABLE session ADD COLUMN public_id TEXT;
ALTER TABLE session ADD COLUMN realm TEXT;
ALTER TABLE session ADD COLUMN person TEXT;
ALTER TABLE session ADD COLUMN provider_subject TEXT;
ALTER TABLE session ADD COLUMN provider_session TEXT;
-- The ID token, sealed: signing out at an OpenID provider repeats it.
ALTER TABLE session ADD COLUMN sealed_id_token BLOB;
UPDATE session SET
    public_id = lower(hex(randomblob(16))),
    realm = connector,
    person = subject,
    provider_subject = subject,
    provider_session = json_extract(identity, '$.authentication.session_index');
CREATE UNIQUE INDEX session_by_public_id ON session (public_id);
CREATE INDEX session_of_person ON session (realm, person);
CREATE INDEX session_at_provider ON session (connector, provider_subject);
CREATE INDEX session_by_provider_session ON session (connector, provider_session);

-- What is asked of how the person is recognised, as JSON.
ALTER TABLE sign_in_attempt ADD COLUMN demand TEXT;
ALTER TABLE sign_in_ticket ADD COLUMN sealed_id_token BLOB;

-- Somebody was sent to an identity provider to sign out there. `handle_hash` is the SHA-256 of RelayState or `state`.
CREATE TABLE logout_attempt (
    handle_hash  BLOB    NOT NULL PRIMARY KEY,
    connector    TEXT    NOT NULL,
    request_id   TEXT    NOT NULL,
    started_ms   INTEGER NOT NULL,
    expires_ms   INTEGER NOT NULL
) STRICT;
CREATE INDEX logout_attempt_by_expiry ON logout_attempt (expires_ms);

-- A click that has to wait until the person was recognised again. `id_hash` is the SHA-256 of what is in the address.
CREATE TABLE pending_click (
    id_hash       BLOB    NOT NULL PRIMARY KEY,
    browser_hash  BLOB    NOT NULL,
    realm         TEXT    NOT NULL,
    person        TEXT    NOT NULL,
    body          TEXT    NOT NULL,
    expires_ms    INTEGER NOT NULL
) STRICT;
CREATE INDEX pending_click_by_expiry ON pending_click (expires_ms);

-- People who come through several connectors.
CREATE TABLE catalog_link (
    id    TEXT NOT NULL PRIMARY KEY,
    body  TEXT NOT NULL
) STRICT;
