//! What the success path costs in memory: nothing.
#![allow(unsafe_code, reason = "a global allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io;

use ft_runtime::{
    Chaos, CircuitBreaker, Coalesce, Failover, Hedge, Keyed, Pool, Prefer, Rejected, Retry, RetryBudget, Targets,
    Timeout, chaos, coalesce, fallback, hedge, retry, timeout,
};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is the system allocator's work; the count touches no memory of its own.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: passed on as it came.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: passed on as it came.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(call: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    call();
    ALLOCATIONS.get() - before
}

#[test]
fn the_count_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
}

static BUDGET: RetryBudget = RetryBudget::new();
static STEADY: Retry = Retry::new().budget(&BUDGET);

#[retry(max_attempts = 5, deadline = 1min)]
fn blocking(value: u32) -> io::Result<u32> {
    Ok(value)
}

#[retry(STEADY)]
async fn asynchronous(value: u32) -> io::Result<u32> {
    Ok(value)
}

fn poll_once<F: Future>(future: F) -> F::Output {
    let future = std::pin::pin!(future);
    match future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => unreachable!("ready at once"),
    }
}

#[test]
fn a_retry_that_succeeds_at_once_allocates_nothing() {
    let calls = || {
        assert_eq!(blocking(7).unwrap(), 7);
        assert_eq!(poll_once(asynchronous(7)).unwrap(), 7);
        assert_eq!(poll_once(STEADY.call(async || io::Result::Ok(7))).unwrap(), 7);
    };
    calls(); // the first call of a site registers it
    assert_eq!(allocations(calls), 0);
}

#[test]
fn a_failover_that_succeeds_at_once_allocates_nothing() {
    let pool = Pool::of((0..8).map(|n| (format!("t{n}"), n)));
    for failover in [Failover::new(), Failover::new().prefer(Prefer::Sticky)] {
        let call = || {
            let answer: io::Result<u32> = failover.call_blocking(&pool, |target| Ok(*target));
            assert_eq!(answer.unwrap(), 0);
        };
        assert_eq!(allocations(call), 0);
    }
    static TARGETS: Targets<2> = Targets::new(["a", "b"]);
    let call = || {
        let mut candidates = Failover::new().among::<io::Result<u32>, 2>(&TARGETS).start();
        let outcome = candidates.run_blocking(|| Ok(7));
        assert!(!candidates.again(&outcome));
    };
    assert_eq!(allocations(call), 0);
}

#[test]
fn a_closed_breaker_and_an_open_ones_refusal_allocate_nothing() {
    static CLOSED: CircuitBreaker = CircuitBreaker::new();
    static HOSTS: Keyed<CircuitBreaker> = Keyed::new(CircuitBreaker::new().slow(std::time::Duration::from_secs(1)));
    let open = CircuitBreaker::new();
    open.force_open();
    let calls = || {
        assert_eq!(poll_once(CLOSED.run(async { io::Result::Ok(7) })).unwrap(), 7);
        assert_eq!(HOSTS.of("a.example").run_blocking(|| io::Result::Ok(7)).unwrap(), 7);
        assert!(open.acquire().is_err());
    };
    calls(); // a key's first call makes its breaker
    assert_eq!(allocations(calls), 0);
}

#[timeout(2s)]
#[timeout(1s)]
async fn limited(value: u32) -> io::Result<u32> {
    Ok(value)
}

#[tokio::test(start_paused = true)]
async fn a_timeout_allocates_nothing_also_when_it_waits_and_when_it_expires() {
    let limit = Timeout::new(std::time::Duration::from_millis(1));
    limited(7).await.unwrap(); // the first call of a site registers it
    tokio::time::sleep(limit.limit()).await; // and the first waits of a runtime make room for themselves
    tokio::task::yield_now().await;
    let before = ALLOCATIONS.get();
    assert_eq!(limited(7).await.unwrap(), 7);
    let waits = async {
        tokio::task::yield_now().await;
        io::Result::Ok(7)
    };
    assert_eq!(limit.run(waits).await.unwrap(), 7);
    let late = limit.run(std::future::pending::<Result<(), ft_runtime::Rejected>>()).await;
    let after = ALLOCATIONS.get();
    assert!(late.is_err());
    assert_eq!(after - before, 0);
}

static HEDGED: Hedge = Hedge::new();
static SHARED: Coalesce = Coalesce::new();
static QUIET: Chaos = Chaos::new().errors(1.0);

#[fallback(value = 0)]
async fn answered(value: u32) -> io::Result<u32> {
    Ok(value)
}

#[hedge(HEDGED)]
async fn hedged(value: u32) -> io::Result<u32> {
    Ok(value)
}

#[hedge(after = 1h)]
async fn hedged_once_suspended(value: u32) -> io::Result<u32> {
    tokio::task::yield_now().await;
    Ok(value)
}

#[chaos(QUIET)]
async fn quiet(value: u32) -> io::Result<u32> {
    Ok(value)
}

#[coalesce(SHARED, key = value)]
async fn shared(value: u32) -> Result<u32, Rejected> {
    Ok(value)
}

#[test]
fn what_stands_by_allocates_nothing_until_it_is_needed() {
    let calls = || {
        assert_eq!(poll_once(answered(7)).unwrap(), 7);
        assert_eq!(poll_once(hedged(7)).unwrap(), 7);
        assert_eq!(poll_once(quiet(7)).unwrap(), 7);
    };
    calls(); // the first call of a site registers it
    assert_eq!(allocations(calls), 0);
}

#[test]
fn a_hedge_that_waits_allocates_nothing_of_its_own() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let suspended = || runtime.block_on(hedged_once_suspended(7)).unwrap();
    let bare = || runtime.block_on(async { tokio::task::yield_now().await });
    suspended(); // the first time the runtime and the site settle
    bare();
    assert_eq!(allocations(|| _ = suspended()), allocations(bare));
}

#[test]
fn a_coalesce_that_shares_with_nobody_allocates_for_its_key_only() {
    let call = || assert_eq!(poll_once(shared(7)).unwrap(), 7);
    call();
    // The text of the key, its copy in the map, the map's node, and what is shared.
    assert!(allocations(call) <= 4, "{}", allocations(call));
}
