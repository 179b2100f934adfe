//! Fallback: the call succeeds, and nobody stands in.

use std::hint::black_box;

use ft_runtime::{Fallback, fallback};
use ft_tower::FallbackLayer;
use tower::Layer;

use crate::meter::Meter;
use crate::size::Sizes;
use crate::work::{self, ASYNC, Answer, Failed, SERVICE, SYNC, ready, request, work};

const POLICY: Fallback = Fallback::new();

pub(crate) fn measure(meter: &mut Meter) {
    let case = "fallback.ok.sync";
    meter.case(case, "ft", SYNC, || _ = black_box(annotated_blocking(black_box(1))));
    meter.case(case, "hand", SYNC, || _ = black_box(by_hand_blocking(black_box(1))));

    let case = "fallback.ok";
    meter.case(case, "ft", ASYNC, || _ = black_box(ready(annotated(black_box(1)))));
    meter.case(case, "ft call", ASYNC, || _ = black_box(ready(called(black_box(1)))));
    meter.case(case, "hand", ASYNC, || _ = black_box(ready(by_hand(black_box(1)))));

    let case = "fallback.ok.layer";
    let mut ours = FallbackLayer::value(0).at(ft_runtime::site!("fallback layer")).layer(work::service());
    meter.case(case, "ft layer", SERVICE, || _ = black_box(ready(request(&mut ours, black_box(1)))));
    let layer = tower_resilience::fallback::FallbackLayer::<u64, u64, Failed>::value(0);
    let mut resilience = layer.layer(work::service());
    meter.case(case, "tower-resilience", SERVICE, || _ = black_box(ready(request(&mut resilience, black_box(1)))));
}

pub(crate) fn sizes(sizes: &mut Sizes) {
    sizes.of("fallback.future", "ft", &annotated(1));
    sizes.of("fallback.future", "ft call", &called(1));
    sizes.of("fallback.future", "hand", &by_hand(1));
}

#[fallback(value = 0)]
#[inline(never)]
fn annotated_blocking(id: u64) -> Answer {
    work(id)
}

#[fallback(value = 0)]
async fn annotated(id: u64) -> Answer {
    work(id)
}

async fn called(id: u64) -> Answer {
    POLICY.at(ft_runtime::site!()).run(async { work(id) }, async |_| Ok(0)).await
}

#[inline(never)]
fn by_hand_blocking(id: u64) -> Answer {
    match work(id) {
        Err(Failed::Busy | Failed::Refused) => Ok(0),
        answer => answer,
    }
}

async fn by_hand(id: u64) -> Answer {
    match async { work(id) }.await {
        Err(Failed::Busy | Failed::Refused) => Ok(0),
        answer => answer,
    }
}
