//! A socket that notes how far a request has come, and puts the one error shape in place of hyper's bare answers.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use ::http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::error::Error;
use super::phase::{Phase, Progress};
use super::raw;

/// The socket under one connection.
#[derive(Debug)]
pub(super) struct Socket<T> {
    inner: T,
    progress: Arc<Progress>,
    /// What is written in place of hyper's answer to bytes it could not read, and how much of it is out.
    unreadable: Option<(Vec<u8>, usize)>,
}

impl<T: AsyncWrite + Unpin> Socket<T> {
    pub(super) fn new(inner: T, progress: Arc<Progress>) -> Self {
        Self { inner, progress, unreadable: None }
    }

    /// Whether hyper answers by itself: bytes came, and no handler was called for them.
    fn hyper_answers(&self) -> bool {
        self.unreadable.is_some() || self.progress.phase() == Phase::Head
    }

    /// Writes our answer whole, then tells hyper that its own, `len` bytes that begin with `head`, is out.
    fn poll_unreadable(&mut self, cx: &mut Context<'_>, head: &[u8], len: usize) -> Poll<Result<usize>> {
        let (answer, written) = self.unreadable.get_or_insert_with(|| (raw::answer(&reason(head)), 0));
        while *written < answer.len() {
            let more = ready!(Pin::new(&mut self.inner).poll_write(cx, &answer[*written..]))?;
            if more == 0 {
                return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
            }
            *written += more;
        }
        Poll::Ready(Ok(len))
    }
}

/// What hyper could not read, by the status it answers with: `HTTP/1.1 431 …`.
fn reason(head: &[u8]) -> Error {
    let status = head.get(9..12).and_then(|code| StatusCode::from_bytes(code).ok());
    match status.map(Error::of_status) {
        Some(Error::HeadTooLarge) => Error::HeadTooLarge,
        _ => Error::BadRequest("the request cannot be read".into()),
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Socket<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.progress.advance(&[Phase::New, Phase::Idle], Phase::Head);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Socket<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        if self.hyper_answers() {
            return self.poll_unreadable(cx, buf, buf.len());
        }
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        if self.hyper_answers() {
            let len = bufs.iter().map(|buf| buf.len()).sum();
            return self.poll_unreadable(cx, bufs.first().map_or(&[][..], |buf| buf), len);
        }
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
        self.progress.advance(&[Phase::Flush], Phase::Idle);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
