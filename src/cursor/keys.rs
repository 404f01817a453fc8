//! The keys cursors are sealed with.

use edgefeed_storage::model::Id;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// Bytes of a seal: half of HMAC-SHA256's, which is as far from being guessed.
pub(super) const SEAL: usize = 16;
/// What the keys seal; another use of the same secret cannot make a cursor.
const PURPOSE: &[u8] = b"edgefeed cursor";

/// The current key, and the one before while cursors sealed with it are about.
#[derive(Clone)]
pub struct Keys(Vec<Hmac<Sha256>>);

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.0.len())
    }
}

impl Keys {
    /// The keys of the configuration. Without one, cursors are good on this node until it ends, which is said once.
    pub fn new(current: &SecretString, previous: &SecretString) -> Self {
        let given = [current, previous].map(|key| key.expose_secret().as_bytes());
        let mut keys: Vec<_> = given.into_iter().filter(|key| !key.is_empty()).filter_map(keyed).collect();
        if current.expose_secret().is_empty() {
            tracing::info!(
                "http.cursor_key is not set: cursors are good on this node alone, until it ends; give all nodes of a \
                 region the same"
            );
            let random = [*uuid::Uuid::new_v4().as_bytes(), *uuid::Uuid::new_v4().as_bytes()].concat();
            keys.splice(0..0, keyed(&random));
        }
        Self(keys)
    }

    /// The seal of a reader's cursor.
    pub(super) fn seal(&self, viewer: Id, body: &[u8]) -> [u8; SEAL] {
        let mut seal = [0; SEAL];
        if let Some(key) = self.0.first() {
            let whole = over(key, viewer, body).finalize().into_bytes();
            seal.copy_from_slice(&whole[..SEAL]);
        }
        seal
    }

    /// Whether a seal is ours. Takes the same time wherever a guess goes wrong.
    pub(super) fn sealed(&self, viewer: Id, body: &[u8], seal: &[u8; SEAL]) -> bool {
        self.0.iter().any(|key| over(key, viewer, body).verify_truncated_left(seal).is_ok())
    }
}

fn keyed(key: &[u8]) -> Option<Hmac<Sha256>> {
    // HMAC takes keys of any length.
    Hmac::new_from_slice(key).ok()
}

/// Parts of fixed length first, so that no two of them read alike.
fn over(key: &Hmac<Sha256>, viewer: Id, body: &[u8]) -> Hmac<Sha256> {
    let mut mac = key.clone();
    mac.update(PURPOSE);
    mac.update(&viewer.0.to_be_bytes());
    mac.update(body);
    mac
}
