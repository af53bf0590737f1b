//! What `cargo xtask bench gateway` measures with: a static responder, the gateway alone before a socket, and load.
//!
//! ```text
//! traffic respond SOCKET                              # answers every request with twelve bytes
//! traffic gate SOCKET WORKERS ENDPOINTS               # prints its port
//! traffic load ADDRESS CONNECTIONS SECONDS BODY_BYTES [RATE]   # prints JSON; ADDRESS is a port or a socket's path
//! ```

mod load;
mod tasks;

use std::convert::Infallible;
use std::error::Error;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use pilotlight_gateway::{Addresses, Endpoint, Gateway, Options, Reach, Routes};
use pilotlight_pool::fake::FakeLauncher;
use pilotlight_pool::{Pool, Settings};
use tokio::net::UnixListener;
use tokio::runtime::Builder;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["respond", socket] => Builder::new_current_thread().enable_all().build()?.block_on(respond(socket)),
        ["gate", socket, workers, endpoints] => {
            let workers = workers.parse()?;
            let runtime = Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
            runtime.block_on(gate(socket, endpoints.parse()?))
        }
        ["load", address, connections, seconds, body, rest @ ..] => {
            let plan = load::Plan {
                address: (*address).to_owned(),
                connections: connections.parse()?,
                time: Duration::from_secs_f64(seconds.parse()?),
                request: load::request(body.parse()?),
                rate: rest.first().map(|rate| rate.parse()).transpose()?,
            };
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let told = runtime.block_on(tokio::task::LocalSet::new().run_until(load::run(Arc::new(plan))))?;
            Ok(writeln!(std::io::stdout(), "{told}")?)
        }
        _ => Err("usage: traffic respond|gate|load …".into()),
    }
}

/// Answers every request once its body has come.
async fn respond(socket: &str) -> Result<(), Box<dyn Error>> {
    let listener = UnixListener::bind(socket)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let service = service_fn(|request: Request<Incoming>| async {
            let mut body = request.into_body();
            while let Some(Ok(_)) = body.frame().await {}
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"Hello world!"))))
        });
        let http = hyper::server::conn::http1::Builder::new();
        tasks::spawn(http.serve_connection(TokioIo::new(stream), service));
    }
}

/// A gateway whose endpoint at its port is what listens at `socket`, with other endpoints beside it.
async fn gate(socket: &str, endpoints: usize) -> Result<(), Box<dyn Error>> {
    let launcher = FakeLauncher::serving(socket);
    let settings = Settings { max_inputs: 1000, ..Settings::default() };
    let (pool, actor) = Pool::new(settings, Arc::new(launcher));
    tasks::spawn(actor);
    let gateway = Gateway::new(Options::default());
    let listener = gateway.listen(0, Reach::Loopback).await?;
    let endpoint = Arc::new(Endpoint {
        id: "fu-bench".into(),
        app: "bench".into(),
        function: "web".into(),
        pool,
        start_timeout: Duration::from_mins(1),
        timeout: Duration::from_mins(1),
        total_timeout: None,
        keep_alive: true,
        wait_for_response: true,
        rate: None,
    });
    let own = Addresses { port: Some(listener.port()), ..Addresses::default() };
    let others = (1..endpoints).map(|number| Addresses {
        hosts: vec![format!("local--bench-{number}.localhost")],
        domains: vec![format!("{number}.example.com")],
        ..Addresses::default()
    });
    gateway.publish(Routes::new(
        std::iter::once(own).chain(others).map(|addresses| (Arc::clone(&endpoint), addresses)),
    ));
    writeln!(std::io::stdout(), "{}", listener.port())?;
    std::future::pending().await
}
