//! TLS of a listener: one certificate, which can be exchanged while connections stay open.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ServerConfig};

use crate::problem::Problem;

/// The certificate of a listener and where it came from.
pub struct Tls {
    acceptor: TlsAcceptor,
    current: Arc<Current>,
    files: Files,
}

/// The PEM files of a certificate.
#[derive(Clone, Debug)]
pub struct Files {
    /// The configuration key of the certificate's file, for messages.
    pub key: &'static str,
    /// The certificate, followed by those between it and the root.
    pub cert: PathBuf,
    /// Its private key.
    pub private: PathBuf,
}

/// The certificate that the next handshake shows.
#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Tls {
    /// TLS 1.2 and 1.3 with the certificate of these files.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub fn new(files: Files) -> Result<Self, Problem> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let current = Arc::new(Current(ArcSwap::from_pointee(read(&files, &provider)?)));
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(|error| files.problem(&files.cert, &error.to_string()))?;
        let mut config = config.with_no_client_auth().with_cert_resolver(Arc::clone(&current) as Arc<_>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), current, files })
    }

    /// Reads the files anew. Connections that are open go on under the certificate they began with; when this fails, so
    /// does everybody else.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub fn reload(&self) -> Result<(), Problem> {
        let fresh = read(&self.files, &aws_lc_rs::default_provider())?;
        self.current.0.store(Arc::new(fresh));
        Ok(())
    }

    pub(super) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }
}

impl Files {
    /// The files of a section, or none where it names none.
    ///
    /// # Errors
    /// One file without the other.
    pub fn of(keys: [&'static str; 2], cert: &Path, private: &Path) -> Result<Option<Self>, Problem> {
        let [cert_key, private_key] = keys;
        match (cert.as_os_str().is_empty(), private.as_os_str().is_empty()) {
            (true, true) => Ok(None),
            (false, false) => Ok(Some(Self { key: cert_key, cert: cert.to_owned(), private: private.to_owned() })),
            (empty, _) => {
                let (missing, given) = if empty { (cert_key, private_key) } else { (private_key, cert_key) };
                let mend = "name both files, or neither for plain HTTP";
                Err(Problem::new(missing, format!("is not set, and {given} is"), mend))
            }
        }
    }

    fn problem(&self, file: &Path, what: &str) -> Problem {
        let mend = "name PEM files with the certificate chain and its private key, readable for the node";
        Problem::new(self.key, format!("{}: {what}", file.display()), mend)
    }
}

/// The certificate of a section, if it names one.
///
/// # Errors
/// What is wrong with its files.
pub fn of(keys: [&'static str; 2], cert: &Path, private: &Path) -> Result<Option<Arc<Tls>>, Problem> {
    Files::of(keys, cert, private)?.map(|files| Tls::new(files).map(Arc::new)).transpose()
}

/// Notes what is wrong with a section's files, if it names any.
pub fn check(keys: [&'static str; 2], cert: &Path, private: &Path, problems: &mut Vec<Problem>) {
    let read = |files: Files| read(&files, &aws_lc_rs::default_provider()).map(drop);
    let checked = Files::of(keys, cert, private).and_then(|files| files.map_or(Ok(()), read));
    problems.extend(checked.err());
}

fn read(files: &Files, provider: &CryptoProvider) -> Result<CertifiedKey, Problem> {
    let unread = |file: &Path, error: rustls_pki_types::pem::Error| files.problem(file, &error.to_string());
    let chain = CertificateDer::pem_file_iter(&files.cert).map_err(|error| unread(&files.cert, error))?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(|error| unread(&files.cert, error))?;
    if chain.is_empty() {
        return Err(files.problem(&files.cert, "holds no certificate"));
    }
    // What the file says stays out of messages: it is a secret.
    let private = PrivateKeyDer::from_pem_file(&files.private)
        .map_err(|_| files.problem(&files.private, "holds no private key, or cannot be read"))?;
    let unfit = |error: rustls::Error| files.problem(&files.private, &error.to_string());
    let certified = CertifiedKey::from_der(chain, private, provider).map_err(unfit)?;
    certified.keys_match().map_err(unfit)?;
    Ok(certified)
}
