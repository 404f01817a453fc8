//! What a running node tells about itself: whether it is ready, why not, and a snapshot of each part.

use std::fmt;
use std::sync::{PoisonError, RwLock};

use serde_json::{Map, Value};
use tokio::sync::watch;

/// A part's own account of itself. Called on the admin listener: quick, and never waiting on another party.
type Section = Box<dyn Fn() -> Value + Send + Sync>;
/// Why a part cannot serve yet, in a few words; `None` when it can.
type Check = Box<dyn Fn() -> Option<String> + Send + Sync>;

/// The node's account of itself. Parts register once, at start; the admin listener reads.
pub struct Status {
    started: watch::Sender<bool>,
    draining: watch::Sender<bool>,
    sections: RwLock<Vec<(&'static str, Section)>>,
    checks: RwLock<Vec<Check>>,
}

impl Default for Status {
    fn default() -> Self {
        Self {
            started: watch::Sender::new(false),
            draining: watch::Sender::new(false),
            sections: RwLock::default(),
            checks: RwLock::default(),
        }
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Status").field("draining", &self.is_draining()).finish_non_exhaustive()
    }
}

impl Status {
    /// Adds a part to `/status` under a name of its own.
    pub fn add_section(&self, name: &'static str, snapshot: impl Fn() -> Value + Send + Sync + 'static) {
        let mut sections = self.sections.write().unwrap_or_else(PoisonError::into_inner);
        sections.push((name, Box::new(snapshot)));
    }

    /// Adds a condition of readiness.
    pub fn add_check(&self, unready: impl Fn() -> Option<String> + Send + Sync + 'static) {
        let mut checks = self.checks.write().unwrap_or_else(PoisonError::into_inner);
        checks.push(Box::new(unready));
    }

    /// Says that every part has been started and has registered; until then the node is not ready.
    pub fn set_started(&self) {
        self.started.send_replace(true);
    }

    /// Begins a drain: not ready from now on, and everybody in [`Status::draining`] goes on. Cannot be taken back.
    pub fn set_draining(&self) {
        self.draining.send_replace(true);
    }

    /// Whether a drain has begun.
    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// Waits until a drain begins.
    pub async fn draining(&self) {
        // The sender is ours, so it cannot be gone.
        drop(self.draining.subscribe().wait_for(|draining| *draining).await);
    }

    /// Whether the node can serve.
    ///
    /// # Errors
    /// Every reason why not, a line each.
    pub fn ready(&self) -> Result<(), Vec<String>> {
        let mut reasons = Vec::new();
        if self.is_draining() {
            reasons.push("draining".to_owned());
        }
        if !*self.started.borrow() {
            reasons.push("starting".to_owned());
        }
        let checks = self.checks.read().unwrap_or_else(PoisonError::into_inner);
        reasons.extend(checks.iter().filter_map(|check| check()));
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
    }

    /// Everything there is to tell: `ready`, `reasons`, `draining`, and an object a part.
    pub fn snapshot(&self) -> Value {
        let reasons = self.ready().err().unwrap_or_default();
        let mut all = Map::new();
        all.insert("ready".to_owned(), reasons.is_empty().into());
        all.insert("reasons".to_owned(), reasons.into());
        all.insert("draining".to_owned(), self.is_draining().into());
        let sections = self.sections.read().unwrap_or_else(PoisonError::into_inner);
        for (name, snapshot) in sections.iter() {
            all.insert((*name).to_owned(), snapshot());
        }
        Value::Object(all)
    }
}
