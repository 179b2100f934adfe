//! Which functions `#[fallback]`, `#[hedge]`, `#[coalesce]` and `#[chaos]` go on. As in `matrix`: one row, one test, and
//! the async ones run in a spawned task, so that the future is `Send`.

use std::fmt::{self, Display};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use ft_runtime::{Coalesce, Error, Fault, Hedge, Rejected, chaos, coalesce, fallback, hedge, retry};

#[derive(Clone, Debug, PartialEq, Fault, thiserror::Error)]
enum Flaky {
    #[fault(transient)]
    #[error("not this time")]
    NotYet,
    #[fault(permanent)]
    #[error("never")]
    Never,
    #[fault(transparent)]
    #[error(transparent)]
    Rejected(#[from] Rejected),
}

/// Counts calls; the first one is slow, and fails when it is asked to.
#[derive(Clone, Debug, Default)]
struct Calls(Arc<AtomicU32>);

impl Calls {
    fn count(&self) -> u32 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn fails_once(&self) -> Result<u32, Flaky> {
        match self.count() {
            1 => Err(Flaky::NotYet),
            call => Ok(call),
        }
    }

    async fn fails_once_later(&self) -> Result<u32, Flaky> {
        tokio::task::yield_now().await;
        self.fails_once()
    }

    async fn slow_once(&self) -> Result<u32, Flaky> {
        let call = self.count();
        tokio::time::sleep(Duration::from_secs(if call == 1 { 60 } else { 1 })).await;
        Ok(call)
    }

    async fn slow(&self) -> Result<u32, Flaky> {
        let call = self.count();
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(call)
    }
}

/// What a spawned call comes to. The clock is paused, so waits take no time.
async fn spawned<R: Send + 'static>(call: impl Future<Output = R> + Send + 'static) -> R {
    tokio::spawn(call).await.expect("the task does not panic")
}

// ===== fallback: what answers =====

#[fallback(to = instead)]
async fn function(calls: &Calls, name: &str) -> Result<String, Flaky> {
    let call = calls.fails_once_later().await?;
    return Ok(format!("{name} {call}"));
}

async fn instead(calls: &Calls, name: &str) -> Result<String, Flaky> {
    tokio::task::yield_now().await;
    Ok(format!("{name} instead, after {}", calls.0.load(Ordering::Relaxed)))
}

#[fallback(value = name.len() as u32)]
async fn value(calls: &Calls, name: &str) -> Result<u32, Flaky> {
    calls.fails_once_later().await
}

#[fallback(with = |error| match error {
    Flaky::NotYet => { tokio::task::yield_now().await; Ok(calls.fails_once_later().await? * 10) }
    other => Err(other),
})]
async fn closure(calls: &Calls) -> Result<u32, Flaky> {
    calls.fails_once_later().await
}

#[fallback(with = of_error)]
async fn of_the_error(calls: &Calls) -> Result<u32, Flaky> {
    calls.fails_once_later().await
}

async fn of_error(error: Flaky) -> Result<u32, Flaky> {
    if error == Flaky::NotYet { Ok(7) } else { Err(error) }
}

#[tokio::test(start_paused = true)]
async fn a_fallback_is_a_function_a_value_or_made_of_the_error() {
    assert_eq!(spawned(async { function(&Calls::default(), "row").await }).await.unwrap(), "row instead, after 1");
    assert_eq!(spawned(async { value(&Calls::default(), "row").await }).await, Ok(3));
    assert_eq!(spawned(async { closure(&Calls::default()).await }).await, Ok(20));
    assert_eq!(spawned(async { of_the_error(&Calls::default()).await }).await, Ok(7));
}

#[fallback(to = sync_instead)]
fn sync_function(calls: &Calls) -> Result<u32, Flaky> {
    let call = calls.fails_once()?;
    Ok(call)
}

fn sync_instead(calls: &Calls) -> Result<u32, Flaky> {
    Ok(calls.count() * 10)
}

#[fallback(with = |error| if error == Flaky::NotYet { Ok(calls.count() * 100) } else { Err(error)? })]
fn sync_closure(calls: &mut Calls) -> Result<u32, Flaky> {
    calls.fails_once()
}

#[fallback(value = 9)]
fn sync_value(calls: &Calls) -> Result<u32, Flaky> {
    calls.fails_once()
}

#[test]
fn a_fallback_works_on_sync_functions() {
    assert_eq!(sync_function(&Calls::default()), Ok(20));
    assert_eq!(sync_closure(&mut Calls::default()), Ok(200));
    assert_eq!(sync_value(&Calls::default()), Ok(9));
}

#[fallback(to = owned_instead, clone(name))]
async fn owned(calls: &Calls, name: String) -> Result<String, Flaky> {
    let call = calls.fails_once_later().await?;
    Ok(name + &call.to_string())
}

async fn owned_instead(_calls: &Calls, name: String) -> Result<String, Flaky> {
    Ok(name + " instead")
}

#[fallback(to = mutable_instead)]
async fn mutable(seen: &mut Vec<u32>) -> Result<usize, Flaky> {
    seen.push(1);
    tokio::task::yield_now().await;
    Err(Flaky::NotYet)
}

async fn mutable_instead(seen: &mut Vec<u32>) -> Result<usize, Flaky> {
    seen.push(2);
    Ok(seen.len())
}

#[fallback(to = generic_instead)]
async fn generic<'a, T: Sync, const N: usize>(calls: &Calls, all: &'a [T; N]) -> Result<&'a T, Flaky> {
    let call = calls.fails_once_later().await?;
    Ok(&all[call as usize])
}

async fn generic_instead<'a, T: Sync, const N: usize>(_calls: &Calls, all: &'a [T; N]) -> Result<&'a T, Flaky> {
    tokio::task::yield_now().await;
    Ok(&all[0])
}

#[tokio::test(start_paused = true)]
async fn a_fallback_gets_the_arguments_as_they_are() {
    assert_eq!(spawned(async { owned(&Calls::default(), "row".into()).await }).await.unwrap(), "row instead");
    assert_eq!(spawned(async { mutable(&mut Vec::new()).await }).await, Ok(2));
    assert_eq!(spawned(async { generic(&Calls::default(), &['a', 'b']).await.copied() }).await, Ok('a'));
}

/// An error that must not cross threads.
#[derive(Debug, Fault)]
#[fault(transient)]
struct Local(#[allow(dead_code, reason = "it is there to make the error neither Send nor Sync")] Rc<()>);

impl Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a local error")
    }
}

#[fallback(to = local_instead)]
async fn local_error(calls: &Calls) -> Result<u32, Local> {
    calls.fails_once_later().await.map_err(|_| Local(Rc::new(())))
}

async fn local_instead(calls: &Calls) -> Result<u32, Local> {
    tokio::task::yield_now().await;
    Ok(calls.count())
}

#[fallback(with = |error| {
    drop(error);
    Ok(5)
})]
async fn local_error_dropped(calls: &Calls) -> Result<u32, Local> {
    calls.fails_once_later().await.map_err(|_| Local(Rc::new(())))
}

#[tokio::test(start_paused = true)]
async fn an_error_that_is_not_send_is_gone_before_the_fallback_waits() {
    assert_eq!(spawned(async { local_error(&Calls::default()).await.unwrap() }).await, 2);
    assert_eq!(spawned(async { local_error_dropped(&Calls::default()).await.unwrap() }).await, 5);
}

#[fallback(value = 1, on = Flaky::Never)]
#[fallback(value = 2, unless = Flaky::Never)]
async fn stacked(calls: &Calls, never: bool) -> Result<u32, Flaky> {
    if never { Err(Flaky::Never) } else { calls.fails_once_later().await }
}

#[fallback(value = 3)]
#[retry(max_attempts = 2, on = _)]
async fn around_a_retry(calls: &Calls) -> Result<u32, Flaky> {
    calls.count();
    tokio::task::yield_now().await;
    Err(Flaky::NotYet)
}

#[tokio::test(start_paused = true)]
async fn fallbacks_stack_and_stand_around_retries() {
    assert_eq!(spawned(async { stacked(&Calls::default(), true).await }).await, Ok(1));
    assert_eq!(spawned(async { stacked(&Calls::default(), false).await }).await, Ok(2));
    let calls = Calls::default();
    let called = calls.clone();
    assert_eq!(spawned(async move { around_a_retry(&calls).await }).await, Ok(3));
    assert_eq!(called.0.load(Ordering::Relaxed), 2);
}

#[fallback(with = |error| { let (outcome, calls) = (error, 1); Err(outcome).or(Ok(calls)) })]
async fn shadowed(calls: &Calls) -> Result<u32, Flaky> {
    let (site, fallback, error) = ((), (), ());
    let ((), (), ()) = (site, fallback, error);
    calls.fails_once_later().await
}

#[tokio::test(start_paused = true)]
async fn no_generated_name_is_seen_by_body_or_fallback() {
    assert_eq!(spawned(async { shadowed(&Calls::default()).await }).await, Ok(1));
}

// ===== methods of all =====

struct Client {
    calls: Calls,
    hedge: Hedge,
    rows: Coalesce,
}

impl Client {
    fn new() -> Self {
        Self { calls: Calls::default(), hedge: Hedge::new().after(Duration::from_secs(1)), rows: Coalesce::new() }
    }

    #[fallback(to = Self::instead)]
    async fn falls_back(&mut self, page: u32) -> Result<u32, Flaky> {
        self.calls.fails_once_later().await.map(|call| call + page)
    }

    async fn instead(&mut self, page: u32) -> Result<u32, Flaky> {
        Ok(page)
    }

    #[fallback(with = |_| Ok(self.calls.count()))]
    async fn consumed(self) -> Result<u32, Flaky> {
        self.calls.fails_once_later().await
    }

    #[hedge(self.hedge)]
    async fn hedged(&self, page: u32) -> Result<u32, Flaky> {
        Ok(self.calls.slow_once().await? + page)
    }

    #[coalesce(self.rows, key = id)]
    async fn shared(&self, id: u32) -> Result<u32, Flaky> {
        Ok(self.calls.slow().await? + id)
    }

    #[chaos(errors = 0.0)]
    async fn quiet(&mut self) -> Result<u32, Flaky> {
        Ok(self.calls.count())
    }
}

#[tokio::test(start_paused = true)]
async fn methods_keep_their_self() {
    assert_eq!(spawned(async { Client::new().falls_back(7).await }).await, Ok(7));
    assert_eq!(spawned(Client::new().consumed()).await, Ok(2));
    assert_eq!(spawned(async { Client::new().hedged(7).await }).await, Ok(9));
    assert_eq!(spawned(async { Client::new().quiet().await }).await, Ok(1));
    let client = Arc::new(Client::new());
    let other = Arc::clone(&client);
    let both =
        tokio::join!(spawned(async move { client.shared(7).await }), spawned(async move { other.shared(7).await }));
    assert_eq!(both, (Ok(8), Ok(8)));
}

trait Fetch {
    fn fetch(&self) -> impl Future<Output = Result<u32, Flaky>> + Send;
}

impl Fetch for Client {
    #[fallback(value = 0)]
    #[hedge(after = 1s)]
    async fn fetch(&self) -> Result<u32, Flaky> {
        self.calls.slow_once().await
    }
}

#[async_trait]
trait FetchBoxed {
    async fn falls_back_boxed(&mut self, name: String, page: &u32) -> Result<String, Flaky>;
    async fn hedged_boxed(&self, name: String, page: &u32) -> Result<String, Flaky>;
    async fn shared_boxed(&self, id: u32) -> Result<u32, Flaky>;
    async fn quiet_boxed(&mut self, page: &u32) -> Result<u32, Flaky>;
}

#[async_trait]
impl FetchBoxed for Client {
    #[fallback(with = |_| Ok(format!("{name} {page} after {}", self.calls.count())), clone(name))]
    async fn falls_back_boxed(&mut self, name: String, page: &u32) -> Result<String, Flaky> {
        let call = self.calls.fails_once_later().await?;
        Ok(name + &call.to_string())
    }

    #[hedge(self.hedge, clone(name))]
    async fn hedged_boxed(&self, name: String, page: &u32) -> Result<String, Flaky> {
        let call = self.calls.slow_once().await?;
        Ok(name + &format!(" {page}, call {call}"))
    }

    #[coalesce(self.rows, key = id)]
    async fn shared_boxed(&self, id: u32) -> Result<u32, Flaky> {
        Ok(self.calls.slow().await? + id)
    }

    #[chaos(errors = 0.0)]
    async fn quiet_boxed(&mut self, page: &u32) -> Result<u32, Flaky> {
        Ok(*page)
    }
}

#[tokio::test(start_paused = true)]
async fn methods_of_traits_and_under_async_trait_are_methods() {
    assert_eq!(spawned(async { Client::new().fetch().await }).await, Ok(2));
    let fell_back = spawned(async { Client::new().falls_back_boxed("page".into(), &7).await }).await;
    assert_eq!(fell_back.unwrap(), "page 7 after 2");
    let hedged = spawned(async { Client::new().hedged_boxed("page".into(), &7).await }).await;
    assert_eq!(hedged.unwrap(), "page 7, call 2");
    assert_eq!(spawned(async { Client::new().shared_boxed(7).await }).await, Ok(8));
    assert_eq!(spawned(async { Client::new().quiet_boxed(&7).await }).await, Ok(7));
}

// ===== hedge =====

#[hedge(after = 1s)]
async fn hedged(calls: &Calls, name: &str) -> Result<String, Flaky> {
    if calls.0.load(Ordering::Relaxed) > 5 {
        return Err(Flaky::Never);
    }
    let call = calls.slow_once().await?;
    Ok(format!("{name} {call}"))
}

#[hedge(after = 1s, clone(name), on = Flaky::NotYet)]
async fn hedged_owned(calls: &Calls, name: String) -> Result<String, Flaky> {
    let call = calls.slow_once().await?;
    Ok(name + &call.to_string())
}

#[hedge(after = 1s)]
async fn hedged_generic<'a, T: Sync, const N: usize>(calls: &Calls, all: &'a [T; N]) -> Result<&'a T, Flaky> {
    let call = calls.slow_once().await?;
    Ok(&all[call as usize - 1])
}

#[hedge(after = 1s)]
async fn hedged_impl_trait(calls: &Calls, name: impl Display + Send + Sync) -> Result<String, Flaky> {
    Ok(format!("{name} {}", calls.slow_once().await?))
}

#[hedge(after = 1s)]
#[retry]
async fn hedged_retry(calls: &Calls) -> Result<u32, Flaky> {
    calls.slow_once().await
}

#[hedge(after = 1s)]
#[expect(clippy::manual_async_fn, reason = "that it is written so is the point")]
fn hedged_future(calls: &Calls) -> impl Future<Output = Result<u32, Flaky>> + Send {
    async { calls.slow_once().await }
}

#[hedge(after = 1s)]
fn hedged_boxed(calls: &Calls) -> Pin<Box<dyn Future<Output = Result<u32, Flaky>> + Send + '_>> {
    Box::pin(async move { calls.slow_once().await })
}

#[hedge(after = 1s, on = _)]
async fn hedged_anyhow(calls: &Calls) -> anyhow::Result<u32> {
    Ok(calls.slow_once().await?)
}

#[tokio::test(start_paused = true)]
async fn a_hedge_goes_on_functions_that_borrow() {
    assert_eq!(spawned(async { hedged(&Calls::default(), "call").await }).await.unwrap(), "call 2");
    assert_eq!(spawned(async { hedged_owned(&Calls::default(), "call ".into()).await }).await.unwrap(), "call 2");
    assert_eq!(spawned(async { hedged_generic(&Calls::default(), &['a', 'b']).await.copied() }).await, Ok('b'));
    assert_eq!(spawned(async { hedged_impl_trait(&Calls::default(), "call").await }).await.unwrap(), "call 2");
    assert_eq!(spawned(async { hedged_retry(&Calls::default()).await }).await, Ok(2));
    assert_eq!(spawned(async { hedged_future(&Calls::default()).await }).await, Ok(2));
    assert_eq!(spawned(async { hedged_boxed(&Calls::default()).await }).await, Ok(2));
    assert_eq!(spawned(async { hedged_anyhow(&Calls::default()).await.unwrap() }).await, 2);
}

// ===== coalesce =====

#[coalesce(key = id)]
async fn shared(calls: &Calls, id: u32) -> Result<u32, Flaky> {
    if id == 0 {
        return Err(Flaky::Never);
    }
    Ok(calls.slow().await? + id)
}

#[coalesce(key = names.join("/"), max_keys = 2)]
async fn shared_owned(calls: Calls, names: Vec<String>) -> Result<String, Error<Flaky>> {
    let call = calls.slow().await.map_err(Error::Failed)?;
    Ok(names.concat() + &call.to_string())
}

#[coalesce(key = all.len())]
async fn shared_generic<T: Clone + Send + Sync + 'static, const N: usize>(
    calls: &Calls,
    all: &[T; N],
) -> Result<T, Flaky> {
    let call = calls.slow().await?;
    Ok(all[call as usize % N].clone())
}

#[coalesce(key = id)]
#[retry]
async fn shared_retry(calls: &Calls, id: u32) -> Result<u32, Flaky> {
    Ok(calls.fails_once_later().await? + id)
}

#[coalesce(key = 1)]
#[expect(clippy::manual_async_fn, reason = "that it is written so is the point")]
fn shared_future(calls: &Calls) -> impl Future<Output = Result<u32, Flaky>> + Send {
    async move { calls.slow().await }
}

#[tokio::test(start_paused = true)]
async fn equal_calls_of_a_function_share_one_execution() {
    let calls = Calls::default();
    let tasks: Vec<_> = [1, 1, 2, 1]
        .map(|id| {
            let calls = calls.clone();
            tokio::spawn(async move { shared(&calls, id).await })
        })
        .into();
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.unwrap());
    }
    assert_eq!(outcomes, [Ok(2), Ok(2), Ok(4), Ok(2)]);
    assert_eq!(spawned(async { shared(&Calls::default(), 0).await }).await, Err(Flaky::Never));
}

#[tokio::test(start_paused = true)]
async fn a_coalesce_goes_on_functions_of_all_kinds() {
    let names = || vec!["a".to_owned(), "b".to_owned()];
    assert_eq!(spawned(shared_owned(Calls::default(), names())).await.unwrap(), "ab1");
    assert_eq!(spawned(async { shared_generic(&Calls::default(), &['a', 'b']).await }).await, Ok('b'));
    assert_eq!(spawned(async { shared_retry(&Calls::default(), 7).await }).await, Ok(9));
    assert_eq!(spawned(async { shared_future(&Calls::default()).await }).await, Ok(1));
}

// ===== chaos =====

#[chaos(errors = 0.0, latency = 0.0, panics = 0.0, seed = 1)]
async fn quiet<'a, T: Sync>(calls: &Calls, value: &'a mut T) -> Result<&'a mut T, Flaky> {
    calls.fails_once_later().await.or(Ok::<_, Flaky>(0))?;
    Ok(value)
}

#[chaos]
fn quiet_sync(calls: &mut Calls) -> Result<u32, Flaky> {
    Ok(calls.count())
}

#[tokio::test(start_paused = true)]
async fn chaos_that_is_off_goes_on_functions_of_all_kinds() {
    assert_eq!(spawned(async { quiet(&Calls::default(), &mut 7).await.copied() }).await, Ok(7));
    assert_eq!(quiet_sync(&mut Calls::default()), Ok(1));
}
