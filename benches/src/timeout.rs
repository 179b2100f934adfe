//! Timeout: the call is ready at once, or suspends once. It never expires.

use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use ft_runtime::{Timeout, timeout};
use ft_tower::TimeoutLayer;
use pin_project_lite::pin_project;
use tower::{Layer, ServiceBuilder};
use tower_resilience::timelimiter::TimeLimiterLayer;

use crate::meter::Meter;
use crate::size::Sizes;
use crate::work::{
    self, ASYNC, Answer, Failed, SERVICE, SERVICE_SUSPENDS, SUSPENDS, ready, request, suspend, suspended, work,
};

const LIMIT: Duration = Duration::from_secs(2);
const POLICY: Timeout = Timeout::new(LIMIT);

pub(crate) fn measure(meter: &mut Meter) {
    let case = "timeout.ready";
    meter.case(case, "ft", ASYNC, || _ = black_box(ready(annotated(black_box(1)))));
    meter.case(case, "ft call", ASYNC, || _ = black_box(ready(called(black_box(1)))));
    meter.case(case, "hand", ASYNC, || _ = black_box(ready(by_hand(black_box(1)))));
    meter.case(case, "tokio", ASYNC, || _ = black_box(ready(tokio(black_box(1)))));

    let case = "timeout.suspends";
    meter.case(case, "ft", SUSPENDS, || _ = black_box(suspended(annotated_suspends(black_box(1)))));
    meter.case(case, "ft call", SUSPENDS, || _ = black_box(suspended(called_suspends(black_box(1)))));
    meter.case(case, "hand", SUSPENDS, || _ = black_box(suspended(by_hand_suspends(black_box(1)))));
    meter.case(case, "tokio", SUSPENDS, || _ = black_box(suspended(tokio_suspends(black_box(1)))));

    let case = "timeout.ready.layer";
    let mut ours = TimeoutLayer::new(POLICY).at(ft_runtime::site!("timeout layer")).layer(work::service());
    meter.case(case, "ft layer", SERVICE, || _ = black_box(ready(request(&mut ours, black_box(1)))));
    let mut tower = ServiceBuilder::new().timeout(LIMIT).service(work::service());
    meter.case(case, "tower", SERVICE, || _ = black_box(ready(request(&mut tower, black_box(1)))));
    let mut resilience = resilience_layer().layer(work::service());
    meter.case(case, "tower-resilience", SERVICE, || _ = black_box(ready(request(&mut resilience, black_box(1)))));

    let case = "timeout.suspends.layer";
    let over = SERVICE_SUSPENDS;
    let mut ours =
        TimeoutLayer::new(POLICY).at(ft_runtime::site!("suspended timeout layer")).layer(work::suspending_service());
    meter.case(case, "ft layer", over, || _ = black_box(suspended(request(&mut ours, black_box(1)))));
    let mut tower = ServiceBuilder::new().timeout(LIMIT).service(work::suspending_service());
    meter.case(case, "tower", over, || _ = black_box(suspended(request(&mut tower, black_box(1)))));
    let mut resilience = resilience_layer().layer(work::suspending_service());
    meter.case(case, "tower-resilience", over, || _ = black_box(suspended(request(&mut resilience, black_box(1)))));
}

pub(crate) fn sizes(sizes: &mut Sizes) {
    sizes.of("timeout.future", "ft", &annotated(1));
    sizes.of("timeout.future", "ft call", &called(1));
    sizes.of("timeout.future", "hand", &by_hand(1));
    sizes.of("timeout.future", "tokio", &tokio(1));
}

#[timeout(2s)]
async fn annotated(id: u64) -> Answer {
    work(id)
}

#[timeout(2s)]
async fn annotated_suspends(id: u64) -> Answer {
    suspend().await;
    work(id)
}

async fn called(id: u64) -> Answer {
    POLICY.at(ft_runtime::site!()).run(async { work(id) }).await
}

async fn called_suspends(id: u64) -> Answer {
    let call = async {
        suspend().await;
        work(id)
    };
    POLICY.at(ft_runtime::site!()).run(call).await
}

pin_project! {
    /// Polls the call first, and sets the timer when that suspends.
    pub(crate) struct Lazy<F> {
        #[pin]
        call: F,
        #[pin]
        timer: Option<tokio::time::Sleep>,
    }
}

pub(crate) fn lazy<F: Future<Output = Answer>>(call: F) -> Lazy<F> {
    Lazy { call, timer: None }
}

impl<F: Future<Output = Answer>> Future for Lazy<F> {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let mut this = self.project();
        if let Poll::Ready(outcome) = this.call.poll(cx) {
            return Poll::Ready(outcome);
        }
        if this.timer.is_none() {
            this.timer.set(Some(tokio::time::sleep(LIMIT)));
        }
        match this.timer.as_pin_mut() {
            Some(timer) => timer.poll(cx).map(|()| Err(Failed::Refused)),
            None => Poll::Pending,
        }
    }
}

async fn by_hand(id: u64) -> Answer {
    lazy(async { work(id) }).await
}

async fn by_hand_suspends(id: u64) -> Answer {
    let call = async {
        suspend().await;
        work(id)
    };
    lazy(call).await
}

async fn tokio(id: u64) -> Answer {
    tokio::time::timeout(LIMIT, async { work(id) }).await.unwrap_or(Err(Failed::Refused))
}

async fn tokio_suspends(id: u64) -> Answer {
    let call = async {
        suspend().await;
        work(id)
    };
    tokio::time::timeout(LIMIT, call).await.unwrap_or(Err(Failed::Refused))
}

pub(crate) fn resilience_layer() -> TimeLimiterLayer {
    TimeLimiterLayer::builder().timeout_duration(LIMIT).cancel_running_future(true).build()
}
