//! Which endpoint a request reaches: ports, hosts, custom domains, names of inside.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use pilotlight_gateway::{Addresses, Endpoint, Gateway, Listener, Options, Reach, Routes};
use pilotlight_pool::fake::FakeLauncher;
use pilotlight_pool::{Pool, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::container;
use crate::world::within;

/// Endpoints that answer with their own name.
struct Town {
    gateway: Gateway,
    folder: tempfile::TempDir,
    routes: Vec<(Arc<Endpoint>, Addresses)>,
}

impl Town {
    fn new() -> Self {
        Self::of(Options::default())
    }

    fn of(options: Options) -> Self {
        let gateway = Gateway::new(options);
        Self { gateway, folder: tempfile::tempdir().unwrap(), routes: Vec::new() }
    }

    fn add(&mut self, name: &'static str, addresses: Addresses) {
        let socket = self.folder.path().join(name);
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}", name.len());
        container::serve_raw(&socket, answer.leak().as_bytes());
        let (pool, actor) = Pool::new(Settings::default(), Arc::new(FakeLauncher::serving(&socket)));
        tokio::spawn(actor);
        let patience = Duration::from_secs(10);
        let (app, function) = ("hello".to_owned(), name.to_owned());
        let endpoint = Endpoint {
            id: format!("fu-{name}"),
            app,
            function,
            pool,
            start_timeout: patience,
            timeout: patience,
            total_timeout: None,
            keep_alive: true,
            wait_for_response: true,
            rate: None,
        };
        self.routes.push((Arc::new(endpoint), addresses));
        self.gateway.publish(Routes::new(self.routes.clone()));
    }

    async fn listen(&self) -> Listener {
        self.gateway.listen(0, Reach::Loopback).await.unwrap()
    }
}

/// The body of the answer, or the platform's word.
async fn ask(port: u16, host: &str) -> String {
    let text = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let all = within(async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        String::from_utf8(all).unwrap()
    });
    let all = all.await;
    let (head, body) = all.split_once("\r\n\r\n").unwrap();
    match head.split(' ').nth(1).unwrap() {
        "200" => body.to_owned(),
        status => format!("{status} {}", body.contains("endpoint_not_found")),
    }
}

fn texts(hosts: &[&str]) -> Vec<String> {
    hosts.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_custom_domain_is_answered_on_every_public_listener() {
    let mut town = Town::new();
    let (shared, one, two) = (town.listen().await, town.listen().await, town.listen().await);
    let domains = texts(&["api.example.com"]);
    town.add("one", Addresses { port: Some(one.port()), domains, ..Addresses::default() });
    town.add("two", Addresses { port: Some(two.port()), ..Addresses::default() });
    for listener in [&shared, &one, &two] {
        for host in ["api.example.com", "API.example.com:8000", "api.example.com."] {
            assert_eq!(ask(listener.port(), host).await, "one", "{host}");
        }
    }
    // Any other host belongs to the port.
    assert_eq!(ask(two.port(), "example.com").await, "two");
    assert_eq!(ask(two.port(), "x.api.example.com").await, "two");
    assert_eq!(ask(shared.port(), "example.com").await, "404 true");
}

#[tokio::test]
async fn a_wildcard_is_one_label_and_gives_way_to_a_host() {
    let mut town = Town::new();
    let shared = town.listen().await;
    let domains = |hosts: &[&str]| Addresses { domains: texts(hosts), ..Addresses::default() };
    town.add("any", domains(&["*.example.com"]));
    town.add("www", domains(&["www.example.com"]));
    town.add("deep", domains(&["*.b.example.com"]));
    for (host, expected) in [
        ("a.example.com", "any"),
        ("www.example.com", "www"),
        ("b.example.com", "any"),
        ("a.b.example.com", "deep"),
        ("a.www.example.com", "404 true"),
        ("example.com", "404 true"),
        (".example.com", "404 true"),
        ("a.b.c.example.com", "404 true"),
        ("*.example.com", "any"),
    ] {
        assert_eq!(ask(shared.port(), host).await, expected, "{host}");
    }
}

#[tokio::test]
async fn the_first_of_two_that_claim_a_domain_keeps_it() {
    let mut town = Town::new();
    let shared = town.listen().await;
    for name in ["one", "two"] {
        let domains = texts(&["api.example.com", "*.example.com"]);
        town.add(name, Addresses { domains, ..Addresses::default() });
    }
    assert_eq!(ask(shared.port(), "api.example.com").await, "one");
    assert_eq!(ask(shared.port(), "other.example.com").await, "one");
}

#[tokio::test]
async fn the_listener_for_containers_knows_names_of_inside_only() {
    let mut town = Town::new();
    let shared = town.listen().await;
    let inside = town.gateway.listen_inside(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    town.add(
        "one",
        Addresses {
            // Its own port would be this one, if ports counted there.
            port: Some(inside.port()),
            hosts: texts(&["local--hello-one.localhost"]),
            domains: texts(&["api.example.com"]),
            inside: texts(&["local--hello-one.pilotlight.internal"]),
        },
    );
    let here = "local--hello-one.pilotlight.internal";
    assert_eq!(ask(inside.port(), &format!("{here}:10213")).await, "one");
    for other in ["localhost", "local--hello-one.localhost", "api.example.com", "x.pilotlight.internal"] {
        assert_eq!(ask(inside.port(), other).await, "404 true", "{other}");
    }
    // And nobody outside reaches it by that name.
    assert_eq!(ask(shared.port(), here).await, "404 true");
}

/// The answer to a client on this machine with these fields in its request.
async fn ask_for_list(port: u16, fields: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let text = format!("GET / HTTP/1.1\r\n{fields}Connection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut all = String::new();
    within(stream.read_to_string(&mut all)).await.unwrap();
    all
}

#[tokio::test]
async fn what_endpoints_there_are_is_told_to_their_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let owner = std::os::unix::fs::MetadataExt::uid(&folder.path().metadata().unwrap());
    let mut listing = Vec::new();
    for owners in [vec![owner], vec![owner + 1]] {
        let mut town = Town::of(Options { owners, ..Options::default() });
        let (shared, own) = (town.listen().await, town.listen().await);
        town.add("one", Addresses { port: Some(own.port()), ..Addresses::default() });
        for fields in [
            "Host: localhost\r\n",
            "Host: nothing.localhost:8000\r\n",
            "Host: example.com\r\n",
            "Host: localhost\r\nOrigin: http://localhost:3000\r\n",
            "Host: localhost\r\nX-Forwarded-For: 192.0.2.1\r\n",
            "Host: localhost\r\nForwarded: for=192.0.2.1\r\n",
            "Host: localhost\r\nVia: 1.1 proxy\r\n",
        ] {
            let answer = ask_for_list(shared.port(), fields).await;
            assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
            listing.push(answer.contains(&format!("http://localhost:{}", own.port())));
        }
    }
    let expected =
        [true, true, false, false, false, false, false, false, false, false, false, false, false, false];
    assert_eq!(listing, expected);
}
