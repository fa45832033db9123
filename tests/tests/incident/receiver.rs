//! Others that lockgate sends to, on this machine: a receiver of HTTP POSTs that answers as it is told, and a mail server.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

/// How long something that must come may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// One POST.
#[derive(Clone, Debug)]
pub struct Posted {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Posted {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

#[derive(Default)]
struct Kept {
    posted: Mutex<Vec<Posted>>,
    answers: Mutex<VecDeque<(StatusCode, Option<String>)>>,
    always: Mutex<Option<StatusCode>>,
    hangs: Mutex<bool>,
}

/// Receives POSTs and keeps them.
pub struct Receiver {
    pub at: SocketAddr,
    kept: Arc<Kept>,
}

impl Receiver {
    pub async fn start() -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Starts one where a site expects it.
    pub async fn at(at: SocketAddr) -> Self {
        let listener = TcpListener::bind(at).await.expect("an address");
        let (at, kept) = (listener.local_addr().expect("an address"), Arc::new(Kept::default()));
        let router = Router::new().fallback(take).with_state(Arc::clone(&kept));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { at, kept }
    }

    /// What it answers from now on, where nothing else is said.
    pub fn always(&self, status: u16) {
        *self.kept.always.lock().expect("its state") = Some(StatusCode::from_u16(status).expect("a status"));
    }

    /// What it answers next, each once.
    pub fn answer(&self, status: u16, location: Option<String>) {
        let status = StatusCode::from_u16(status).expect("a status");
        self.kept.answers.lock().expect("its answers").push_back((status, location));
    }

    /// From now on it takes what comes and answers nothing.
    pub fn hang(&self) {
        *self.kept.hangs.lock().expect("its state") = true;
    }

    pub fn posted(&self) -> Vec<Posted> {
        self.kept.posted.lock().expect("what came").clone()
    }

    /// Waits until so many have come.
    pub async fn until(&self, count: usize) -> Vec<Posted> {
        self.until_that(|posted| posted.len() >= count).await
    }

    pub async fn until_that(&self, is_there: impl Fn(&[Posted]) -> bool) -> Vec<Posted> {
        let until = Instant::now() + PATIENCE;
        loop {
            let posted = self.posted();
            if is_there(&posted) {
                return posted;
            }
            assert!(Instant::now() < until, "it does not come; what came: {posted:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn take(State(kept): State<Arc<Kept>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.expect("a body");
    let posted = Posted { path: head.uri.path().to_owned(), headers: head.headers, body };
    kept.posted.lock().expect("what came").push(posted);
    if *kept.hangs.lock().expect("its state") {
        std::future::pending::<()>().await;
    }
    let answer = kept.answers.lock().expect("its answers").pop_front();
    match answer {
        None => kept.always.lock().expect("its state").unwrap_or(StatusCode::OK).into_response(),
        Some((status, None)) => status.into_response(),
        Some((status, Some(location))) => (status, [("location", location)]).into_response(),
    }
}

/// A mail as a server took it.
#[derive(Clone, Debug, Default)]
pub struct Mail {
    pub recipients: Vec<String>,
    pub data: String,
}

/// A mail server that knows no TLS, and keeps what it is told.
pub struct MailServer {
    pub at: SocketAddr,
    mails: Arc<Mutex<Vec<Mail>>>,
    commands: Arc<Mutex<Vec<String>>>,
}

impl MailServer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("an address");
        let at = listener.local_addr().expect("an address");
        let (mails, commands) = (Arc::<Mutex<Vec<Mail>>>::default(), Arc::<Mutex<Vec<String>>>::default());
        let (took, heard) = (Arc::clone(&mails), Arc::clone(&commands));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, Arc::clone(&took), Arc::clone(&heard)));
            }
        });
        Self { at, mails, commands }
    }

    pub fn mails(&self) -> Vec<Mail> {
        self.mails.lock().expect("the mails").clone()
    }

    /// Everything that clients said, but for the mails themselves.
    pub fn commands(&self) -> Vec<String> {
        self.commands.lock().expect("the commands").clone()
    }

    pub async fn until(&self, count: usize) -> Vec<Mail> {
        let until = Instant::now() + PATIENCE;
        while self.mails().len() < count {
            assert!(Instant::now() < until, "no mail comes; what was said: {:#?}", self.commands());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.mails()
    }
}

/// RFC 5321, as far as a client needs it.
async fn converse(stream: TcpStream, mails: Arc<Mutex<Vec<Mail>>>, commands: Arc<Mutex<Vec<String>>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut mail = Mail::default();
    let mut answer = "220 here".to_owned();
    loop {
        stream.get_mut().write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let command = line.trim_end().to_owned();
        commands.lock().expect("the commands").push(command.clone());
        answer = match command.to_ascii_uppercase().get(..4) {
            Some("EHLO") => "250-here\r\n250 8BITMIME".to_owned(),
            Some("RCPT") => {
                mail.recipients.push(command);
                "250 ok".to_owned()
            }
            Some("DATA") => {
                stream.get_mut().write_all(b"354 go on\r\n").await.ok()?;
                let mut data = String::new();
                while !data.ends_with("\r\n.\r\n") {
                    if stream.read_line(&mut data).await.ok()? == 0 {
                        return None;
                    }
                }
                mails.lock().expect("the mails").push(Mail { data, ..std::mem::take(&mut mail) });
                "250 taken".to_owned()
            }
            Some("QUIT") => return None,
            Some("STAR") => "502 what is that".to_owned(),
            _ => "250 ok".to_owned(),
        };
    }
}
