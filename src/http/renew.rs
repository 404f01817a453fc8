//! What can be exchanged while the node serves: keys that verify tokens, and the certificate.

use std::sync::Arc;

use super::door::Door;
use super::tls::Tls;
use crate::config::Config;
use crate::problem::Problem;

/// The parts that read their files anew when an operator says so.
#[derive(Clone, Debug)]
pub struct Renewable {
    /// The way in, with the keys of tokens.
    pub door: Arc<Door>,
    /// The certificates of listeners.
    pub tls: Vec<Arc<Tls>>,
}

impl Renewable {
    /// Reads keys and certificates anew. No connection is dropped; a part that cannot be renewed keeps what it has, and
    /// the others are renewed all the same.
    ///
    /// # Errors
    /// What could not be renewed.
    pub fn renew(&self, config: &Config) -> Result<(), Vec<Problem>> {
        let keys = self.door.auth().reload(&config.auth).err();
        let problems: Vec<_> = keys.into_iter().chain(self.tls.iter().filter_map(|tls| tls.reload().err())).collect();
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}
