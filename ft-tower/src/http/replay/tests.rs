use super::*;
use ::http::HeaderValue;
use http_body_util::{BodyExt, Empty, Full};
use proptest::prelude::*;
use std::collections::VecDeque;

/// Gives its frames one by one, counts how many were asked for, and is pending where there is none.
struct Frames {
    frames: VecDeque<Option<Result<Frame<Bytes>, BoxError>>>,
    asked: Arc<std::sync::atomic::AtomicU32>,
}

impl Body for Frames {
    type Data = Bytes;
    type Error = BoxError;
    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        self.frames.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}

fn frames(data: impl IntoIterator<Item = &'static str>, trailers: bool) -> Frames {
    let mut frames: VecDeque<_> =
        data.into_iter().map(|text| Some(Ok(Frame::data(Bytes::from_static(text.as_bytes()))))).collect();
    if trailers {
        let map = HeaderMap::from_iter([("sum".parse().unwrap(), HeaderValue::from_static("7"))]);
        frames.push_back(Some(Ok(Frame::trailers(map))));
    }
    frames.push_back(None);
    Frames { frames, asked: Arc::default() }
}

async fn read<B: Body<Error = BoxError>>(body: B) -> Result<(String, Option<HeaderMap>), BoxError> {
    let whole = body.collect().await?;
    let trailers = whole.trailers().cloned();
    Ok((String::from_utf8(whole.to_bytes().to_vec()).unwrap(), trailers))
}

fn error(result: Result<(String, Option<HeaderMap>), BoxError>) -> ReplayError {
    *result.unwrap_err().downcast().unwrap()
}

#[tokio::test]
async fn every_clone_gives_the_whole_body_with_its_trailers() {
    let kept = ReplayBody::new(frames(["one ", "two ", "three"], true), 100);
    for _ in 0..3 {
        let (text, trailers) = read(kept.clone()).await.unwrap();
        assert_eq!(text, "one two three");
        assert_eq!(trailers.unwrap()["sum"], "7");
    }
}

#[tokio::test]
async fn a_clone_goes_on_where_the_one_before_stopped_and_the_source_is_read_once() {
    let source = frames(["one ", "two ", "three"], false);
    let asked = Arc::clone(&source.asked);
    let kept = ReplayBody::new(source, 100);
    let mut first = kept.clone();
    first.frame().await.unwrap().unwrap();
    assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 1, "nothing is read ahead");
    assert_eq!(read(kept.clone()).await.unwrap().0, "one two three");
    assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 4);
    assert_eq!(error(read(first).await), ReplayError::Superseded);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_source_is_woken_when_a_newer_clone_takes_over() {
    let mut source = frames(["one"], false);
    source.frames.pop_back(); // and then nothing, for ever
    let kept = ReplayBody::new(source, 100);
    let first = tokio::spawn(read(kept.clone()));
    tokio::task::yield_now().await;
    let mut second = kept.clone();
    second.frame().await.unwrap().unwrap();
    assert_eq!(
        error(tokio::time::timeout(std::time::Duration::from_secs(1), first).await.expect("woken").unwrap()),
        ReplayError::Superseded
    );
}

#[tokio::test]
async fn a_body_over_the_bound_streams_on_and_cannot_be_sent_again() {
    let kept = ReplayBody::new(frames(["12345", "67890", "x"], true), 10);
    let mut first = kept.clone();
    first.frame().await.unwrap().unwrap();
    first.frame().await.unwrap().unwrap();
    assert!(kept.is_replayable(), "ten bytes fit");
    let (rest, trailers) = read(first).await.unwrap();
    assert_eq!((rest.as_str(), trailers.is_some()), ("x", true), "it is not cut");
    assert!(!kept.is_replayable());
    assert_eq!(kept.watch().bars(), Some(GaveUp::BodyTooLong));
    assert_eq!(lock(&kept.reader.as_ref().unwrap().tape).kept.bytes, 0, "and nothing is kept");
    let refused = kept.clone();
    assert!(!refused.is_end_stream());
    assert_eq!(error(read(refused).await), ReplayError::TooLong { limit: 10 });
}

#[tokio::test]
async fn a_body_that_broke_off_cannot_be_sent_again() {
    let mut source = frames(["one"], false);
    source.frames[1] = Some(Err("cut".into()));
    let kept = ReplayBody::new(source, 100);
    assert_eq!(read(kept.clone()).await.unwrap_err().to_string(), "cut");
    assert_eq!(kept.watch().bars(), Some(GaveUp::NotRepeatable));
    assert_eq!(error(read(kept.clone()).await), ReplayError::BrokenOff);
}

#[tokio::test]
async fn nothing_is_kept_for_the_last_clone() {
    let kept = ReplayBody::new(frames(["one ", "two"], true), 100);
    let mut last = kept.clone();
    last.frame().await.unwrap().unwrap();
    assert_eq!(lock(&last.reader.as_ref().unwrap().tape).kept.bytes, 4);
    drop(kept);
    last.frame().await.unwrap().unwrap();
    assert_eq!(lock(&last.reader.as_ref().unwrap().tape).kept.bytes, 0);
    assert_eq!(read(last).await.unwrap().1.unwrap()["sum"], "7");
}

#[tokio::test]
async fn many_small_frames_are_kept_in_few_chunks() {
    let kept = ReplayBody::new(frames(std::iter::repeat_n("x", 10_000), false), 10_000);
    assert_eq!(read(kept.clone()).await.unwrap().0.len(), 10_000);
    assert!(lock(&kept.reader.as_ref().unwrap().tape).kept.chunks.len() <= 3);
    assert_eq!(read(kept.clone()).await.unwrap().0.len(), 10_000);
}

#[tokio::test]
async fn a_clone_knows_its_length_as_the_body_did() {
    let kept = ReplayBody::new(Full::new(Bytes::from_static(b"hello")), 100);
    let mut first = kept.clone();
    assert_eq!((first.size_hint().exact(), first.is_end_stream()), (Some(5), false));
    first.frame().await.unwrap().unwrap();
    assert_eq!((first.size_hint().exact(), first.is_end_stream()), (Some(0), true));
    let second = kept.clone();
    assert_eq!((second.size_hint().exact(), second.is_end_stream()), (Some(5), false));
    assert_eq!(&second.collect().await.unwrap().to_bytes()[..], b"hello");

    let nothing = ReplayBody::new(Empty::<Bytes>::new(), 100);
    assert!(nothing.is_end_stream() && nothing.reader.is_none(), "nothing is shared for it");
    assert_eq!(nothing.size_hint().exact(), Some(0));

    let unknown = ReplayBody::new(frames(["x"], false), 100);
    assert_eq!(unknown.size_hint().exact(), None);
}

#[tokio::test]
async fn a_clone_of_what_was_read_alone_is_refused_and_not_cut() {
    let mut alone = ReplayBody::new(frames(["one ", "two ", "three"], true), 100);
    alone.frame().await.unwrap().unwrap();
    assert!(!alone.is_replayable(), "nobody kept what was read");
    assert_eq!(alone.watch().bars(), Some(GaveUp::NotRepeatable));
    let late = alone.clone();
    assert!(!late.is_end_stream());
    assert_eq!(error(read(late).await), ReplayError::NotKept);
    assert_eq!(read(alone).await.unwrap().0, "two three", "the reader goes on");
}

#[tokio::test]
async fn a_clone_that_was_overtaken_never_looks_complete() {
    let kept = ReplayBody::new(frames(["one ", "two"], false), 100);
    let mut first = kept.clone();
    first.frame().await.unwrap().unwrap();
    assert_eq!(read(kept.clone()).await.unwrap().0, "one two");
    // Who asks now, between two frames, would end the request here: a body that is cut, and looks whole.
    assert!(!first.is_end_stream());
    assert_eq!(first.size_hint().exact(), None);
    assert_eq!(error(read(first).await), ReplayError::Superseded);

    // Who has given everything has nothing to lose.
    let kept = ReplayBody::new(frames(["one"], true), 100);
    let mut first = kept.clone();
    first.frame().await.unwrap().unwrap();
    first.frame().await.unwrap().unwrap();
    read(kept.clone()).await.unwrap();
    assert!(first.is_end_stream() && first.frame().await.is_none());
}

/// What is done to a body and its clones.
#[derive(Clone, Debug)]
enum Step {
    Clone,
    /// Reads a frame of one of those that are there.
    Read(usize),
    Drop(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![1 => Just(Step::Clone), 6 => any::<usize>().prop_map(Step::Read), 1 => any::<usize>().prop_map(Step::Drop)]
}

/// A reader, and what it has given so far.
struct Read {
    body: ReplayBody<Frames>,
    born: usize,
    given: Vec<u8>,
    trailers: bool,
    ended: Option<Option<ReplayError>>,
}

proptest! {
    /// Against the plain rule: whoever comes to an end without an error has given all of the body, everybody gives a
    /// beginning of it, only the newest that was read reads on, and what is kept stays within the bound.
    #[test]
    fn whoever_ends_without_an_error_has_given_the_whole_body(
        sizes in prop::collection::vec(0..3000_usize, 0..8),
        trailers: bool,
        breaks_off in prop::option::weighted(0.2, 0..8_usize),
        limit in 0..8000_usize,
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut byte = 0_u8;
        let data: Vec<Vec<u8>> = sizes
            .iter()
            .map(|size| (0..*size).map(|_| { byte = byte.wrapping_add(1); byte }).collect())
            .collect();
        let whole = data.concat();
        let mut source = frames([], trailers);
        for chunk in data.iter().rev() {
            source.frames.push_front(Some(Ok(Frame::data(Bytes::from(chunk.clone())))));
        }
        let breaks_off = breaks_off.filter(|at| *at < source.frames.len());
        if let Some(at) = breaks_off {
            source.frames[at] = Some(Err("cut".into()));
        }
        let cx = &mut Context::from_waker(Waker::noop());
        let first = ReplayBody::new(source, limit);
        let mut readers = vec![Read { body: first, born: 0, given: Vec::new(), trailers: false, ended: None }];
        let (mut born, mut newest) = (0, 0);
        for step in steps {
            if readers.is_empty() {
                break;
            }
            let index = |at: usize| at % readers.len();
            match step {
                Step::Clone => {
                    born += 1;
                    let body = readers[0].body.clone();
                    readers.push(Read { body, born, given: Vec::new(), trailers: false, ended: None });
                }
                Step::Drop(at) => drop(readers.remove(index(at))),
                Step::Read(at) => {
                    let at = index(at);
                    let reader = &mut readers[at];
                    if reader.ended.is_some() {
                        continue;
                    }
                    let (hint, ends) = (reader.body.size_hint(), reader.body.is_end_stream());
                    let left = (whole.len() - reader.given.len()) as u64;
                    prop_assert!(hint.lower() <= left, "{hint:?} {left}");
                    if ends {
                        prop_assert!(left == 0 && reader.trailers == trailers, "it looks complete and is not");
                    }
                    let Poll::Ready(polled) = Pin::new(&mut reader.body).poll_frame(cx) else {
                        unreachable!("the source is never pending")
                    };
                    match polled {
                        Some(Ok(frame)) => {
                            prop_assert!(!ends && !reader.trailers);
                            prop_assert!(reader.born >= newest, "an older one reads on");
                            newest = reader.born;
                            match frame.into_data() {
                                Ok(data) => reader.given.extend_from_slice(&data),
                                Err(_) => reader.trailers = true,
                            }
                            prop_assert!(whole.starts_with(&reader.given), "not a beginning of the body");
                        }
                        Some(Err(error)) => {
                            let ours = error.downcast_ref().copied();
                            prop_assert!(ours.is_some() || breaks_off.is_some());
                            prop_assert_eq!(ours == Some(ReplayError::Superseded), reader.born < newest);
                            // Who cannot begin takes nothing away from whoever reads.
                            newest = if ours.is_none() { reader.born } else { newest };
                            reader.ended = Some(ours);
                        }
                        None => {
                            prop_assert_eq!(&reader.given, &whole, "cut");
                            prop_assert_eq!(reader.trailers, trailers, "its trailers");
                            newest = newest.max(reader.born);
                            reader.ended = Some(None);
                        }
                    }
                    if let Some(shared) = &reader.body.reader {
                        let tape = lock(&shared.tape);
                        let chunks: usize = tape.kept.chunks.iter().map(Bytes::len).sum::<usize>() + tape.kept.tail.len();
                        prop_assert_eq!(chunks, tape.kept.bytes);
                        prop_assert!(chunks <= limit, "over the bound");
                    }
                }
            }
        }
    }
}
