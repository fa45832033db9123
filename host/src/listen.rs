//! Accepts HTTP/1.1 connections for the router of a door: a bounded number, none that dawdles over its headers, and all of
//! them finished in order at the end. Both doors, agents' and people's, stand behind it.

use std::{io, net::IpAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper::{
    Request,
    body::Incoming,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream, ToSocketAddrs, lookup_host},
    sync::Semaphore,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

/// Where a request comes from, as its connection says: a proxy's address, if one stands in between.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// Connections at once. Each costs two buffers; beyond these, clients wait in the kernel's queue.
const CONNECTIONS: usize = 512;
/// Connections that have come and are not yet accepted. Whoever finds the queue full tries again a second later, and the usual 128
/// are fewer than the open pages of a team that all load what has just changed. The kernel allows 4,096 (`net.core.somaxconn`).
const QUEUE: u32 = 1024;
/// Fields of a request's header; clients send a dozen.
const HEADER_FIELDS: usize = 64;
/// Bytes of a request's header, and of what is read ahead.
const BUFFER: usize = 32 * 1024;
/// Pause after an error of `accept`, which is mostly one of file descriptors that others must give back.
const PAUSE: Duration = Duration::from_millis(500);

/// How long a client may take to send a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// From a connection, or the last answer on it, to the next complete header: longer ones are held open to no purpose.
    pub header: Duration,
    /// For the body, which comes in one piece from every real client.
    pub body: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { header: Duration::from_secs(15), body: Duration::from_secs(10) }
    }
}

/// The connections that are open after accepting has ended.
#[derive(Debug)]
pub struct Connections {
    open: JoinSet<()>,
    finish: CancellationToken,
}

impl Connections {
    /// Lets each connection finish the answer it is giving, then closes it; what is open after `limit` is cut.
    pub async fn finish(mut self, limit: Duration) {
        self.finish.cancel();
        let all = async { while self.open.join_next().await.is_some() {} };
        if tokio::time::timeout(limit, all).await.is_err() {
            self.open.shutdown().await;
        }
    }
}

/// Listens at `HOST:PORT`, on the first of the host's addresses that can be had.
///
/// # Errors
/// If the address is none, or is taken.
pub async fn bind(address: impl ToSocketAddrs) -> io::Result<TcpListener> {
    let mut failed = io::Error::new(io::ErrorKind::InvalidInput, "the host has no address");
    for at in lookup_host(address).await? {
        let socket = if at.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // As `TcpListener::bind` does: a port is free again as soon as its process has ended.
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        match socket.bind(at).and_then(|()| socket.listen(QUEUE)) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Accepts connections until `stop` is cancelled; `header` is how long each may take to the next complete header.
pub async fn accept(listener: TcpListener, router: Router, header: Duration, stop: CancellationToken) -> Connections {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = Connections { open: JoinSet::new(), finish: CancellationToken::new() };
    loop {
        let next = async {
            // The semaphore is never closed; were it, accepting would end here for good.
            let place = Arc::clone(&room).acquire_owned().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>((place, listener.accept().await?))
        };
        tokio::select! {
            () = stop.cancelled() => return connections,
            Some(_) = connections.open.join_next() => {}
            next = next => match next {
                Ok((place, (stream, peer))) => {
                    let (router, finish) = (router.clone(), connections.finish.clone());
                    connections.open.spawn(async move {
                        serve(stream, Peer(peer.ip()), router, header, finish).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
}

async fn serve(stream: TcpStream, peer: Peer, router: Router, header: Duration, finish: CancellationToken) {
    let _ = stream.set_nodelay(true);
    let inner = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        inner.call(request)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header)
        .max_headers(HEADER_FIELDS)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let end = tokio::select! {
        end = connection.as_mut() => end,
        () = finish.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = end {
        tracing::debug!(%error, "a connection ended early");
    }
}
