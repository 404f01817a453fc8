//! Where a JWKS is read from, in bounded time and size.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Url};

use super::super::config::Config;
use super::super::keys::read_bounded;
use crate::problem::Problem;

/// How long a read may take, in all.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(3);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Largest JWKS read, in bytes: a hundred keys and their certificates.
pub(in super::super) const MAX_BYTES: u64 = 256 << 10;

/// Where a JWKS is read from.
#[derive(Debug)]
pub(in super::super) enum Source {
    /// The issuer itself.
    Url(Client, Url),
    /// A file that somebody keeps up to date.
    File(PathBuf),
}

impl Source {
    /// The source a configuration names, if it names one.
    pub(in super::super) fn of(config: &Config) -> Result<Option<Self>, Problem> {
        if !config.jwks_file.as_os_str().is_empty() {
            return Ok(Some(Self::File(config.jwks_file.clone())));
        }
        if config.jwks_url.is_empty() {
            return Ok(None);
        }
        let url = checked(&config.jwks_url)?;
        let client = Client::builder()
            .user_agent(concat!("edgefeed/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(READ_TIMEOUT)
            // What is configured is asked, and nobody it points to.
            .redirect(Policy::none())
            .build();
        let client = client.map_err(|error| {
            Problem::new(
                "auth.jwks_url",
                format!("cannot be asked: {error}"),
                "see that the system has root certificates",
            )
        })?;
        Ok(Some(Self::Url(client, url)))
    }

    /// Reads it whole.
    pub(in super::super) async fn read(&self) -> Result<Vec<u8>, String> {
        match self {
            Self::Url(client, url) => fetch(client, url).await.map_err(|error| format!("auth.jwks_url: {error}")),
            Self::File(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || read_bounded(&path, MAX_BYTES)).await;
                let read = read.map_err(|error| error.to_string()).and_then(|read| read.map_err(|e| e.to_string()));
                read.map_err(|error| format!("auth.jwks_file: {error}"))
            }
        }
    }
}

async fn fetch(client: &Client, url: &Url) -> Result<Vec<u8>, String> {
    let told = |error: reqwest::Error| {
        let mut whole = error.without_url().to_string();
        whole.truncate(300);
        whole
    };
    let mut answer = client.get(url.clone()).send().await.map_err(told)?;
    if !answer.status().is_success() {
        return Err(format!("answers {}", answer.status()));
    }
    let mut bytes = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(told)? {
        if u64::try_from(bytes.len() + part.len()).map_or(true, |read| read > MAX_BYTES) {
            return Err(format!("is larger than {MAX_BYTES} bytes"));
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

/// Keys that came in the clear could be anybody's.
pub(in super::super) fn checked(url: &str) -> Result<Url, Problem> {
    let problem = |what: String| {
        Problem::new(
            "auth.jwks_url",
            what,
            "give the issuer's `jwks_uri`, such as https://id.example/.well-known/jwks.json",
        )
    };
    let url = Url::parse(url).map_err(|error| problem(format!("is no URL: {error}")))?;
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let here = host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match url.scheme() {
        "https" => Ok(url),
        "http" if here => Ok(url),
        _ => Err(problem("must be https, or http on this machine".to_owned())),
    }
}
