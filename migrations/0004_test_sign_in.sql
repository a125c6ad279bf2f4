-- Sign-ins that an operator tries out from the command line: they end in a report and never in a session.

-- `code_hash` is the SHA-256 of what is in the address; `sealed_report` is what came of it, for whoever waits.
CREATE TABLE test_sign_in (
    code_hash      BLOB    NOT NULL PRIMARY KEY,
    connector      TEXT    NOT NULL,
    started        INTEGER NOT NULL DEFAULT 0,
    sealed_report  BLOB,
    expires_ms     INTEGER NOT NULL
) STRICT;
CREATE INDEX test_sign_in_by_expiry ON test_sign_in (expires_ms);

-- Set where somebody was sent away, or came back, for a test. What arrived goes with the ticket, sealed.
ALTER TABLE sign_in_attempt ADD COLUMN test_hash BLOB;
ALTER TABLE sign_in_ticket ADD COLUMN test_hash BLOB;
ALTER TABLE sign_in_ticket ADD COLUMN sealed_received BLOB;
