//! Chaos that is off, as it is in production.

use std::hint::black_box;

use ft_runtime::{Chaos, chaos};
use ft_tower::ChaosLayer;
use tower::Layer;

use crate::meter::Meter;
use crate::size::Sizes;
use crate::work::{self, ASYNC, Answer, SERVICE, SYNC, ready, request, work};

static FLAKY: Chaos = Chaos::new().errors(0.1);

pub(crate) fn measure(meter: &mut Meter) {
    meter.case("chaos.off.sync", "ft", SYNC, || _ = black_box(annotated_blocking(black_box(1))));

    let case = "chaos.off";
    meter.case(case, "ft", ASYNC, || _ = black_box(ready(annotated(black_box(1)))));
    meter.case(case, "ft call", ASYNC, || _ = black_box(ready(called(black_box(1)))));

    let mut ours = ChaosLayer::new(&FLAKY).at(ft_runtime::site!("chaos layer")).layer(work::service());
    meter.case("chaos.off.layer", "ft layer", SERVICE, || _ = black_box(ready(request(&mut ours, black_box(1)))));
}

pub(crate) fn sizes(sizes: &mut Sizes) {
    sizes.of("chaos.future", "ft", &annotated(1));
    sizes.of("chaos.future", "ft call", &called(1));
}

#[chaos(FLAKY)]
#[inline(never)]
fn annotated_blocking(id: u64) -> Answer {
    work(id)
}

#[chaos(FLAKY)]
async fn annotated(id: u64) -> Answer {
    work(id)
}

async fn called(id: u64) -> Answer {
    FLAKY.at(ft_runtime::site!()).run(async { work(id) }).await
}
