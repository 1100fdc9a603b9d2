//! Files over the wire, in constant memory: from a file into a request, and from an answer into a file.
//!
//! Owns: the cap on a download, the digest made while it passes, and that a file is whole or gone: whatever ends a
//! download early removes what was written. Never: keeps more of a file in memory than a few pieces, judges an answer.
//! Fails: with a [`TransportFault`]; a body that ends early is one here, for half a file is none.
//! Proved by: `tests/callback.rs` and `tests/servicenow.rs`: a hundred megabytes, peers that cut and peers that never end.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::stream;
use sha2::{Digest, Sha256};
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::super::message::{Answer, FaultKind, Request, TransportFault};
use super::http::{Http, read};
use super::{Allowance, Transport};
use crate::limits::{FILE_ANSWER_BYTES_MAX, FILE_PIECE_BYTES};

/// A file to be sent as the body of a request.
#[derive(Clone, Copy, Debug)]
pub struct FileBody<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// Its size, which is announced; a file of another size is not sent.
    pub bytes: u64,
}

/// Where a file goes, and what it may cost.
#[derive(Clone, Copy, Debug)]
pub struct Sink<'a> {
    /// Where it is written; a file that is there is replaced.
    pub path: &'a Path,
    /// Its size at most.
    pub bytes_max: u64,
    /// From the first name look-up to the last byte.
    pub time: Duration,
}

/// A file that has come whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downloaded {
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its content, in hexadecimal digits of lower case.
    pub sha256: String,
    /// What the peer says it is.
    pub media_type: Option<String>,
}

/// An answer to a request for a file.
#[derive(Debug)]
pub struct Fetched {
    /// Its head; its body too, unless that is the file.
    pub answer: Answer,
    /// The file, of an answer with status `200`.
    pub file: Option<Downloaded>,
}

impl Transport {
    /// Sends a request whose body is a file, once.
    pub async fn upload(
        &self,
        request: Request,
        body: FileBody<'_>,
        allowance: Allowance,
    ) -> Result<Answer, TransportFault> {
        let file = open(body).await?;
        match self {
            Self::Http(http) => http.upload(request, file, body.bytes, allowance).await,
            Self::Simulated(_) => {
                let mut bytes = Vec::new();
                file.take(body.bytes).read_to_end(&mut bytes).await.map_err(of_file)?;
                self.send(Request { body: bytes, ..request }, allowance).await
            }
        }
    }

    /// Sends a request and writes the body of its answer into a file, if its status is `200`.
    pub async fn download(&self, request: Request, sink: Sink<'_>) -> Result<Fetched, TransportFault> {
        match self {
            Self::Http(http) => http.download(request, sink).await,
            Self::Simulated(peer) => {
                let late = |_| TransportFault::new(FaultKind::Timeout { sent: true }, "no answer within the time");
                let mut answer = timeout(sink.time, peer.exchange(request)).await.map_err(late)??;
                if answer.status != 200 {
                    return Ok(Fetched { answer, file: None });
                }
                let body = std::mem::take(&mut answer.body);
                let mut partial = Partial::create(sink).await?;
                partial.write(&body).await?;
                if answer.cut {
                    return Err(cut());
                }
                let file = partial.finish(&answer).await?;
                Ok(Fetched { answer, file: Some(file) })
            }
        }
    }
}

impl Http {
    async fn upload(
        &self,
        request: Request,
        file: File,
        bytes: u64,
        allowance: Allowance,
    ) -> Result<Answer, TransportFault> {
        let deadline = Instant::now() + allowance.time;
        let taken = Arc::new(AtomicBool::new(false));
        let body = reqwest::Body::wrap_stream(pieces(file, bytes, Arc::clone(&taken)));
        let prepared = self.prepare(request, Some((body, bytes)))?;
        let response = self.execute(prepared, deadline, &taken).await?;
        Ok(read(response, deadline, allowance.body_bytes_max).await)
    }

    async fn download(&self, request: Request, sink: Sink<'_>) -> Result<Fetched, TransportFault> {
        let deadline = Instant::now() + sink.time;
        let prepared = self.prepare(request, None)?;
        let mut response = self.execute(prepared, deadline, &AtomicBool::new(true)).await?;
        if response.status() != reqwest::StatusCode::OK {
            let answer = read(response, deadline, FILE_ANSWER_BYTES_MAX).await;
            return Ok(Fetched { answer, file: None });
        }
        if response.content_length().is_some_and(|length| length > sink.bytes_max) {
            return Err(too_large(sink.bytes_max));
        }
        let mut partial = Partial::create(sink).await?;
        loop {
            match timeout_at(deadline, response.chunk()).await {
                Ok(Ok(Some(chunk))) => partial.write(&chunk).await?,
                Ok(Ok(None)) => break,
                Ok(Err(_)) => return Err(cut()),
                Err(_) => return Err(TransportFault::new(FaultKind::Cut, "the file did not come within the time")),
            }
        }
        let headers = std::mem::take(response.headers_mut());
        let answer = Answer { status: response.status().as_u16(), headers, body: Vec::new(), cut: false };
        let file = partial.finish(&answer).await?;
        Ok(Fetched { answer, file: Some(file) })
    }
}

/// A file being written, which goes away again unless it is finished.
struct Partial {
    file: File,
    path: Option<PathBuf>,
    digest: Sha256,
    bytes: u64,
    bytes_max: u64,
}

impl Partial {
    async fn create(sink: Sink<'_>) -> Result<Self, TransportFault> {
        // Customers' files: for our own user alone.
        let mut options = OpenOptions::new();
        let mut file =
            options.write(true).create(true).truncate(true).mode(0o600).open(sink.path).await.map_err(of_file)?;
        // By itself it keeps up to two megabytes for the disk.
        file.set_max_buf_size(FILE_PIECE_BYTES);
        let path = Some(sink.path.to_owned());
        Ok(Self { file, path, digest: Sha256::new(), bytes: 0, bytes_max: sink.bytes_max })
    }

    async fn write(&mut self, piece: &[u8]) -> Result<(), TransportFault> {
        self.bytes = self.bytes.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        if self.bytes > self.bytes_max {
            return Err(too_large(self.bytes_max));
        }
        self.digest.update(piece);
        self.file.write_all(piece).await.map_err(of_file)
    }

    async fn finish(mut self, answer: &Answer) -> Result<Downloaded, TransportFault> {
        self.file.flush().await.map_err(of_file)?;
        self.path = None;
        let media_type = answer.header("content-type").map(ToOwned::to_owned);
        Ok(Downloaded { bytes: self.bytes, sha256: hex(&std::mem::take(&mut self.digest).finalize()), media_type })
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            // Nobody waits for this one; what could not be removed lies in a directory for temporary files.
            std::fs::remove_file(path).unwrap_or_default();
        }
    }
}

async fn open(body: FileBody<'_>) -> Result<File, TransportFault> {
    let mut file = File::open(body.path).await.map_err(of_file)?;
    file.set_max_buf_size(FILE_PIECE_BYTES);
    let bytes = file.metadata().await.map_err(of_file)?.len();
    if bytes == body.bytes {
        Ok(file)
    } else {
        let why = format!("the file has {bytes} bytes instead of {}", body.bytes);
        Err(TransportFault::new(FaultKind::File, why))
    }
}

/// The pieces of a file, which remember that the first of them was taken for writing.
fn pieces(
    file: File,
    bytes: u64,
    taken: Arc<AtomicBool>,
) -> impl futures_util::Stream<Item = io::Result<Vec<u8>>> + Send + 'static {
    stream::try_unfold((file.take(bytes), taken), |(mut file, taken)| async move {
        taken.store(true, Ordering::Release);
        let mut piece = Vec::with_capacity(FILE_PIECE_BYTES);
        let read = file.read_buf(&mut piece).await?;
        Ok((read > 0).then_some((piece, (file, taken))))
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}

fn too_large(bytes_max: u64) -> TransportFault {
    TransportFault::new(FaultKind::TooLarge, format!("the file has more than {bytes_max} bytes"))
}

fn cut() -> TransportFault {
    TransportFault::new(FaultKind::Cut, "the connection was lost before the end of the file")
}

#[expect(clippy::needless_pass_by_value, reason = "as the argument of `map_err`")]
fn of_file(error: io::Error) -> TransportFault {
    TransportFault::new(FaultKind::File, error.to_string())
}
