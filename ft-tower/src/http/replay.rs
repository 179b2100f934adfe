//! A body that can be sent again.

use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker, ready};

use ::http::HeaderMap;
use bytes::{Buf, Bytes, BytesMut};
use ft_runtime::observe::GaveUp;
use http_body::{Body, Frame, SizeHint};

/// How much of a body is kept where nothing else is said.
pub(super) const LIMIT: usize = 64 * 1024;

type BoxError = Box<dyn StdError + Send + Sync>;

/// A body that streams through once and is kept on the way, up to a bound, so that its clones can be sent again.
///
/// The first clone that is read reads the source; nothing is buffered before that, and nothing is waited for. A later
/// clone gives what was kept and goes on with the source where the earlier one stopped: trailers too. Only the newest
/// clone reads on; an earlier one that is still being read ends with [`ReplayError::Superseded`].
///
/// Once the body is longer than the bound, it streams on to whoever is reading, what was kept is dropped, and no clone can
/// be started any more. What is kept is also dropped as soon as there is no other clone.
#[derive(Debug)]
pub struct ReplayBody<B> {
    /// `None`: empty from the start, so there is nothing to share.
    reader: Option<Reader<B>>,
}

#[derive(Debug)]
struct Reader<B> {
    tape: Arc<Mutex<Tape<B>>>,
    /// Which clone this is; the newest one reads.
    turn: u64,
    at: At,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// At this chunk of what was kept.
    Kept(usize),
    /// Past all that was kept: at the source.
    Source,
    /// Behind the trailers.
    End,
}

/// What the clones share.
#[derive(Debug)]
struct Tape<B> {
    /// Gone once it has ended.
    source: Option<Pin<Box<B>>>,
    limit: usize,
    kept: Kept,
    trailers: Option<HeaderMap>,
    /// Why no clone can be started any more.
    lost: Option<Lost>,
    /// The newest clone that was made.
    turns: u64,
    /// The newest clone that was read, and whom to wake when a newer one takes over.
    reading: u64,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    TooLong,
    BrokenOff,
}

impl<B: Body> ReplayBody<B> {
    /// Makes `body` one that can be sent again as long as it has at most `limit` bytes, trailers included.
    pub fn new(body: B, limit: usize) -> Self {
        if body.is_end_stream() {
            return Self { reader: None };
        }
        let tape = Tape {
            source: Some(Box::pin(body)),
            limit,
            kept: Kept::default(),
            trailers: None,
            lost: None,
            turns: 0,
            reading: 0,
            waker: None,
        };
        Self { reader: Some(Reader { tape: Arc::new(Mutex::new(tape)), turn: 0, at: At::Kept(0) }) }
    }

    /// Can a clone of it be sent from the start?
    pub fn is_replayable(&self) -> bool {
        self.reader.as_ref().is_none_or(|reader| lock(&reader.tape).lost.is_none())
    }

    /// Something that knows whether it can be sent again, and does not count as a clone.
    pub(super) fn watch(&self) -> Watch<B> {
        Watch(self.reader.as_ref().map(|reader| Arc::downgrade(&reader.tape)))
    }
}

impl<B> Clone for ReplayBody<B> {
    fn clone(&self) -> Self {
        Self {
            reader: self.reader.as_ref().map(|reader| {
                let mut tape = lock(&reader.tape);
                tape.turns += 1;
                Reader { tape: Arc::clone(&reader.tape), turn: tape.turns, at: At::Kept(0) }
            }),
        }
    }
}

impl<B> Body for ReplayBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.reader {
            Some(reader) => reader.poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.reader.as_ref().is_none_or(Reader::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.reader.as_ref().map_or_else(|| SizeHint::with_exact(0), Reader::size_hint)
    }
}

impl<B: Body> Reader<B> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>>
    where
        B::Error: Into<BoxError>,
    {
        // When this is the last clone, nobody can read it again.
        let keep = Arc::strong_count(&self.tape) > 1;
        let mut tape = lock(&self.tape);
        let superseded = match tape.take_over(self.turn, self.at) {
            Ok(superseded) => superseded,
            Err(error) => return Poll::Ready(Some(Err(error.into()))),
        };
        let polled = tape.poll_frame(&mut self.at, keep, cx);
        drop(tape);
        if let Some(waker) = superseded {
            waker.wake();
        }
        polled
    }
}

impl<B> Reader<B> {
    fn is_end_stream(&self) -> bool
    where
        B: Body,
    {
        let tape = lock(&self.tape);
        match self.at {
            At::End => true,
            // Who begins where nothing can be given any more gets an error, not an end.
            At::Kept(_) if tape.lost.is_some() => false,
            At::Kept(index) if index < tape.kept.len() => false,
            At::Kept(_) | At::Source => match &tape.source {
                Some(source) => source.is_end_stream(),
                None => tape.trailers.is_none(),
            },
        }
    }

    fn size_hint(&self) -> SizeHint
    where
        B: Body,
    {
        let tape = lock(&self.tape);
        let kept = match self.at {
            At::End => return SizeHint::with_exact(0),
            At::Kept(_) if tape.lost.is_some() => return SizeHint::new(),
            At::Kept(index) => tape.kept.bytes_from(index),
            At::Source => 0,
        };
        let source = tape.source.as_ref().map_or_else(|| SizeHint::with_exact(0), |source| source.size_hint());
        let mut hint = SizeHint::new();
        if let Some(upper) = source.upper().and_then(|upper| upper.checked_add(kept)) {
            hint.set_upper(upper);
        }
        hint.set_lower(source.lower().saturating_add(kept).min(hint.upper().unwrap_or(u64::MAX)));
        hint
    }
}

impl<B: Body> Tape<B> {
    /// The newest clone reads: answers whom to wake, who read before.
    fn take_over(&mut self, turn: u64, at: At) -> Result<Option<Waker>, ReplayError> {
        if turn < self.reading {
            return Err(ReplayError::Superseded);
        }
        match (at, self.lost) {
            (At::Kept(_), Some(Lost::TooLong)) => return Err(ReplayError::TooLong { limit: self.limit }),
            (At::Kept(_), Some(Lost::BrokenOff)) => return Err(ReplayError::BrokenOff),
            _ => {}
        }
        let newer = turn > self.reading;
        self.reading = turn;
        Ok(if newer { self.waker.take() } else { None })
    }

    fn poll_frame(
        &mut self,
        at: &mut At,
        keep: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>>
    where
        B::Error: Into<BoxError>,
    {
        match *at {
            At::End => return Poll::Ready(None),
            At::Source => {}
            At::Kept(index) => match self.kept.chunk(index) {
                Some(chunk) => {
                    *at = At::Kept(index + 1);
                    return Poll::Ready(Some(Ok(Frame::data(chunk))));
                }
                None => *at = At::Source,
            },
        }
        if !keep {
            self.kept = Kept::default();
        }
        let Some(source) = &mut self.source else {
            *at = At::End;
            return Poll::Ready(self.trailers.clone().map(|trailers| Ok(Frame::trailers(trailers))));
        };
        let polled = source.as_mut().poll_frame(cx);
        self.waker = polled.is_pending().then(|| cx.waker().clone());
        Poll::Ready(match ready!(polled) {
            Some(Ok(frame)) => Some(Ok(self.passes(frame, keep, at))),
            Some(Err(error)) => {
                self.source = None;
                self.lose(Lost::BrokenOff);
                *at = At::End;
                Some(Err(error.into()))
            }
            None => {
                self.source = None;
                *at = At::End;
                None
            }
        })
    }

    /// A frame of the source on its way to the reader.
    fn passes(&mut self, frame: Frame<B::Data>, keep: bool, at: &mut At) -> Frame<Bytes> {
        let frame = frame.map_data(|mut data| data.copy_to_bytes(data.remaining()));
        if let Some(data) = frame.data_ref() {
            if keep && self.fits(data.len()) {
                self.kept.push(data);
            }
        } else if let Some(trailers) = frame.trailers_ref() {
            let size = trailers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
            if keep && self.fits(size) {
                self.trailers = Some(trailers.clone());
            }
            self.source = None;
            *at = At::End;
        }
        frame
    }

    /// Whether this much more is kept; when it is not, nothing is.
    fn fits(&mut self, size: usize) -> bool {
        if self.lost.is_none() && self.kept.bytes.saturating_add(size) > self.limit {
            self.lose(Lost::TooLong);
        }
        self.lost.is_none()
    }

    fn lose(&mut self, lost: Lost) {
        self.lost.get_or_insert(lost);
        self.kept = Kept::default();
    }
}

/// The data that was kept. Small frames are put together, so that what is kept per frame has a bound, too.
#[derive(Debug, Default)]
struct Kept {
    chunks: Vec<Bytes>,
    /// Small frames that wait for more of their kind.
    tail: BytesMut,
    bytes: usize,
}

impl Kept {
    const SMALL: usize = 1024;

    fn push(&mut self, data: &Bytes) {
        self.bytes += data.len();
        if data.len() >= Self::SMALL {
            self.seal();
            self.chunks.push(data.clone());
            return;
        }
        self.tail.extend_from_slice(data);
        if self.tail.len() >= 4 * Self::SMALL {
            self.seal();
        }
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.chunks.push(self.tail.split().freeze());
        }
    }

    fn chunk(&mut self, index: usize) -> Option<Bytes> {
        if index == self.chunks.len() {
            self.seal();
        }
        self.chunks.get(index).cloned()
    }

    fn len(&self) -> usize {
        self.chunks.len() + usize::from(!self.tail.is_empty())
    }

    fn bytes_from(&self, index: usize) -> u64 {
        let given: usize = self.chunks.iter().take(index).map(Bytes::len).sum();
        (self.bytes - given) as u64
    }
}

/// Knows whether a body can be sent again.
#[derive(Debug)]
pub(super) struct Watch<B>(Option<Weak<Mutex<Tape<B>>>>);

impl<B> Watch<B> {
    pub(super) fn bars(&self) -> Option<GaveUp> {
        let tape = self.0.as_ref()?.upgrade()?;
        let lost = lock(&tape).lost?;
        Some(match lost {
            Lost::TooLong => GaveUp::BodyTooLong,
            Lost::BrokenOff => GaveUp::NotRepeatable,
        })
    }
}

/// Why a [`ReplayBody`] ended early. Errors of the body inside come through as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplayError {
    /// A newer clone is being read.
    Superseded,
    /// The body was longer than what is kept of it.
    TooLong {
        /// How much is kept, in bytes.
        limit: usize,
    },
    /// The body inside failed before.
    BrokenOff,
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Superseded => f.write_str("a newer attempt is sending this body"),
            Self::TooLong { limit } => write!(
                f,
                "the body is longer than the {limit} bytes that are kept of it, so it cannot be sent again; raise the limit, or do not retry it"
            ),
            Self::BrokenOff => f.write_str("the body broke off in an earlier attempt, so it cannot be sent again"),
        }
    }
}

impl StdError for ReplayError {}

/// A body that panicked when it was polled is as good, or bad, as it was.
fn lock<B>(tape: &Mutex<Tape<B>>) -> MutexGuard<'_, Tape<B>> {
    tape.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
