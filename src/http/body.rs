//! Request bodies, counted while they are read, and answer bodies that tell when they are taken.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::Stream;
use hyper::body::{Body, Frame, SizeHint};

use super::error::Error;
use super::phase::{Phase, Progress};

/// A request's body as warp hands it out, not read yet.
pub type Incoming = Pin<Box<dyn Stream<Item = Result<Bytes, warp::Error>> + Send>>;

/// Makes the stream of a warp filter into an [`Incoming`].
pub(super) fn incoming<S, B>(stream: S) -> Incoming
where
    S: Stream<Item = Result<B, warp::Error>> + Send + 'static,
    B: Buf,
{
    use futures_util::StreamExt;
    Box::pin(stream.map(|part| part.map(|mut part| part.copy_to_bytes(part.remaining()))))
}

/// Reads a body whole, `max_bytes` at most, whatever its head claimed. Bounded in time by the request timeout.
///
/// # Errors
/// [`Error::BodyTooLarge`] as soon as one byte more has come, [`Error::BadRequest`] when the client breaks off.
pub async fn read(mut body: Incoming, max_bytes: usize) -> Result<Bytes, Error> {
    use futures_util::StreamExt;
    let mut whole = BytesMut::new();
    while let Some(part) = body.next().await {
        let part = part.map_err(|_| Error::BadRequest("the body broke off".into()))?;
        if whole.len() + part.len() > max_bytes {
            return Err(Error::BodyTooLarge(max_bytes));
        }
        whole.extend_from_slice(&part);
    }
    Ok(whole.freeze())
}

/// An answer's body; when hyper drops it, all of it is in hyper's buffer.
#[derive(Debug)]
pub(super) struct Tracked<B> {
    inner: B,
    progress: Arc<Progress>,
}

impl<B> Tracked<B> {
    pub(super) fn new(inner: B, progress: Arc<Progress>) -> Self {
        Self { inner, progress }
    }
}

impl<B> Drop for Tracked<B> {
    fn drop(&mut self) {
        self.progress.advance(&[Phase::Body], Phase::Flush);
    }
}

impl<B: Body + Unpin> Body for Tracked<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
