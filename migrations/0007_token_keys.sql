-- The keys that sign tokens for AWS accounts which trust us as an OpenID provider. Several at a time: one is published
-- before it signs, and stays published for a while after the next has begun. Which of them does what follows from
-- `signs_from_ms` alone, so that no row has to change for a key to begin or to stop. The private half is sealed.
CREATE TABLE token_key (
    id              TEXT    NOT NULL PRIMARY KEY,
    sealed_private  BLOB    NOT NULL,
    certificate     BLOB    NOT NULL,
    created_ms      INTEGER NOT NULL,
    signs_from_ms   INTEGER NOT NULL
) STRICT;
