//! Retry: the first attempt succeeds, or the third one does.

use std::hint::black_box;
use std::time::Duration;

use ft_runtime::{Backoff, Retry, retry};
use ft_tower::RetryLayer;
use tower::{Layer, ServiceBuilder};

use crate::contended::Contended;
use crate::meter::Meter;
use crate::size::Sizes;
use crate::work::{self, ASYNC, Answer, Failed, SERVICE, SYNC, THREE_ASYNC, THREE_SYNC, ready, request, third, work};

static POLICY: Retry = Retry::new();
static AT_ONCE: Retry = Retry::new().backoff(Backoff::none());

pub(crate) fn measure(meter: &mut Meter) {
    succeeds_blocking(meter);
    succeeds(meter);
    succeeds_in_a_layer(meter);
    fails_twice(meter);
}

fn succeeds_blocking(meter: &mut Meter) {
    let case = "retry.ok.sync";
    meter.case(case, "ft", SYNC, || _ = black_box(annotated_blocking(black_box(1))));
    meter.case(case, "ft call", SYNC, || _ = black_box(called_blocking(black_box(1))));
    meter.case(case, "hand", SYNC, || _ = black_box(by_hand_blocking(black_box(1))));
    meter.case(case, "backon", SYNC, || _ = black_box(backon_blocking(black_box(1))));
    meter.case(case, "backoff", SYNC, || _ = black_box(backoff_blocking(black_box(1))));
    meter.case(case, "retry", SYNC, || _ = black_box(retry_blocking(black_box(1))));
}

fn succeeds(meter: &mut Meter) {
    let case = "retry.ok.async";
    meter.case(case, "ft", ASYNC, || _ = black_box(ready(annotated(black_box(1)))));
    meter.case(case, "ft call", ASYNC, || _ = black_box(ready(called(black_box(1)))));
    meter.case(case, "hand", ASYNC, || _ = black_box(ready(by_hand(black_box(1)))));
    meter.case(case, "backon", ASYNC, || _ = black_box(ready(backon(black_box(1)))));
    meter.case(case, "backoff", ASYNC, || _ = black_box(ready(backoff(black_box(1)))));
    meter.case(case, "tokio-retry2", ASYNC, || _ = black_box(ready(tokio_retry2(black_box(1)))));
}

fn succeeds_in_a_layer(meter: &mut Meter) {
    let case = "retry.ok.layer";
    let mut ours = RetryLayer::new(POLICY).at(ft_runtime::site!("retry layer")).layer(work::service());
    meter.case(case, "ft layer", SERVICE, || _ = black_box(ready(request(&mut ours, black_box(1)))));
    let mut tower = ServiceBuilder::new().retry(Twice(0)).service(work::service());
    meter.case(case, "tower", SERVICE, || _ = black_box(ready(request(&mut tower, black_box(1)))));
    let layer = tower_resilience::retry::RetryLayer::<u64, u64, Failed>::builder()
        .max_attempts(3)
        .exponential_backoff(Duration::from_millis(100))
        .build();
    let mut resilience = layer.layer(work::service());
    meter.case(case, "tower-resilience", SERVICE, || _ = black_box(ready(request(&mut resilience, black_box(1)))));
}

fn fails_twice(meter: &mut Meter) {
    let case = "retry.fail2.sync";
    let mut calls = 0;
    meter.case(case, "ft", THREE_SYNC, || _ = black_box(annotated_3_blocking(&mut calls)));
    meter.case(case, "hand", THREE_SYNC, || _ = black_box(by_hand_3_blocking(&mut calls)));
    meter.case(case, "backon", THREE_SYNC, || _ = black_box(backon_3_blocking(&mut calls)));
    meter.case(case, "backoff", THREE_SYNC, || _ = black_box(backoff_3_blocking(&mut calls)));
    meter.case(case, "retry", THREE_SYNC, || _ = black_box(retry_3_blocking(&mut calls)));

    // Peers whose waits of zero go through a timer cannot be polled here: they need a runtime that turns.
    let case = "retry.fail2.async";
    meter.case(case, "ft", THREE_ASYNC, || _ = black_box(ready(annotated_3(&mut calls))));
    meter.case(case, "hand", THREE_ASYNC, || _ = black_box(ready(by_hand_3(&mut calls))));
    meter.case(case, "backon", THREE_ASYNC, || _ = black_box(ready(backon_3(&mut calls))));
}

pub(crate) fn sizes(sizes: &mut Sizes) {
    sizes.of("retry.future", "ft", &annotated(1));
    sizes.of("retry.future", "ft call", &called(1));
    sizes.of("retry.future", "hand", &by_hand(1));
    sizes.of("retry.future", "backon", &backon(1));
    sizes.of("retry.future", "backoff", &backoff(1));
    sizes.of("retry.future", "tokio-retry2", &tokio_retry2(1));
    let mut ours = RetryLayer::new(POLICY).layer(work::service());
    sizes.of("retry.service", "ft layer", &ours);
    sizes.of("retry.service.future", "ft layer", &request(&mut ours, 1));
    let mut tower = ServiceBuilder::new().retry(Twice(0)).service(work::service());
    sizes.of("retry.service", "tower", &tower);
    sizes.of("retry.service.future", "tower", &request(&mut tower, 1));
}

pub(crate) fn contended(cases: &mut Contended) {
    cases.case("retry.ok", "ft", || annotated(black_box(1)));
    cases.case("retry.ok", "hand", || by_hand(black_box(1)));
    cases.case("retry.ok", "backon", || backon(black_box(1)));
}

#[retry(POLICY)]
#[inline(never)]
fn annotated_blocking(id: u64) -> Answer {
    work(id)
}

#[inline(never)]
fn called_blocking(id: u64) -> Answer {
    POLICY.at(ft_runtime::site!()).call_blocking(|| work(id))
}

#[inline(never)]
fn by_hand_blocking(id: u64) -> Answer {
    let mut attempt = 1;
    loop {
        match work(id) {
            Err(Failed::Busy) if attempt < 3 => std::thread::sleep(Duration::from_millis(100 << attempt)),
            outcome => return outcome,
        }
        attempt += 1;
    }
}

#[inline(never)]
fn backon_blocking(id: u64) -> Answer {
    use backon::BlockingRetryable as _;
    (|| work(id)).retry(backon::ExponentialBuilder::default().with_jitter()).when(|error| *error == Failed::Busy).call()
}

#[inline(never)]
fn backoff_blocking(id: u64) -> Answer {
    let result = backoff::retry(backoff::ExponentialBackoff::default(), || work(id).map_err(backoff::Error::transient));
    result.map_err(only_transient)
}

fn only_transient(error: backoff::Error<Failed>) -> Failed {
    match error {
        backoff::Error::Permanent(error) | backoff::Error::Transient { err: error, .. } => error,
    }
}

#[inline(never)]
fn retry_blocking(id: u64) -> Answer {
    let delays = retry::delay::Exponential::from_millis(100).map(retry::delay::jitter).take(2);
    retry::retry(delays, || work(id)).map_err(|error| error.error)
}

#[retry(POLICY)]
async fn annotated(id: u64) -> Answer {
    work(id)
}

async fn called(id: u64) -> Answer {
    POLICY.at(ft_runtime::site!()).call(|| async { work(id) }).await
}

async fn by_hand(id: u64) -> Answer {
    let mut attempt = 1;
    loop {
        match async { work(id) }.await {
            Err(Failed::Busy) if attempt < 3 => tokio::time::sleep(Duration::from_millis(100 << attempt)).await,
            outcome => return outcome,
        }
        attempt += 1;
    }
}

async fn backon(id: u64) -> Answer {
    use backon::Retryable as _;
    let call = || async { work(id) };
    call.retry(backon::ExponentialBuilder::default().with_jitter()).when(|error| *error == Failed::Busy).await
}

async fn backoff(id: u64) -> Answer {
    let call = || async { work(id).map_err(backoff::Error::transient) };
    backoff::future::retry(backoff::ExponentialBackoff::default(), call).await
}

async fn tokio_retry2(id: u64) -> Answer {
    let delays = tokio_retry2::strategy::ExponentialBackoff::from_millis(100).take(2);
    tokio_retry2::Retry::spawn(delays, || async { work(id).map_err(tokio_retry2::RetryError::transient) }).await
}

#[retry(AT_ONCE)]
#[inline(never)]
fn annotated_3_blocking(calls: &mut u64) -> Answer {
    third(calls)
}

#[inline(never)]
fn by_hand_3_blocking(calls: &mut u64) -> Answer {
    let mut attempt = 1;
    loop {
        match third(calls) {
            Err(Failed::Busy) if attempt < 3 => {}
            outcome => return outcome,
        }
        attempt += 1;
    }
}

#[inline(never)]
fn backon_3_blocking(calls: &mut u64) -> Answer {
    use backon::BlockingRetryable as _;
    let delays = backon::ConstantBuilder::default().with_delay(Duration::ZERO);
    (|| third(calls)).retry(delays).sleep(|_| ()).when(|error| *error == Failed::Busy).call()
}

#[inline(never)]
fn backoff_3_blocking(calls: &mut u64) -> Answer {
    let result = backoff::retry(backoff::backoff::Zero {}, || third(calls).map_err(backoff::Error::transient));
    result.map_err(only_transient)
}

#[inline(never)]
fn retry_3_blocking(calls: &mut u64) -> Answer {
    retry::retry(retry::delay::NoDelay.take(2), || third(calls)).map_err(|error| error.error)
}

#[retry(AT_ONCE)]
async fn annotated_3(calls: &mut u64) -> Answer {
    third(calls)
}

async fn by_hand_3(calls: &mut u64) -> Answer {
    let mut attempt = 1;
    loop {
        match async { third(calls) }.await {
            Err(Failed::Busy) if attempt < 3 => {}
            outcome => return outcome,
        }
        attempt += 1;
    }
}

async fn backon_3(calls: &mut u64) -> Answer {
    use backon::Retryable as _;
    let delays = backon::ConstantBuilder::default().with_delay(Duration::ZERO);
    let call = || std::future::ready(third(calls));
    call.retry(delays).sleep(|_| std::future::ready(())).when(|error| *error == Failed::Busy).await
}

/// tower's policy for three attempts in all.
#[derive(Clone)]
pub(crate) struct Twice(pub(crate) u32);

impl tower::retry::Policy<u64, u64, Failed> for Twice {
    type Future = std::future::Ready<()>;

    fn retry(&mut self, _: &mut u64, result: &mut Answer) -> Option<Self::Future> {
        let again = matches!(result, Err(Failed::Busy)) && self.0 < 2;
        self.0 += 1;
        again.then(|| std::future::ready(()))
    }

    fn clone_request(&mut self, request: &u64) -> Option<u64> {
        Some(*request)
    }
}
