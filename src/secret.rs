//! Which keys are secrets, and how a secret is shown.

use secrecy::{ExposeSecret, SecretString};
use serde::Serializer;

/// What stands in place of a secret that is set.
pub const REDACTED: &str = "[redacted]";

/// The keys that are secrets: never printed, never taken from a flag, and readable from a file
/// (`EDGEFEED__SECTION__KEY_FILE`).
pub const SECRET_KEYS: [&str; 10] = [
    "admin.token",
    "auth.hs256_secret",
    "auth.hs256_secret_previous",
    "backup.secret_access_key",
    "backup.session_token",
    "clickhouse.password",
    "http.cursor_key",
    "http.cursor_key_previous",
    "kafka.security.password",
    "postgres.url",
];

/// Whether a key is a secret.
pub(super) fn is_secret(key: &str) -> bool {
    SECRET_KEYS.contains(&key)
}

/// Serialises a secret as `""` when it is not set and as [`REDACTED`] when it is.
///
/// # Errors
/// Those of the serializer.
pub fn redacted<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(if secret.expose_secret().is_empty() { "" } else { REDACTED })
}
