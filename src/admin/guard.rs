//! Who may use the admin listener.

use std::net::IpAddr;

use ::http::HeaderMap;
use ::http::header::{HOST, ORIGIN};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::auth::bearer;
use crate::http::Error;

/// Decides who may see the inside of the node or change it.
pub struct Guard {
    /// A key of this process alone, and the token's digest under it: comparing digests under an unknown key takes the
    /// same time wherever a guess goes wrong.
    token: Option<(Hmac<Sha256>, Vec<u8>)>,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("token", &self.token.is_some()).finish()
    }
}

impl Guard {
    /// Asks for this token, or for none when it is empty (loopback only, as the configuration's check ensures).
    pub fn new(token: &SecretString) -> Self {
        let token = token.expose_secret();
        if token.is_empty() {
            return Self { token: None };
        }
        let key = [*uuid::Uuid::new_v4().as_bytes(), *uuid::Uuid::new_v4().as_bytes()].concat();
        // HMAC takes keys of any length.
        let keyed = Hmac::<Sha256>::new_from_slice(&key).ok();
        Self { token: keyed.map(|keyed| (keyed.clone(), digest(keyed, token))) }
    }

    /// Whether a caller may read.
    ///
    /// # Errors
    /// 401 without the token; 403 when no token is set and a browser was lured here by a foreign name.
    pub fn read(&self, headers: &HeaderMap) -> Result<(), Error> {
        let Some((keyed, expected)) = &self.token else { return local_name(headers) };
        let mut given = keyed.clone();
        given.update(bearer(headers)?.as_bytes());
        given.verify_slice(expected).map_err(|_| Error::Unauthorized(crate::auth::Denied::Signature))
    }

    /// Whether a caller may change something.
    ///
    /// # Errors
    /// Those of [`Guard::read`], and 403 for a browser sent by another site.
    pub fn change(&self, headers: &HeaderMap) -> Result<(), Error> {
        self.read(headers)?;
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        match headers.get(ORIGIN).map(|origin| origin.to_str().unwrap_or_default()) {
            Some(origin) if origin.split_once("://").map(|(_, name)| name) != Some(host) => {
                Err(Error::Forbidden("another site may not ask for this"))
            }
            _ => Ok(()),
        }
    }
}

fn digest(mut keyed: Hmac<Sha256>, token: &str) -> Vec<u8> {
    keyed.update(token.as_bytes());
    keyed.finalize().into_bytes().to_vec()
}

/// A page on the internet can point its own name at 127.0.0.1 and have the browser of somebody here read the answers;
/// the browser then sends that name.
fn local_name(headers: &HeaderMap) -> Result<(), Error> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host
        .rsplit_once(':')
        .map_or(host, |(name, port)| if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host });
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    if name.is_empty() || name == "localhost" || bare.parse::<IpAddr>().is_ok() {
        Ok(())
    } else {
        Err(Error::Forbidden("ask by address, or set admin.token"))
    }
}
