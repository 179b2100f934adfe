//! What bulkhead and limiter cost in memory where nobody waits: nothing, admitted or refused.
#![allow(unsafe_code, reason = "a global allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use ft_runtime::{Bulkhead, RateLimiter, Rejected, bulkhead, rate_limiter};

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

type Answer = Result<u32, Rejected>;

#[bulkhead(4, queue = 4)]
async fn many(value: u32) -> Answer {
    Ok(value)
}

#[rate_limiter(1_000_000, burst = 1_000_000)]
async fn often(value: u32) -> Answer {
    Ok(value)
}

#[rate_limiter(1, per = 1h)]
fn seldom(value: u32) -> Answer {
    Ok(value)
}

static ADAPTIVE: Bulkhead = Bulkhead::adaptive(2, 8);
static LIMITER: RateLimiter = RateLimiter::new(1).per(Duration::from_secs(3600));

fn once<F: Future>(future: F) -> F::Output {
    let future = std::pin::pin!(future);
    match future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("nobody waits here"),
    }
}

#[test]
fn who_need_not_wait_allocates_nothing() {
    let calls = || {
        assert!(once(many(1)).is_ok());
        assert!(once(often(1)).is_ok());
        let nested = ADAPTIVE.run_blocking(|| ADAPTIVE.run_blocking(|| ADAPTIVE.run_blocking(|| Ok(1))));
        assert_eq!(nested, Err::<u32, _>(Rejected::BulkheadFull));
        let _ = seldom(1);
        assert!(LIMITER.run_blocking(|| Ok::<_, Rejected>(1)).is_err() && seldom(1).is_err());
    };
    // The first time sites are listed.
    let _ = LIMITER.run_blocking(|| Ok::<_, Rejected>(1));
    calls();
    let before = ALLOCATIONS.get();
    calls();
    assert_eq!(ALLOCATIONS.get() - before, 0);
}
