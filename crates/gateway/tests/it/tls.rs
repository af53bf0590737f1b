//! HTTPS: which certificate, which protocol, and that nothing else changes.

use std::sync::Arc;

use pilotlight_gateway::{Certificates, Listener, Pem, TlsError};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::container;
use crate::world::{Client, World, get, within};

/// A certificate for some names, and its key.
fn made(names: &[&str]) -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).unwrap()
}

fn pem(made: &CertifiedKey<KeyPair>) -> Pem {
    Pem {
        chain_name: "chain.pem".into(),
        chain: made.cert.pem().into_bytes(),
        key_name: "key.pem".into(),
        key: made.signing_key.serialize_pem().into_bytes(),
    }
}

/// A listener with these certificates in a world whose endpoint answers at the host `a`.
async fn listen(world: &World, certificates: Arc<Certificates>) -> Listener {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.gateway.listen_on(vec![listener], Some(certificates)).unwrap()
}

async fn serving(names: &[&str]) -> (World, Listener, Arc<Certificates>, CertificateDer<'static>) {
    let world = World::new().await;
    container::serve(&world.socket);
    let made = made(names);
    let certificates = Arc::new(Certificates::new(&[pem(&made)]).unwrap());
    let listener = listen(&world, Arc::clone(&certificates)).await;
    (world, listener, certificates, made.cert.der().clone())
}

/// Shakes hands as a client that trusts `root` and speaks these protocols.
async fn connect(
    listener: &Listener,
    root: &CertificateDer<'static>,
    name: &str,
    protocols: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let stream = TcpStream::connect(("127.0.0.1", listener.port())).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    within(TlsConnector::from(Arc::new(config)).connect(name, stream)).await
}

fn at(host: &str, path: &str) -> String {
    get(path).replace("Host: localhost", &format!("Host: {host}"))
}

#[tokio::test]
async fn a_request_over_tls_is_answered_and_says_https() {
    let (_world, listener, _, root) = serving(&["local--hello-f.localhost"]).await;
    let stream = connect(&listener, &root, "local--hello-f.localhost", &[]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), None);
    let mut client = Client::over(stream);
    client.write(at("local--hello-f.localhost", "/head")).await;
    let answer = client.answer().await;
    assert_eq!(answer.status, 200);
    let told = answer.text().to_lowercase();
    assert!(told.contains("x-forwarded-proto: https"), "{told}");
    assert!(told.contains("proto=https;host=\"local--hello-f.localhost\""), "{told}");
    // The connection is kept.
    client.write(at("local--hello-f.localhost", "/")).await;
    assert_eq!(client.answer().await.text(), "hello");
}

#[tokio::test]
async fn alpn_chooses_http2_where_the_client_speaks_it() {
    let (_world, listener, _, root) = serving(&["local--hello-f.localhost"]).await;
    let name = "local--hello-f.localhost";
    let stream = connect(&listener, &root, name, &[b"http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let stream = connect(&listener, &root, name, &[b"http/1.1", b"h2"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    tokio::spawn(connection);
    let request =
        http::Request::get(format!("https://{name}/")).body(http_body_util::Empty::<bytes::Bytes>::new());
    let answer = within(sender.send_request(request.unwrap())).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, http::Version::HTTP_2));
    assert!(
        connect(&listener, &root, name, &[b"spdy/1"]).await.is_err(),
        "nothing in common (RFC 7301 §3.2)"
    );
}

#[tokio::test]
async fn the_name_chooses_the_certificate() {
    let world = World::new().await;
    container::serve(&world.socket);
    let (one, two) = (made(&["one.example"]), made(&["two.example", "*.two.example"]));
    let certificates = Certificates::new(&[pem(&one), pem(&two)]).unwrap();
    let listener = listen(&world, Arc::new(certificates)).await;
    let (one, two) = (one.cert.der(), two.cert.der());
    assert!(connect(&listener, one, "one.example", &[]).await.is_ok());
    assert!(connect(&listener, two, "two.example", &[]).await.is_ok());
    assert!(connect(&listener, two, "a.two.example", &[]).await.is_ok());
    let error = connect(&listener, two, "three.example", &[]).await.unwrap_err();
    assert!(
        error.to_string().contains("UnknownIssuer") || error.to_string().contains("certificate"),
        "{error}"
    );
}

#[tokio::test]
async fn certificates_are_replaced_for_the_next_connection() {
    let (_world, listener, certificates, old) = serving(&["a.example"]).await;
    let mut kept = Client::over(connect(&listener, &old, "a.example", &[]).await.unwrap());
    let new = made(&["a.example"]);
    let broken = Pem { key: b"nothing".to_vec(), ..pem(&new) };
    assert!(certificates.replace(&[broken]).is_err());
    assert!(connect(&listener, &old, "a.example", &[]).await.is_ok(), "a mistake changes nothing");
    certificates.replace(&[pem(&new)]).unwrap();
    assert!(connect(&listener, &old, "a.example", &[]).await.is_err());
    assert!(connect(&listener, new.cert.der(), "a.example", &[]).await.is_ok());
    kept.write(at("local--hello-f.localhost", "/")).await;
    assert_eq!(kept.answer().await.status, 200, "a connection goes on as it began");
}

#[tokio::test]
async fn http_at_a_port_of_https_is_told_so() {
    let (_world, listener, ..) = serving(&["a.example"]).await;
    let stream = TcpStream::connect(("127.0.0.1", listener.port())).await.unwrap();
    let mut client = Client::over(stream);
    client.write(at("a.example", "/")).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "bad_request"));
    assert!(answer.text().contains("https://"), "{}", answer.text());
    // Neither HTTP nor TLS: no answer, and no harm.
    let mut other = Client::over(TcpStream::connect(("127.0.0.1", listener.port())).await.unwrap());
    other.write([0, 1, 2]).await;
    assert_eq!(other.rest().await, b"");
}

#[tokio::test]
async fn the_guard_looks_inside_tls() {
    let (_world, listener, _, root) = serving(&["a.example"]).await;
    let mut client = Client::over(connect(&listener, &root, "a.example", &[]).await.unwrap());
    client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "bad_request"));
}

#[test]
fn files_that_are_no_certificates_are_named() {
    let (good, other) = (pem(&made(&["a"])), pem(&made(&["a"])));
    let error = |pem: Pem| Certificates::new(&[pem]).err().unwrap();
    let no_chain = error(Pem { chain: Vec::new(), ..good.clone() });
    assert!(matches!(&no_chain, TlsError::NoCertificate(file) if file == "chain.pem"), "{no_chain}");
    let no_key = error(Pem { key: good.chain.clone(), ..good.clone() });
    assert!(matches!(&no_key, TlsError::NoKey(file) if file == "key.pem"), "{no_key}");
    let broken = b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n".to_vec();
    assert!(matches!(error(Pem { chain: broken, ..good.clone() }), TlsError::NotPem(..)));
    let foreign = error(Pem { key: other.key, ..good });
    assert!(matches!(foreign, TlsError::Mismatch { .. }), "{foreign}");
    assert!(matches!(Certificates::new(&[]), Err(TlsError::None)));
}
