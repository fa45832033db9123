//! One JSON-RPC message a line, as the stdio transport has it: bounded, read strictly, answered even where it can't be
//! understood. Writing has a task of its own, so that a reader that is cut short never leaves half a line behind.

use std::{collections::VecDeque, io, sync::Arc};

use bytes::Bytes;
use rmcp::{
    RoleServer,
    service::{RxJsonRpcMessage, TxJsonRpcMessage},
    transport::Transport,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    sync::{Mutex, mpsc, oneshot},
    task::JoinHandle,
};

use super::strict_json::{self, MessageError};

/// Messages that wait to be written. A client that does not read is not read from either.
const WAITING: usize = 64;

type Written = oneshot::Sender<io::Result<()>>;

/// A client at the other end of two byte streams.
#[derive(Debug)]
pub struct LineTransport<R> {
    read: BufReader<R>,
    line: Vec<u8>,
    /// The rest of a line that is too long is passed over.
    skipping: bool,
    limit: usize,
    answers: VecDeque<Bytes>,
    write: Option<mpsc::Sender<(Bytes, Option<Written>)>>,
    writing: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl<R: AsyncRead + Unpin + Send> LineTransport<R> {
    /// Over these streams; a line has at most `limit` bytes.
    pub fn new(read: R, write: impl AsyncWrite + Unpin + Send + 'static, limit: usize) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        Self {
            read: BufReader::new(read),
            line: Vec::new(),
            skipping: false,
            limit,
            answers: VecDeque::new(),
            write: Some(sender),
            writing: Arc::new(Mutex::new(Some(tokio::spawn(write_lines(write, receiver))))),
        }
    }

    /// The next line without its end; `None` at the end of the input. Loses nothing if it is dropped while it waits.
    async fn next_line(&mut self) -> io::Result<Option<Result<Vec<u8>, MessageError>>> {
        loop {
            let available = self.read.fill_buf().await?;
            if available.is_empty() {
                return Ok(None);
            }
            let (piece, ended) = match available.iter().position(|byte| *byte == b'\n') {
                Some(at) => (available.get(..at).unwrap_or_default(), true),
                None => (available, false),
            };
            let used = piece.len() + usize::from(ended);
            let too_long = !self.skipping && self.line.len() + piece.len() > self.limit;
            if !self.skipping && !too_long {
                self.line.extend_from_slice(piece);
            }
            self.read.consume(used);
            if too_long {
                self.line = Vec::new();
                self.skipping = !ended;
                return Ok(Some(Err(MessageError::TooLong { limit: self.limit })));
            }
            if ended {
                if std::mem::take(&mut self.skipping) {
                    continue;
                }
                return Ok(Some(Ok(std::mem::take(&mut self.line))));
            }
        }
    }
}

async fn write_lines(mut out: impl AsyncWrite + Unpin, mut lines: mpsc::Receiver<(Bytes, Option<Written>)>) {
    while let Some((line, written)) = lines.recv().await {
        let result = async {
            out.write_all(&line).await?;
            out.flush().await
        }
        .await;
        let broken = result.is_err();
        if let Some(written) = written {
            let _ = written.send(result);
        }
        if broken {
            return;
        }
    }
    let _ = out.shutdown().await;
}

fn to_line(message: &impl serde::Serialize) -> io::Result<Bytes> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line.into())
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the client does not read any more")
}

impl<R: AsyncRead + Unpin + Send> Transport<RoleServer> for LineTransport<R> {
    type Error = io::Error;

    fn send(&mut self, item: TxJsonRpcMessage<RoleServer>) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let line = to_line(&item);
        let write = self.write.clone();
        async move {
            let (tell, told) = oneshot::channel();
            let write = write.ok_or_else(closed)?;
            write.send((line?, Some(tell))).await.map_err(|_| closed())?;
            told.await.map_err(|_| closed())?
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            while !self.answers.is_empty() {
                let place = self.write.as_ref()?.reserve().await.ok()?;
                if let Some(answer) = self.answers.pop_front() {
                    place.send((answer, None));
                }
            }
            let line = match self.next_line().await {
                Ok(Some(line)) => line,
                Ok(None) => return None,
                Err(error) => {
                    tracing::warn!(%error, "the agent's input can't be read");
                    return None;
                }
            };
            if line.as_ref().is_ok_and(|line| line.trim_ascii().is_empty()) {
                continue;
            }
            match line.and_then(|line| strict_json::message(&line)) {
                Ok(message) => return Some(message),
                Err(error) => {
                    tracing::debug!(%error, "a message was not taken");
                    self.answers.extend(to_line(&error.to_response()).ok());
                }
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        drop(self.write.take());
        if let Some(writing) = self.writing.lock().await.take() {
            let _ = writing.await;
        }
        Ok(())
    }
}
