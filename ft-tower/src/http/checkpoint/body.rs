//! Bodies that were read to their end, or to their bound.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::http::HeaderMap;
use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// The bodies of requests and answers on either side of a [`CheckpointLayer`](super::CheckpointLayer): what was read
    /// of one, with what is left of it, or one that passed through untouched.
    pub struct CheckpointBody<B: Body> {
        kept: Bytes,
        #[pin]
        rest: Rest<B>,
    }
}

pin_project! {
    #[project = RestProj]
    enum Rest<B: Body> {
        Nothing,
        Trailers { trailers: Option<HeaderMap> },
        Failed { error: Option<B::Error> },
        More { more: Pin<Box<B>> },
        Untouched { #[pin] body: B },
    }
}

impl<B: Body> CheckpointBody<B> {
    /// A whole body.
    pub(super) fn whole(kept: Bytes, trailers: Option<HeaderMap>) -> Self {
        let rest = if trailers.is_some() { Rest::Trailers { trailers } } else { Rest::Nothing };
        Self { kept, rest }
    }

    /// A body that nobody looks at.
    pub(super) fn untouched(body: B) -> Self {
        Self { kept: Bytes::new(), rest: Rest::Untouched { body } }
    }
}

/// Empty.
impl<B: Body> Default for CheckpointBody<B> {
    fn default() -> Self {
        Self::whole(Bytes::new(), None)
    }
}

impl<B: Body> fmt::Debug for CheckpointBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckpointBody").field("kept", &self.kept.len()).finish_non_exhaustive()
    }
}

impl<B: Body> Body for CheckpointBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        if !this.kept.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(this.kept)))));
        }
        let frame = match this.rest.as_mut().project() {
            RestProj::Nothing => return Poll::Ready(None),
            RestProj::Trailers { trailers } => {
                return Poll::Ready(trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
            }
            RestProj::Failed { error } => return Poll::Ready(error.take().map(Err)),
            RestProj::More { more } => ready!(more.as_mut().poll_frame(cx)),
            RestProj::Untouched { body } => ready!(body.poll_frame(cx)),
        };
        Poll::Ready(frame.map(|frame| Ok(frame?.map_data(|mut data| data.copy_to_bytes(data.remaining())))))
    }

    fn is_end_stream(&self) -> bool {
        self.kept.is_empty()
            && match &self.rest {
                Rest::Nothing => true,
                Rest::Trailers { trailers } => trailers.is_none(),
                Rest::Failed { error } => error.is_none(),
                Rest::More { more } => more.is_end_stream(),
                Rest::Untouched { body } => body.is_end_stream(),
            }
    }

    fn size_hint(&self) -> SizeHint {
        let kept = self.kept.len() as u64;
        let rest = match &self.rest {
            Rest::Nothing | Rest::Trailers { .. } => SizeHint::with_exact(0),
            Rest::Failed { .. } => SizeHint::new(),
            Rest::More { more } => more.size_hint(),
            Rest::Untouched { body } => body.size_hint(),
        };
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(kept)) {
            hint.set_upper(upper);
        }
        hint.set_lower(rest.lower().saturating_add(kept).min(hint.upper().unwrap_or(u64::MAX)));
        hint
    }
}

/// What came of reading a body.
pub(super) enum Read<B: Body> {
    /// All of it.
    Whole(Bytes, Option<HeaderMap>),
    /// It is longer than the bound; what was read stands before the rest.
    TooLong(CheckpointBody<B>),
    /// It broke off; what was read stands before the error.
    Broken(CheckpointBody<B>),
}

/// Reads a body of at most `limit` bytes to its end. One that says at once that it is longer is not read.
pub(super) async fn read<B: Body>(body: B, limit: usize) -> Read<B> {
    let mut body = Box::pin(body);
    let mut kept = BytesMut::new();
    if body.size_hint().lower() > limit as u64 {
        return Read::TooLong(CheckpointBody { kept: Bytes::new(), rest: Rest::More { more: body } });
    }
    while let Some(frame) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => {
                // The frame that does not fit was allocated by who sent it, so it is not the one that matters.
                kept.extend_from_slice(&data_of(data));
                if kept.len() > limit {
                    return Read::TooLong(CheckpointBody { kept: kept.freeze(), rest: Rest::More { more: body } });
                }
            }
            // Trailers are the last frame.
            Ok(Err(frame)) => {
                if let Ok(trailers) = frame.into_trailers() {
                    return Read::Whole(kept.freeze(), Some(trailers));
                }
            }
            Err(error) => {
                let rest = Rest::Failed { error: Some(error) };
                return Read::Broken(CheckpointBody { kept: kept.freeze(), rest });
            }
        }
    }
    Read::Whole(kept.freeze(), None)
}

fn data_of(mut data: impl Buf) -> Bytes {
    data.copy_to_bytes(data.remaining())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// Gives these frames, and then ends.
    struct Frames(VecDeque<Result<Frame<Bytes>, &'static str>>, SizeHint);

    impl Body for Frames {
        type Data = Bytes;
        type Error = &'static str;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
            Poll::Ready(self.0.pop_front())
        }

        fn is_end_stream(&self) -> bool {
            self.0.is_empty()
        }

        fn size_hint(&self) -> SizeHint {
            self.1
        }
    }

    fn data(text: &'static str) -> Result<Frame<Bytes>, &'static str> {
        Ok(Frame::data(Bytes::from_static(text.as_bytes())))
    }

    fn frames(frames: impl IntoIterator<Item = Result<Frame<Bytes>, &'static str>>) -> Frames {
        Frames(frames.into_iter().collect(), SizeHint::new())
    }

    /// All data, and the trailers or the error behind it.
    async fn collect(body: CheckpointBody<Frames>) -> (String, Option<Result<usize, &'static str>>) {
        let mut body = std::pin::pin!(body);
        let mut text = String::new();
        while let Some(frame) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            match frame.map(Frame::into_data) {
                Ok(Ok(data)) => text.push_str(std::str::from_utf8(&data).unwrap()),
                Ok(Err(trailers)) => return (text, Some(Ok(trailers.into_trailers().unwrap().len()))),
                Err(error) => return (text, Some(Err(error))),
            }
        }
        assert!(body.is_end_stream());
        (text, None)
    }

    fn trailers() -> HeaderMap {
        HeaderMap::from_iter([(::http::header::ETAG, "1".parse().unwrap())])
    }

    #[tokio::test]
    async fn a_body_within_its_bound_is_read_to_its_end_with_its_trailers() {
        let Read::Whole(kept, None) = read(frames([data("ab"), data("cd")]), 4).await else { panic!("not whole") };
        assert_eq!(kept, "abcd");
        let Read::Whole(kept, end) = read(frames([data("ab"), Ok(Frame::trailers(trailers()))]), 4).await else {
            panic!("not whole")
        };
        assert_eq!((&*kept, end.as_ref()), (&b"ab"[..], Some(&trailers())));
        let body = CheckpointBody::whole(kept, end);
        assert_eq!(body.size_hint().exact(), Some(2));
        assert_eq!(collect(body).await, ("ab".into(), Some(Ok(1))));
    }

    #[tokio::test]
    async fn a_body_past_its_bound_is_given_on_whole() {
        let Read::TooLong(body) = read(frames([data("abc"), data("de"), data("f")]), 4).await else {
            panic!("not too long")
        };
        assert_eq!(body.size_hint().lower(), 5);
        assert_eq!(collect(body).await, ("abcdef".into(), None));
    }

    #[tokio::test]
    async fn a_body_that_says_that_it_is_too_long_is_not_read() {
        let long = Frames([Err("read")].into(), SizeHint::with_exact(5));
        assert!(matches!(read(long, 4).await, Read::TooLong(_)));
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_breaks_off_for_who_reads_it_too() {
        let Read::Broken(body) = read(frames([data("ab"), Err("reset")]), 4).await else { panic!("not broken") };
        assert!(!body.is_end_stream());
        assert_eq!(collect(body).await, ("ab".into(), Some(Err("reset"))));
    }

    #[tokio::test]
    async fn a_body_that_nobody_looks_at_is_as_it_was() {
        let body = CheckpointBody::untouched(frames([data("ab"), data("cd"), Ok(Frame::trailers(trailers()))]));
        assert_eq!(body.size_hint().upper(), None);
        assert_eq!(collect(body).await, ("abcd".into(), Some(Ok(1))));
        assert_eq!(collect(CheckpointBody::default()).await, (String::new(), None));
    }
}
