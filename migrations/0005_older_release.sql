-- While replicas are being upgraded, the release before still begins sessions on this schema. They get what it does not
-- know, so that they can be listed, ended and named by a provider's logout message like all others.
CREATE TRIGGER session_of_the_release_before AFTER INSERT ON session WHEN NEW.realm IS NULL
BEGIN
    UPDATE session SET
        public_id = lower(hex(randomblob(16))),
        realm = NEW.connector,
        person = NEW.subject,
        provider_subject = NEW.subject,
        provider_session = json_extract(NEW.identity, '$.authentication.session_index')
    WHERE id_hash = NEW.id_hash;
END;
UPDATE session SET
    public_id = lower(hex(randomblob(16))),
    realm = connector,
    person = subject,
    provider_subject = subject,
    provider_session = json_extract(identity, '$.authentication.session_index')
WHERE realm IS NULL;
