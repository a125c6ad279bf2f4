//! A person marks a role, or takes the mark away.

use super::Ground;
use crate::aws::{AccountId, RoleName};
use crate::identity::PersonId;
use crate::store::StoreError;

/// Turns a favourite on or off.
///
/// # Errors
/// The database refuses.
pub async fn toggle(ground: &Ground, person: &PersonId, account: AccountId, role: &RoleName) -> Result<(), StoreError> {
    let known = ground.store.preferences(person).await?;
    let marked = known.iter().any(|entry| entry.favourite && entry.account == account && entry.role == *role);
    ground.store.set_favourite(person, account, role, !marked).await
}
