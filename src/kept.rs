//! The store as it stands now: a rebuild puts another in its place while the node runs. And what can be told of it, or why not,
//! to an operator who looks into it, be it held by a node or by nobody.

use std::fmt;
use std::sync::Arc;

use edgefeed_storage::{Store, StoreError};

/// Why an operator got no answer.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// What was asked cannot be; the text says why and what may be.
    #[error("{0}")]
    Asked(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The result of looking into the store.
pub type Result<T, E = Trouble> = std::result::Result<T, E>;

/// Where to find the store. Ask for each piece of work anew, and let go of it afterwards.
#[derive(Clone)]
pub struct Kept(Arc<dyn Fn() -> Arc<Store> + Send + Sync>);

impl Kept {
    /// The store that `find` gives at the time.
    pub fn found_by(find: impl Fn() -> Arc<Store> + Send + Sync + 'static) -> Self {
        Self(Arc::new(find))
    }

    /// The store, now.
    pub fn now(&self) -> Arc<Store> {
        (self.0)()
    }
}

impl From<Arc<Store>> for Kept {
    /// The same store for ever.
    fn from(store: Arc<Store>) -> Self {
        Self::found_by(move || Arc::clone(&store))
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").finish_non_exhaustive()
    }
}
