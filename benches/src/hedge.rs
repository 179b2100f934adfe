//! Hedge: the call is ready at once, and no second one is made. Those that look at latencies read the clock for it.

use std::hint::black_box;
use std::time::Duration;

use ft_runtime::{Hedge, hedge};
use ft_tower::HedgeLayer;
use tower::Layer;

use crate::meter::Meter;
use crate::size::Sizes;
use crate::timeout::lazy;
use crate::work::{self, ASYNC, Answer, SERVICE, ready, request, work};

const AFTER: Duration = Duration::from_millis(50);
static LATENCY: Hedge = Hedge::new();
static FIXED: Hedge = Hedge::new().after(AFTER);

pub(crate) fn measure(meter: &mut Meter) {
    let case = "hedge.ready";
    meter.case(case, "ft", ASYNC, || _ = black_box(ready(annotated(black_box(1)))));
    meter.case(case, "ft call", ASYNC, || _ = black_box(ready(called(black_box(1)))));
    meter.case(case, "hand", ASYNC, || _ = black_box(ready(by_hand(black_box(1)))));

    let case = "hedge.ready.latency";
    meter.case(case, "ft", ASYNC, || _ = black_box(ready(annotated_latency(black_box(1)))));

    let case = "hedge.ready.layer";
    let mut ours = HedgeLayer::new(&FIXED).at(ft_runtime::site!("hedge layer")).layer(work::service());
    meter.case(case, "ft layer", SERVICE, || _ = black_box(ready(request(&mut ours, black_box(1)))));
    let layer = tower_resilience::hedge::HedgeLayer::builder().delay(AFTER).max_hedged_attempts(2).build();
    let mut resilience = layer.layer(work::service());
    meter.case(case, "tower-resilience", SERVICE, || _ = black_box(ready(request(&mut resilience, black_box(1)))));

    let case = "hedge.ready.latency.layer";
    let mut ours = HedgeLayer::new(&LATENCY).at(ft_runtime::site!("latency hedge layer")).layer(work::service());
    meter.case(case, "ft layer", SERVICE, || _ = black_box(ready(request(&mut ours, black_box(1)))));
    let mut tower = tower::hedge::Hedge::new(work::service(), Always, 20, 0.95, Duration::from_secs(30));
    meter.case(case, "tower", SERVICE, || _ = black_box(ready(request(&mut tower, black_box(1)))));
}

pub(crate) fn sizes(sizes: &mut Sizes) {
    sizes.of("hedge.future", "ft", &annotated(1));
    sizes.of("hedge.future", "ft call", &called(1));
    sizes.of("hedge.future", "hand", &by_hand(1));
}

#[hedge(FIXED)]
async fn annotated(id: u64) -> Answer {
    work(id)
}

#[hedge(LATENCY)]
async fn annotated_latency(id: u64) -> Answer {
    work(id)
}

async fn called(id: u64) -> Answer {
    FIXED.at(ft_runtime::site!()).call(|| async { work(id) }).await
}

/// A timer that is set when the call suspends: what is ready at once needs no more.
async fn by_hand(id: u64) -> Answer {
    lazy(async { work(id) }).await
}

#[derive(Clone)]
struct Always;

impl tower::hedge::Policy<u64> for Always {
    fn clone_request(&self, request: &u64) -> Option<u64> {
        Some(*request)
    }

    fn can_retry(&self, _: &u64) -> bool {
        true
    }
}
