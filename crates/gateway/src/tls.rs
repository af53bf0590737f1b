//! TLS before everything else of a connection: certificates by the name that a client asks for, and the handshake.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::server::TlsStream;

use crate::respond::{Refusal, refuse_raw};

/// How long a client may take for the handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// What a TLS connection begins with: a record of the handshake (RFC 8446 §5.1).
const HANDSHAKE_RECORD: u8 = 22;

/// How much is read of what a client says that was told to use TLS.
const TOLD_BYTES_MAX: u64 = 64 * 1024;

/// What may be spoken inside, the better one first (RFC 7301, RFC 9113 §3.3).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A certificate with its chain, and its key, as PEM. The names are for errors.
#[derive(Clone)]
pub struct Pem {
    /// Where the chain was read.
    pub chain_name: String,
    /// The server's own certificate, then those that vouch for it.
    pub chain: Vec<u8>,
    /// Where the key was read.
    pub key_name: String,
    /// PKCS #8, PKCS #1 or SEC 1.
    pub key: Vec<u8>,
}

/// Why certificates cannot be used. The sentences name the file, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The chain's file has no certificate.
    #[error("`{0}` holds no certificate: it needs `BEGIN CERTIFICATE` blocks, the server's own first")]
    NoCertificate(String),
    /// The key's file has no key, or an encrypted one.
    #[error("`{0}` holds no private key that can be read without a password")]
    NoKey(String),
    /// A file is broken.
    #[error("`{0}` is not readable PEM: {1}")]
    NotPem(String, String),
    /// They do not belong together, or are of a kind that is not supported.
    #[error("the key in `{key}` does not go with the first certificate in `{chain}`: {reason}")]
    Mismatch {
        /// The chain's file.
        chain: String,
        /// The key's file.
        key: String,
        /// rustls's own words.
        reason: String,
    },
    /// There are none at all.
    #[error("no certificate was given")]
    None,
}

/// The certificates of a listener. They can be replaced while it listens.
pub struct Certificates(ArcSwap<ServerConfig>);

impl Certificates {
    /// Of one or more pairs. A client that names a host gets the first certificate for it, all others the first.
    pub fn new(pairs: &[Pem]) -> Result<Self, TlsError> {
        Ok(Self(ArcSwap::from_pointee(configuration(pairs)?)))
    }

    /// Uses other ones for connections from now on. An error leaves those that there are.
    pub fn replace(&self, pairs: &[Pem]) -> Result<(), TlsError> {
        self.0.store(Arc::new(configuration(pairs)?));
        Ok(())
    }
}

fn configuration(pairs: &[Pem]) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let keys = pairs.iter().map(|pair| certified(pair, &provider)).collect::<Result<Vec<_>, _>>()?;
    if keys.is_empty() {
        return Err(TlsError::None);
    }
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the default versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Names(keys)));
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(config)
}

fn certified(pair: &Pem, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain = CertificateDer::pem_slice_iter(&pair.chain).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| TlsError::NotPem(pair.chain_name.clone(), error.to_string()))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate(pair.chain_name.clone()));
    }
    let key = PrivateKeyDer::from_pem_slice(&pair.key).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::NoKey(pair.key_name.clone()),
        error => TlsError::NotPem(pair.key_name.clone(), error.to_string()),
    })?;
    let key = CertifiedKey::from_der(chain, key, provider).map_err(|error| TlsError::Mismatch {
        chain: pair.chain_name.clone(),
        key: pair.key_name.clone(),
        reason: error.to_string(),
    })?;
    Ok(Arc::new(key))
}

/// Finds a certificate by the name that a client asks for (RFC 6066 §3).
#[derive(Debug)]
struct Names(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let wanted = hello.server_name().and_then(|name| ServerName::try_from(name.to_owned()).ok());
        let fits = |key: &&Arc<CertifiedKey>| {
            let own = ParsedCertificate::try_from(key.end_entity_cert().ok()?).ok()?;
            verify_server_name(&own, wanted.as_ref()?).ok()
        };
        self.0.iter().find(|key| fits(key).is_some()).or_else(|| self.0.first()).cloned()
    }
}

/// A client's connection, with TLS or without.
pub(crate) enum Wire {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

impl Wire {
    /// Shakes hands. A client that speaks HTTP to a port of HTTPS is told so.
    pub(crate) async fn secure(stream: TcpStream, certificates: &Certificates) -> io::Result<Self> {
        let config = certificates.0.load_full();
        let shaken = async {
            let mut first = [0];
            stream.peek(&mut first).await?;
            if first[0].is_ascii_uppercase() {
                return tell_of_tls(stream).await;
            }
            if first[0] != HANDSHAKE_RECORD {
                return Err(io::ErrorKind::InvalidData.into());
            }
            tokio_rustls::TlsAcceptor::from(config).accept(stream).await
        };
        let shaken = timeout(HANDSHAKE_MAX, shaken).await.map_err(io::Error::from)??;
        Ok(Self::Secure(Box::new(shaken)))
    }
}

async fn tell_of_tls(mut stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    let refusal = Refusal::BadRequest("this port speaks HTTPS: use an https:// URL");
    stream.write_all(&refuse_raw(&refusal)).await?;
    stream.shutdown().await?;
    // What the client still sends would reset the connection, and with it the answer, if nobody read it.
    _ = tokio::io::copy(&mut stream.take(TOLD_BYTES_MAX), &mut tokio::io::sink()).await;
    Err(io::Error::new(io::ErrorKind::InvalidData, "a client spoke HTTP to a port of HTTPS"))
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Secure(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Secure(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Secure(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Secure(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Secure(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Secure(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
