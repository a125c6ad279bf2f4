//! The catalog as it is right now.
//!
//! Rules are evaluated at every request, so a change takes effect at the next click, whichever process made it. What
//! is kept between requests is only the compiled form of one revision; the revision is read each time.

use std::sync::{Arc, RwLock};

use crate::access::Policy;
use crate::catalog::Catalog;
use crate::store::{Store, StoreError};

/// One revision of the catalog with its rules compiled.
#[derive(Debug)]
pub struct Loaded {
    pub revision: i64,
    pub catalog: Arc<Catalog>,
    pub policy: Policy,
}

/// Hands out the current revision.
#[derive(Debug, Clone)]
pub struct CurrentCatalog {
    store: Store,
    kept: Arc<RwLock<Option<Arc<Loaded>>>>,
}

impl CurrentCatalog {
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, kept: Arc::default() }
    }

    /// # Errors
    /// The database refuses, or holds a catalog that makes no sense.
    pub async fn get(&self) -> Result<Arc<Loaded>, StoreError> {
        let revision = self.store.catalog_revision().await?;
        let kept = self.kept.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        if let Some(kept) = kept.filter(|kept| kept.revision == revision) {
            return Ok(kept);
        }
        let (revision, catalog) = self.store.catalog().await?;
        let catalog = Arc::new(catalog);
        let loaded = Arc::new(Loaded { revision, policy: Policy::compile(Arc::clone(&catalog)), catalog });
        *self.kept.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(Arc::clone(&loaded));
        Ok(loaded)
    }
}
