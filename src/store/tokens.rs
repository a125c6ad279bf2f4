//! What people let programs do for them, and the tokens that prove it.

use std::sync::LazyLock;

use ipnet::IpNet;
use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::{SqlitePool, SqliteRow};

use super::{Store, StoreError, Tx, millis, parse_json, timestamp, to_json};
use crate::access::Scope;
use crate::identity::{ConnectorId, PersonId, VerifiedIdentity};
use crate::sys::{Bearer, BearerKind, TokenHash};

const TABLE: &str = "token_authorization";

/// How an authorization came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthorizationKind {
    /// A personal token, made on the page.
    Personal,
    /// A terminal or program that somebody signed in with a browser.
    SignIn,
    /// A workload's token was exchanged.
    Workload,
}

impl AuthorizationKind {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Personal => "personal",
            Self::SignIn => "sign-in",
            Self::Workload => "workload",
        }
    }

    fn parse(text: &str) -> Result<Self, StoreError> {
        [Self::Personal, Self::SignIn, Self::Workload]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| StoreError::Nonsense { table: TABLE, detail: format!("`{text}` is no kind") })
    }
}

/// What somebody allowed a program. All its tokens end with it.
#[derive(Debug, Clone)]
pub struct Authorization {
    /// Names it in lists, addresses and the audit log; opens nothing.
    pub id: String,
    pub kind: AuthorizationKind,
    /// As last vouched for, but recognised as when it was allowed.
    pub identity: VerifiedIdentity,
    /// The OAuth client id; empty for a personal token.
    pub client: String,
    /// What the person reads in the list: the token's name, or the client's.
    pub label: String,
    pub scope: Scope,
    /// From where its tokens count; empty: from anywhere.
    pub networks: Vec<IpNet>,
    /// The public id of the session it was allowed in.
    pub session: Option<String>,
    pub created: Timestamp,
    /// When an identity provider last vouched for the person.
    pub vouched: Timestamp,
    pub expires: Timestamp,
    pub last_used: Option<Timestamp>,
    pub last_used_from: Option<String>,
    /// Where it was allowed.
    pub client_address: String,
    pub user_agent: String,
}

/// A token as it is kept, with what it belongs to.
#[derive(Debug, Clone)]
pub struct StoredToken {
    pub authorization: Authorization,
    pub expires: Timestamp,
    /// When a refresh token was exchanged.
    pub used: Option<Timestamp>,
    /// What the token was made for, where that is less than its authorization.
    pub narrowed: Option<Scope>,
}

impl StoredToken {
    /// What the token may be used for.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        self.narrowed.as_ref().unwrap_or(&self.authorization.scope)
    }
}

/// The columns that [`authorization_from`] reads, in their order, between other words of a statement.
macro_rules! with_columns {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            " id, kind, identity, authentication, client, label, scope, networks, session, created_ms, vouched_ms,
             expires_ms, last_used_ms, last_used_from, client_address, user_agent ",
            $after
        )
    };
}

fn authorization_from(row: &SqliteRow) -> Result<Authorization, StoreError> {
    let mut identity: VerifiedIdentity = parse_json(TABLE, row.try_get("identity")?)?;
    identity.authentication = parse_json(TABLE, row.try_get("authentication")?)?;
    let last_used: Option<i64> = row.try_get("last_used_ms")?;
    Ok(Authorization {
        id: row.try_get("id")?,
        kind: AuthorizationKind::parse(row.try_get("kind")?)?,
        identity,
        client: row.try_get("client")?,
        label: row.try_get("label")?,
        scope: parse_json(TABLE, row.try_get("scope")?)?,
        networks: parse_networks(row.try_get("networks")?)?,
        session: row.try_get("session")?,
        created: timestamp(TABLE, row.try_get("created_ms")?)?,
        vouched: timestamp(TABLE, row.try_get("vouched_ms")?)?,
        expires: timestamp(TABLE, row.try_get("expires_ms")?)?,
        last_used: last_used.map(|at| timestamp(TABLE, at)).transpose()?,
        last_used_from: row.try_get("last_used_from")?,
        client_address: row.try_get("client_address")?,
        user_agent: row.try_get("user_agent")?,
    })
}

const TOKEN_BY_HASH: &str =
    "SELECT a.*, t.expires_ms AS token_expires_ms, t.used_ms AS token_used_ms, t.scope AS token_scope
     FROM token t JOIN token_authorization a ON a.id = t.authorized_by WHERE t.hash = $1 AND t.kind = $2";

/// The rows of several tokens, each with the revision of the catalog at that moment.
///
/// # Errors
/// The database refuses.
pub(super) async fn rows_of(reader: &SqlitePool, hashes: &[&TokenHash]) -> Result<Vec<SqliteRow>, StoreError> {
    // Few statements to keep prepared: for 1, 2, 4 and so on. Naming the last one twice changes nothing.
    let places = hashes.len().next_power_of_two();
    let mut query = sqlx::query(sqlx::AssertSqlSafe(&*TOKENS_BY_HASH[places.trailing_zeros() as usize]));
    for at in 0..places {
        query = query.bind(hashes[at.min(hashes.len() - 1)].as_slice());
    }
    Ok(query.fetch_all(reader).await?)
}

static TOKENS_BY_HASH: LazyLock<[String; 7]> = LazyLock::new(|| {
    std::array::from_fn(|at| {
        let more = ", ?".repeat((1 << at) - 1);
        format!(
            "SELECT (SELECT revision FROM catalog_meta) AS revision, t.hash AS token_hash, t.kind AS token_kind,
                    t.expires_ms AS token_expires_ms, t.used_ms AS token_used_ms, t.scope AS token_scope, a.*
             FROM token t JOIN token_authorization a ON a.id = t.authorized_by WHERE t.hash IN (?{more})"
        )
    })
});

/// The token in a row of [`rows_of`], if it is one of this kind.
pub(super) fn token_from(row: &SqliteRow, kind: BearerKind) -> Result<Option<StoredToken>, StoreError> {
    if row.try_get::<&str, _>("token_kind")? == kind.as_str() { stored_from(row).map(Some) } else { Ok(None) }
}

fn stored_from(row: &SqliteRow) -> Result<StoredToken, StoreError> {
    let used: Option<i64> = row.try_get("token_used_ms")?;
    let narrowed: Option<&str> = row.try_get("token_scope")?;
    Ok(StoredToken {
        authorization: authorization_from(row)?,
        expires: timestamp("token", row.try_get("token_expires_ms")?)?,
        used: used.map(|at| timestamp("token", at)).transpose()?,
        narrowed: narrowed.map(|text| parse_json("token", text)).transpose()?,
    })
}

fn parse_networks(text: &str) -> Result<Vec<IpNet>, StoreError> {
    text.split_whitespace().map(|net| super::parse_text(TABLE, net)).collect()
}

/// Keeps an authorization; its tokens are added after it.
///
/// # Errors
/// The database refuses.
pub async fn add_authorization(tx: &mut Tx, authorization: &Authorization) -> Result<(), StoreError> {
    let Authorization { identity, .. } = authorization;
    let person = identity.person();
    let networks: Vec<String> = authorization.networks.iter().map(ToString::to_string).collect();
    sqlx::query(
        "INSERT INTO token_authorization
         (id, kind, realm, person, connector, subject, identity, authentication, client, label, scope, networks, session,
          created_ms, vouched_ms, expires_ms, last_used_ms, last_used_from, client_address, user_agent)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)",
    )
    .bind(&authorization.id)
    .bind(authorization.kind.as_str())
    .bind(&person.realm)
    .bind(&person.value)
    .bind(identity.subject.connector.as_str())
    .bind(&identity.subject.value)
    .bind(to_json(identity))
    .bind(to_json(&identity.authentication))
    .bind(&authorization.client)
    .bind(&authorization.label)
    .bind(to_json(&authorization.scope))
    .bind(networks.join(" "))
    .bind(&authorization.session)
    .bind(millis(authorization.created))
    .bind(millis(authorization.vouched))
    .bind(millis(authorization.expires))
    .bind(authorization.last_used.map(millis))
    .bind(&authorization.last_used_from)
    .bind(&authorization.client_address)
    .bind(&authorization.user_agent)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Keeps a token of an authorization, by its hash.
///
/// # Errors
/// The database refuses.
pub async fn add_token(
    tx: &mut Tx,
    hash: &TokenHash,
    kind: BearerKind,
    authorization: &str,
    created: Timestamp,
    expires: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO token (hash, authorized_by, kind, created_ms, expires_ms) VALUES ($1, $2, $3, $4, $5)")
        .bind(hash.as_slice())
        .bind(authorization)
        .bind(kind.as_str())
        .bind(millis(created))
        .bind(millis(expires))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Keeps a token that was derived and not drawn, so that whoever derives it again finds it there. `narrowed` is what it
/// counts for, where that is less than its authorization.
///
/// # Errors
/// The database refuses.
pub async fn add_derived_token(
    tx: &mut Tx,
    token: &Bearer,
    authorization: &str,
    narrowed: Option<&Scope>,
    created: Timestamp,
    expires: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO token (hash, authorized_by, kind, scope, created_ms, expires_ms) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (hash) DO NOTHING",
    )
    .bind(token.hash().as_slice())
    .bind(authorization)
    .bind(token.kind().as_str())
    .bind(narrowed.map(to_json))
    .bind(millis(created))
    .bind(millis(expires))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The token behind a hash, as [`Store::token`] finds it, while nobody else writes.
///
/// # Errors
/// The database refuses, or the row makes no sense.
pub async fn find(tx: &mut Tx, hash: &TokenHash, kind: BearerKind) -> Result<Option<StoredToken>, StoreError> {
    let row = sqlx::query(TOKEN_BY_HASH).bind(hash.as_slice()).bind(kind.as_str()).fetch_optional(&mut **tx).await?;
    row.as_ref().map(stored_from).transpose()
}

/// Notes that a refresh token was exchanged; the first time counts.
///
/// # Errors
/// The database refuses.
pub async fn mark_used(tx: &mut Tx, hash: &TokenHash, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query("UPDATE token SET used_ms = $2 WHERE hash = $1 AND used_ms IS NULL")
        .bind(hash.as_slice())
        .bind(millis(now))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Ends one authorization of a person, and all its tokens; somebody else's is not found.
///
/// # Errors
/// The database refuses.
pub async fn remove_one_of(tx: &mut Tx, person: &PersonId, id: &str) -> Result<Option<Authorization>, StoreError> {
    let row = sqlx::query(with_columns!(
        "DELETE FROM token_authorization WHERE id = $1 AND realm = $2 AND person = $3 RETURNING",
        ""
    ))
    .bind(id)
    .bind(&person.realm)
    .bind(&person.value)
    .fetch_optional(&mut **tx)
    .await?;
    row.as_ref().map(authorization_from).transpose()
}

/// Ends an authorization, whosever it is, and all its tokens.
///
/// # Errors
/// The database refuses.
pub async fn remove(tx: &mut Tx, id: &str) -> Result<Option<Authorization>, StoreError> {
    let row = sqlx::query(with_columns!("DELETE FROM token_authorization WHERE id = $1 RETURNING", ""))
        .bind(id)
        .fetch_optional(&mut **tx)
        .await?;
    row.as_ref().map(authorization_from).transpose()
}

/// Ends what was allowed in a session.
///
/// # Errors
/// The database refuses.
pub async fn remove_all_of_session(tx: &mut Tx, session: &str) -> Result<Vec<Authorization>, StoreError> {
    let rows = sqlx::query(with_columns!("DELETE FROM token_authorization WHERE session = $1 RETURNING", ""))
        .bind(session)
        .fetch_all(&mut **tx)
        .await?;
    rows.iter().map(authorization_from).collect()
}

/// Ends everything that somebody who came through a connector allowed, or that was exchanged through it.
///
/// # Errors
/// The database refuses.
pub async fn remove_all_through(tx: &mut Tx, connector: &ConnectorId) -> Result<Vec<Authorization>, StoreError> {
    let rows = sqlx::query(with_columns!("DELETE FROM token_authorization WHERE connector = $1 RETURNING", ""))
        .bind(connector.as_str())
        .fetch_all(&mut **tx)
        .await?;
    rows.iter().map(authorization_from).collect()
}

/// Ends everything that a person allowed.
///
/// # Errors
/// The database refuses.
pub async fn remove_all_of(tx: &mut Tx, person: &PersonId) -> Result<Vec<Authorization>, StoreError> {
    let rows =
        sqlx::query(with_columns!("DELETE FROM token_authorization WHERE realm = $1 AND person = $2 RETURNING", ""))
            .bind(&person.realm)
            .bind(&person.value)
            .fetch_all(&mut **tx)
            .await?;
    rows.iter().map(authorization_from).collect()
}

/// What a person's live authorizations of one kind are called.
///
/// # Errors
/// The database refuses.
pub async fn live_labels(
    tx: &mut Tx,
    person: &PersonId,
    kind: AuthorizationKind,
    now: Timestamp,
) -> Result<Vec<String>, StoreError> {
    let labels = sqlx::query_scalar(
        "SELECT label FROM token_authorization WHERE realm = $1 AND person = $2 AND kind = $3 AND expires_ms > $4",
    )
    .bind(&person.realm)
    .bind(&person.value)
    .bind(kind.as_str())
    .bind(millis(now))
    .fetch_all(&mut **tx)
    .await?;
    Ok(labels)
}

/// What was allowed in one session belongs to another from now on.
///
/// # Errors
/// The database refuses.
pub async fn rebind(tx: &mut Tx, from: &str, to: &str) -> Result<(), StoreError> {
    sqlx::query("UPDATE token_authorization SET session = $2 WHERE session = $1")
        .bind(from)
        .bind(to)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// An identity provider has vouched for somebody anew: their tokens have today's groups. How they were recognised when
/// they allowed a program stays as it was.
///
/// # Errors
/// The database refuses.
pub async fn vouch(tx: &mut Tx, identity: &VerifiedIdentity, now: Timestamp) -> Result<(), StoreError> {
    let person = identity.person();
    sqlx::query(
        "UPDATE token_authorization SET identity = $1, vouched_ms = $2, realm = $3, person = $4
         WHERE connector = $5 AND subject = $6 AND kind <> 'workload'",
    )
    .bind(to_json(identity))
    .bind(millis(now))
    .bind(&person.realm)
    .bind(&person.value)
    .bind(identity.subject.connector.as_str())
    .bind(&identity.subject.value)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

impl Store {
    /// What a person has allowed, live or not, the newest first.
    ///
    /// # Errors
    /// The database refuses, or a row makes no sense.
    pub async fn authorizations_of(&self, person: &PersonId) -> Result<Vec<Authorization>, StoreError> {
        let rows = sqlx::query(with_columns!(
            "SELECT",
            "FROM token_authorization WHERE realm = $1 AND person = $2 ORDER BY created_ms DESC, id"
        ))
        .bind(&person.realm)
        .bind(&person.value)
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(authorization_from).collect()
    }

    /// What everybody has allowed, live or not, the newest first.
    ///
    /// # Errors
    /// The database refuses, or a row makes no sense.
    pub async fn all_authorizations(&self) -> Result<Vec<Authorization>, StoreError> {
        let rows = sqlx::query(with_columns!("SELECT", "FROM token_authorization ORDER BY created_ms DESC, id"))
            .fetch_all(self.reader())
            .await?;
        rows.iter().map(authorization_from).collect()
    }

    /// Notes that a token was used, and from where.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn touch_authorization(&self, id: &str, from: &str, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE token_authorization SET last_used_ms = $2, last_used_from = $3
             WHERE id = $1 AND (last_used_ms IS NULL OR last_used_ms < $2)",
        )
        .bind(id)
        .bind(millis(now))
        .bind(from)
        .execute(self.writer())
        .await?;
        Ok(())
    }
}
