//! Which functions `#[retry]` goes on: all of them. One row of the matrix, one test.
//!
//! Every function here fails at its first attempt and succeeds at its second one. The async ones run in a spawned task,
//! so each row also says that the future stays `Send`.

use std::error::Error as StdError;
use std::fmt::{self, Display};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use ft_runtime::{Attempt, Backoff, Fault, Retry, failover, retry};

#[derive(Debug, PartialEq, Fault, thiserror::Error)]
enum Flaky {
    #[fault(transient)]
    #[error("not this time")]
    NotYet,
    #[fault(permanent)]
    #[error("never")]
    Never,
}

/// Counts calls, and fails the first one.
#[derive(Clone, Debug, Default)]
struct Calls(Arc<AtomicU32>);

impl Calls {
    fn once_more(&self) -> Result<u32, Flaky> {
        match self.0.fetch_add(1, Ordering::Relaxed) + 1 {
            1 => Err(Flaky::NotYet),
            call => Ok(call),
        }
    }

    async fn once_more_later(&self) -> Result<u32, Flaky> {
        tokio::task::yield_now().await;
        self.once_more()
    }
}

/// What a spawned call comes to. The clock is paused, so waits take no time.
async fn spawned<R: Send + 'static>(call: impl Future<Output = R> + Send + 'static) -> R {
    tokio::spawn(call).await.expect("the task does not panic")
}

// ===== bodies =====

#[retry]
async fn question_mark(calls: &Calls) -> Result<String, Flaky> {
    let call = calls.once_more_later().await?;
    Ok(format!("call {call}"))
}

#[tokio::test(start_paused = true)]
async fn a_question_mark_in_the_body_ends_the_attempt() {
    assert_eq!(spawned(async { question_mark(&Calls::default()).await }).await, Ok("call 2".to_owned()));
}

#[retry]
async fn question_mark_in_a_closure(calls: &Calls) -> Result<u32, Flaky> {
    let tens = || -> Result<u32, Flaky> { Ok(calls.once_more()? * 10) };
    tens()
}

#[tokio::test(start_paused = true)]
async fn a_question_mark_in_a_closure_ends_the_closure() {
    assert_eq!(spawned(async { question_mark_in_a_closure(&Calls::default()).await }).await, Ok(20));
}

#[retry]
async fn early_return(calls: &Calls) -> Result<u32, Flaky> {
    if calls.0.load(Ordering::Relaxed) > 5 {
        return Err(Flaky::Never);
    }
    return calls.once_more_later().await;
}

#[tokio::test(start_paused = true)]
async fn a_return_ends_the_attempt() {
    assert_eq!(spawned(async { early_return(&Calls::default()).await }).await, Ok(2));
}

// ===== arguments =====

#[retry(clone(calls, prefix))]
async fn owned(calls: Calls, prefix: String) -> Result<String, Flaky> {
    let call = calls.once_more_later().await?;
    drop(calls);
    Ok(prefix + &call.to_string())
}

#[tokio::test(start_paused = true)]
async fn an_owned_argument_is_cloned_for_each_attempt_when_asked() {
    assert_eq!(spawned(owned(Calls::default(), "call ".to_owned())).await, Ok("call 2".to_owned()));
}

#[retry]
async fn mutable(calls: &mut Vec<u32>) -> Result<usize, Flaky> {
    calls.push(0);
    tokio::task::yield_now().await;
    if calls.len() < 2 { Err(Flaky::NotYet) } else { Ok(calls.len()) }
}

#[tokio::test(start_paused = true)]
async fn a_mutable_argument_is_lent_to_each_attempt() {
    assert_eq!(spawned(async { mutable(&mut Vec::new()).await }).await, Ok(2));
}

#[retry]
async fn impl_trait_argument(calls: &Calls, name: impl Display + Send + Sync) -> Result<String, Flaky> {
    Ok(format!("{name} {}", calls.once_more_later().await?))
}

#[tokio::test(start_paused = true)]
async fn an_impl_trait_argument_is_used_by_each_attempt() {
    assert_eq!(spawned(async { impl_trait_argument(&Calls::default(), "call").await }).await, Ok("call 2".to_owned()));
}

#[retry]
async fn generic<'a, T, const N: usize>(calls: &Calls, all: &'a [T; N]) -> Result<&'a T, Flaky>
where
    T: Sync,
{
    let call = calls.once_more_later().await?;
    Ok(&all[call as usize % N])
}

#[tokio::test(start_paused = true)]
async fn generics_and_lifetimes_stay() {
    assert_eq!(spawned(async { generic(&Calls::default(), &['a', 'b', 'c']).await.copied() }).await, Ok('c'));
}

#[retry]
async fn numbered(calls: &Calls, attempt: Attempt) -> Result<u32, Flaky> {
    calls.once_more_later().await?;
    Ok(attempt.number())
}

#[tokio::test(start_paused = true)]
async fn the_body_can_ask_which_attempt_it_is() {
    assert_eq!(spawned(async { numbered(&Calls::default()).await }).await, Ok(2));
}

// ===== judgement and policy =====

#[retry(when = |error: &Flaky| *error == Flaky::NotYet, until = |call| *call >= 3)]
async fn closures(calls: &Calls) -> Result<u32, Flaky> {
    calls.once_more_later().await
}

#[tokio::test(start_paused = true)]
async fn closures_judge_errors_and_values() {
    assert_eq!(spawned(async { closures(&Calls::default()).await }).await, Ok(3));
}

#[retry(on = Flaky::Never | Flaky::NotYet, unless = error if *error == Flaky::NotYet)]
async fn patterns(calls: &Calls) -> Result<u32, Flaky> {
    calls.once_more_later().await
}

#[tokio::test(start_paused = true)]
async fn patterns_judge_errors_and_unless_beats_on() {
    assert_eq!(spawned(async { patterns(&Calls::default()).await }).await, Err(Flaky::NotYet));
}

struct Tuned {
    policy: Retry,
    calls: u32,
}

impl Tuned {
    #[retry(self.policy)]
    async fn call(&mut self) -> Result<u32, Flaky> {
        self.calls += 1;
        if self.calls < 4 { Err(Flaky::NotYet) } else { Ok(self.calls) }
    }
}

#[tokio::test(start_paused = true)]
async fn a_field_is_a_policy_even_under_a_mutable_self() {
    let mut patient = Tuned { policy: Retry::new().max_attempts(4), calls: 0 };
    assert_eq!(spawned(async move { patient.call().await }).await, Ok(4));
    let mut hasty = Tuned { policy: Retry::new().max_attempts(2), calls: 0 };
    assert_eq!(spawned(async move { hasty.call().await }).await, Err(Flaky::NotYet));
}

const RETRY: u32 = 7;

#[retry(max_attempts = RETRY)]
async fn shadowed(calls: &Calls) -> Result<u32, Flaky> {
    let (site, retry, attempts, attempt, outcome, wait) = (1, 1, 1, 1, 1, RETRY);
    Ok(calls.once_more_later().await? + site + retry + attempts + attempt + outcome + wait)
}

#[tokio::test(start_paused = true)]
async fn no_generated_name_is_seen_by_the_body() {
    assert_eq!(spawned(async { shadowed(&Calls::default()).await }).await, Ok(2 + 5 + 7));
}

// ===== methods =====

struct Client {
    calls: Calls,
    sent: u32,
}

impl Client {
    fn new() -> Self {
        Self { calls: Calls::default(), sent: 0 }
    }

    #[retry]
    async fn shared(&self) -> Result<u32, Flaky> {
        self.calls.once_more_later().await
    }

    #[retry]
    async fn exclusive(&mut self) -> Result<u32, Flaky> {
        self.sent += 1;
        self.calls.once_more_later().await?;
        Ok(self.sent)
    }

    #[retry]
    async fn consumed(self) -> Result<u32, Flaky> {
        self.calls.once_more_later().await
    }
}

#[tokio::test(start_paused = true)]
async fn methods_keep_their_self() {
    assert_eq!(spawned(async { Client::new().shared().await }).await, Ok(2));
    assert_eq!(spawned(async { Client::new().exclusive().await }).await, Ok(2));
    assert_eq!(spawned(Client::new().consumed()).await, Ok(2));
}

trait Fetch {
    fn fetch(&mut self) -> impl Future<Output = Result<u32, Flaky>> + Send;

    #[retry]
    fn provided(&self, calls: &Calls) -> Result<u32, Flaky> {
        calls.once_more()
    }
}

impl Fetch for Client {
    #[retry]
    async fn fetch(&mut self) -> Result<u32, Flaky> {
        self.sent += 1;
        self.calls.once_more_later().await
    }
}

#[tokio::test(start_paused = true)]
async fn methods_of_traits_are_methods() {
    assert_eq!(spawned(async { Client::new().fetch().await }).await, Ok(2));
    assert_eq!(tokio::task::spawn_blocking(|| Client::new().provided(&Calls::default())).await.unwrap(), Ok(2));
}

#[async_trait]
trait FetchBoxed {
    async fn fetch_boxed(&mut self, prefix: String, page: &u32) -> Result<String, Flaky>;

    async fn numbered(&self) -> Result<u32, Flaky>;

    #[retry]
    async fn provided_boxed(&self, calls: &Calls) -> Result<u32, Flaky> {
        calls.once_more_later().await
    }
}

#[async_trait]
impl FetchBoxed for Client {
    #[retry(clone(prefix), max_attempts = self.sent + 2)]
    async fn fetch_boxed(&mut self, prefix: String, page: &u32) -> Result<String, Flaky> {
        self.sent += 1;
        let call = self.calls.once_more_later().await?;
        Ok(prefix + &format!("call {call} for page {page}, {} sent", self.sent))
    }

    #[retry]
    async fn numbered(&self, attempt: Attempt) -> Result<u32, Flaky> {
        self.calls.once_more_later().await?;
        Ok(attempt.number())
    }
}

#[tokio::test(start_paused = true)]
async fn methods_under_async_trait_are_methods() {
    let page = spawned(async { Client::new().fetch_boxed("the ".to_owned(), &7).await }).await;
    assert_eq!(page, Ok("the call 2 for page 7, 2 sent".to_owned()));
    assert_eq!(spawned(async { Client::new().numbered().await }).await, Ok(2));
    assert_eq!(spawned(async { Client::new().provided_boxed(&Calls::default()).await }).await, Ok(2));
}

// ===== return types =====

#[retry]
fn sync(calls: &Calls) -> Result<u32, Flaky> {
    let call = calls.once_more()?;
    return Ok(call);
}

#[test]
fn a_sync_function_blocks_its_thread() {
    assert_eq!(sync(&Calls::default()), Ok(2));
}

#[retry]
#[expect(clippy::manual_async_fn, reason = "that it is written so is the point")]
fn future(calls: &Calls) -> impl Future<Output = Result<u32, Flaky>> + Send {
    async move { calls.once_more_later().await }
}

#[retry]
fn boxed(calls: &Calls) -> Pin<Box<dyn Future<Output = Result<u32, Flaky>> + Send + '_>> {
    Box::pin(async move { calls.once_more_later().await })
}

#[tokio::test(start_paused = true)]
async fn a_function_that_returns_a_future_makes_one_for_each_attempt() {
    assert_eq!(spawned(async { future(&Calls::default()).await }).await, Ok(2));
    assert_eq!(spawned(async { boxed(&Calls::default()).await }).await, Ok(2));
}

#[retry]
async fn opaque(calls: &Calls) -> Result<impl Display + use<>, Flaky> {
    Ok(format!("call {}", calls.once_more_later().await?))
}

#[tokio::test(start_paused = true)]
async fn a_value_may_be_an_impl_trait() {
    assert_eq!(
        spawned(async { opaque(&Calls::default()).await.map(|value| value.to_string()) }).await,
        Ok("call 2".to_owned())
    );
}

type Alias<T> = Result<T, Flaky>;

#[retry]
async fn aliased(calls: &Calls) -> Alias<u32> {
    calls.once_more_later().await
}

#[retry(on = _)]
async fn with_anyhow(calls: &Calls) -> anyhow::Result<u32> {
    Ok(calls.once_more_later().await?)
}

#[retry(on = _)]
async fn with_boxed_error(calls: &Calls) -> Result<u32, Box<dyn StdError + Send + Sync>> {
    Ok(calls.once_more_later().await?)
}

#[tokio::test(start_paused = true)]
async fn a_result_may_have_another_name() {
    assert_eq!(spawned(async { aliased(&Calls::default()).await }).await, Ok(2));
    assert_eq!(spawned(async { with_anyhow(&Calls::default()).await.unwrap() }).await, 2);
    assert_eq!(spawned(async { with_boxed_error(&Calls::default()).await.unwrap() }).await, 2);
}

/// An error that must not cross threads; the future that makes it may, as long as it does not hold it while it waits.
#[derive(Debug, Fault)]
#[fault(transient)]
struct Local(#[allow(dead_code, reason = "it is there to make the error neither Send nor Sync")] Rc<()>);

impl Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a local error")
    }
}

#[retry]
async fn local_error(calls: &Calls) -> Result<u32, Local> {
    calls.once_more_later().await.map_err(|_| Local(Rc::new(())))
}

#[tokio::test(start_paused = true)]
async fn an_error_that_is_not_send_leaves_the_future_send() {
    assert_eq!(spawned(async { local_error(&Calls::default()).await.unwrap_or(0) }).await, 2);
}

// ===== places =====

#[tokio::test(start_paused = true)]
async fn a_function_inside_of_a_function_is_a_function() {
    #[retry]
    async fn inner(calls: &Calls) -> Result<u32, Flaky> {
        calls.once_more_later().await
    }
    assert_eq!(spawned(async { inner(&Calls::default()).await }).await, Ok(2));
}

macro_rules! functions {
    ($($name:ident($calls:ident) -> $result:ty { $($body:tt)* })*) => {
        $(#[retry] async fn $name($calls: &Calls) -> $result { $($body)* })*
    };
}

functions! {
    generated(calls) -> Result<u32, Flaky> { calls.once_more_later().await }
}

#[tokio::test(start_paused = true)]
async fn a_function_may_come_out_of_a_macro() {
    assert_eq!(spawned(async { generated(&Calls::default()).await }).await, Ok(2));
}

#[ft_runtime::retry(max_attempts = 2)]
#[must_use = "foreign attributes stay where they are"]
#[retry(max_attempts = 2)]
#[doc = "Twice, twice."]
async fn stacked(calls: &Calls) -> Result<u32, Flaky> {
    match calls.0.fetch_add(1, Ordering::Relaxed) + 1 {
        4 => Ok(4),
        _ => Err(Flaky::NotYet),
    }
}

#[tokio::test(start_paused = true)]
async fn attributes_multiply_when_they_stack() {
    assert_eq!(spawned(async { stacked(&Calls::default()).await }).await, Ok(4));
}

mod elsewhere {
    pub use ft_runtime as runtime;
}

#[retry(crate = crate::matrix::elsewhere::runtime)]
#[retry]
async fn renamed(calls: &Calls) -> Result<u32, Flaky> {
    calls.once_more_later().await
}

#[tokio::test(start_paused = true)]
async fn the_runtime_may_have_another_path() {
    assert_eq!(spawned(async { renamed(&Calls::default()).await }).await, Ok(2));
}

// ===== order =====

/// Outermost the targets, then two retries: the first target is asked two times three times before the second one is.
/// The other way round the second one would be asked after the first failure.
#[failover(to = [backup])]
#[retry(max_attempts = 2, backoff = Backoff::none())]
#[retry(max_attempts = 3, backoff = Backoff::none())]
async fn deep<'a, T: Clone + Sync>(asked: &'a Mutex<Vec<&'static str>>, value: &'a T) -> Result<T, Flaky> {
    let _ = value;
    asked.lock().unwrap().push("primary");
    Err(Flaky::NotYet)
}

async fn backup<T: Clone + Sync>(asked: &Mutex<Vec<&'static str>>, value: &T) -> Result<T, Flaky> {
    asked.lock().unwrap().push("backup");
    Ok(value.clone())
}

#[tokio::test(start_paused = true)]
async fn three_deep_the_top_is_the_outermost_also_generic_borrowed_and_spawned() {
    let asked = spawned(async {
        let asked = Mutex::new(Vec::new());
        assert_eq!(deep(&asked, &"value".to_owned()).await, Ok("value".to_owned()));
        asked.into_inner().unwrap()
    });
    let mut expected = vec!["primary"; 6];
    expected.push("backup");
    assert_eq!(asked.await, expected);
}
