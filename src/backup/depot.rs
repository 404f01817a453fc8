//! The place where backups are kept: a directory or a bucket, the only file that speaks to either.

use std::collections::HashMap;
use std::path::Path as FilePath;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::buffered::BufWriter;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, ObjectStoreExt, RetryConfig};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use tokio::fs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::config::{Config, Place};
use super::manifest::hexadecimal;
use super::trouble::{Result, Trouble};

/// How much of a file is in memory at a time; a larger file goes in parts of this size.
const CHUNK_BYTES: usize = 8 << 20;
/// How many parts of a file are under way at once.
const PARTS_AT_ONCE: usize = 2;
/// The largest text that is read whole.
const TEXT_MAX_BYTES: u64 = 64 << 20;
/// For how long a request is sent again and again, at most.
const RETRY_FOR: std::time::Duration = std::time::Duration::from_secs(180);

/// Where backups are kept.
#[derive(Clone, Debug)]
pub(super) struct Depot {
    store: Arc<dyn ObjectStore>,
}

impl Depot {
    /// Takes the settings. A directory is made; a bucket must be there, and nothing is asked of it yet.
    pub(super) fn open(config: &Config) -> Result<Self> {
        let wrong = |error: object_store::Error| failed("opening")(error);
        match config.place() {
            None if !config.is_set() => {
                Err(Trouble::Asked("backup.url: is not set; say where backups are kept".to_owned()))
            }
            None => Err(Trouble::Asked("backup.url: write /path, file:///path or s3://bucket/prefix".to_owned())),
            Some(Place::Dir(dir)) => {
                make_private(FilePath::new(&dir)).map_err(Trouble::io(&dir))?;
                let store = LocalFileSystem::new_with_prefix(&dir).map_err(wrong)?;
                Ok(Self { store: Arc::new(store.with_fsync(true)) })
            }
            Some(Place::Bucket { bucket, prefix }) => {
                let store = PrefixStore::new(bucket_of(config, &bucket).build().map_err(wrong)?, prefix);
                Ok(Self { store: Arc::new(store) })
            }
        }
    }

    /// Sends a file.
    pub(super) async fn put_file(&self, name: &str, file: &FilePath) -> Result<()> {
        let mut read = fs::File::open(file).await.map_err(Trouble::io(file))?;
        let mut write = BufWriter::with_capacity(Arc::clone(&self.store), path(name)?, CHUNK_BYTES)
            .with_max_concurrency(PARTS_AT_ONCE);
        let sent = async {
            while let Some(chunk) = next_chunk(&mut read).await.map_err(Trouble::io(file))? {
                write.put(chunk).await.map_err(failed("writing"))?;
            }
            Ok(())
        };
        if let Err(error) = sent.await {
            // What came of it is of no use; that it cannot be taken away is told with the error itself.
            drop(write.abort().await);
            return Err(error);
        }
        write.shutdown().await.map_err(|error| depot("writing", &error.to_string()))
    }

    /// Writes a small text.
    pub(super) async fn put(&self, name: &str, text: Vec<u8>) -> Result<()> {
        self.store.put(&path(name)?, text.into()).await.map(drop).map_err(failed("writing"))
    }

    /// Reads a small text; `None` when there is none of that name.
    pub(super) async fn get(&self, name: &str) -> Result<Option<Bytes>> {
        let found = match self.store.get(&path(name)?).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(failed("reading")(error)),
        };
        if found.meta.size > TEXT_MAX_BYTES {
            let detail = format!("it has {} bytes", found.meta.size);
            return Err(Trouble::Damaged { file: name.to_owned(), detail });
        }
        found.bytes().await.map(Some).map_err(failed("reading"))
    }

    /// Reads a file to its end, into `write` where that is given; tells its length and its SHA-256. `None` when there is
    /// none of that name.
    pub(super) async fn read(&self, name: &str, mut write: Option<&mut fs::File>) -> Result<Option<(u64, String)>> {
        let found = match self.store.get(&path(name)?).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(failed("reading")(error)),
        };
        let (mut chunks, mut sum, mut bytes) = (found.into_stream(), Sha256::new(), 0_u64);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(failed("reading"))?;
            sum.update(&chunk);
            bytes = bytes.saturating_add(chunk.len() as u64);
            if let Some(file) = write.as_deref_mut() {
                file.write_all(&chunk).await.map_err(Trouble::io(name))?;
            }
        }
        Ok(Some((bytes, hexadecimal(&sum.finalize()))))
    }

    /// Everything below a prefix, with its length.
    pub(super) async fn list(&self, prefix: &str) -> Result<HashMap<String, u64>> {
        let mut listing = self.store.list(Some(&path(prefix)?));
        let mut found = HashMap::new();
        while let Some(object) = listing.next().await {
            let object = object.map_err(failed("listing"))?;
            found.insert(object.location.to_string(), object.size);
        }
        Ok(found)
    }

    /// The names that stand right below a prefix and have something below them.
    pub(super) async fn folders(&self, prefix: &str) -> Result<Vec<String>> {
        let listing = match self.store.list_with_delimiter(Some(&path(prefix)?)).await {
            Ok(listing) => listing,
            Err(object_store::Error::NotFound { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(failed("listing")(error)),
        };
        Ok(listing.common_prefixes.iter().filter_map(|below| below.filename().map(str::to_owned)).collect())
    }

    /// Takes something away; that it is not there is no error.
    pub(super) async fn delete(&self, name: &str) -> Result<()> {
        match self.store.delete(&path(name)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed("removing")(error)),
        }
    }
}

fn bucket_of(config: &Config, bucket: &str) -> AmazonS3Builder {
    let backoff = BackoffConfig::default();
    let retries = usize::try_from(config.retries).unwrap_or(usize::MAX);
    let retry = RetryConfig { backoff, max_retries: retries, retry_timeout: RETRY_FOR };
    let options = ClientOptions::new()
        // A large file takes as long as it takes, as long as something comes.
        .with_timeout_disabled()
        .with_read_timeout(config.timeout())
        .with_connect_timeout(config.timeout())
        .with_allow_http(config.endpoint.starts_with("http://"));
    let own_keys = !config.access_key_id.is_empty();
    // The machine's own identity comes from the environment only where no keys are configured.
    let builder = if own_keys { AmazonS3Builder::new() } else { AmazonS3Builder::from_env() };
    let mut builder =
        builder.with_bucket_name(bucket).with_region(&config.region).with_retry(retry).with_client_options(options);
    if own_keys {
        let secret = config.secret_access_key.expose_secret();
        builder = builder.with_access_key_id(&config.access_key_id).with_secret_access_key(secret);
        if !config.session_token.expose_secret().is_empty() {
            builder = builder.with_token(config.session_token.expose_secret());
        }
    }
    if !config.endpoint.is_empty() {
        builder = builder.with_endpoint(&config.endpoint);
    }
    builder
}

fn path(name: &str) -> Result<Path> {
    Path::parse(name).map_err(|error| Trouble::Asked(format!("{name:?} cannot be a name here: {error}")))
}

/// The next piece of a file; `None` at its end.
pub(super) async fn next_chunk(file: &mut fs::File) -> std::io::Result<Option<Bytes>> {
    let mut chunk = Vec::with_capacity(1 << 20);
    let limit = chunk.capacity() as u64;
    let read = file.take(limit).read_to_end(&mut chunk).await?;
    Ok((read > 0).then(|| chunk.into()))
}

fn failed(doing: &str) -> impl FnOnce(object_store::Error) -> Trouble {
    let doing = doing.to_owned();
    move |error| depot(&doing, &error.to_string())
}

fn depot(doing: &str, detail: &str) -> Trouble {
    // The library's words may go over many lines and quote what the server said.
    let detail: Vec<_> = detail.split_whitespace().collect();
    let detail: String = detail.join(" ").chars().take(400).collect();
    Trouble::Depot { doing: doing.to_owned(), detail }
}

/// A store holds what people read and like; so does its backup.
fn make_private(dir: &FilePath) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}
