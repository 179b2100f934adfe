use super::*;
use ::http::HeaderValue;
use http_body_util::{BodyExt, Empty, Full};
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
