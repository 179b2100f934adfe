//! Coalesce: a call that nobody shares.

use std::collections::HashSet;
use std::hint::black_box;
use std::sync::{LazyLock, Mutex, PoisonError};

use ft_runtime::{Coalesce, coalesce};
use ft_tower::CoalesceLayer;
use tower::Layer;
use tower_resilience::coalesce::CoalesceLayer as ResilienceLayer;

use crate::meter::Meter;
use crate::size::Sizes;
use crate::work::{self, ASYNC, Answer, SERVICE, ready, request, work};

static ROWS: Coalesce = Coalesce::new();

pub(crate) fn measure(meter: &mut Meter) {
    let case = "coalesce.alone";
    meter.case(case, "ft", ASYNC, || _ = black_box(ready(annotated(black_box(1)))));
    meter.case(case, "ft call", ASYNC, || _ = black_box(ready(called(black_box(1)))));
    meter.case(case, "hand", ASYNC, || _ = black_box(ready(by_hand(black_box(1)))));

    let case = "coalesce.alone.layer";
    let mut ours =
        CoalesceLayer::new(&ROWS, |id: &u64| *id).at(ft_runtime::site!("coalesce layer")).layer(work::service());
    meter.case(case, "ft layer", SERVICE, || _ = black_box(ready(request(&mut ours, black_box(1)))));
    let mut resilience = ResilienceLayer::new(|id: &u64| *id).layer(work::service());
    meter.case(case, "tower-resilience", SERVICE, || _ = black_box(ready(request(&mut resilience, black_box(1)))));
}

pub(crate) fn sizes(sizes: &mut Sizes) {
    sizes.of("coalesce.future", "ft", &annotated(1));
    sizes.of("coalesce.future", "ft call", &called(1));
    sizes.of("coalesce.future", "hand", &by_hand(1));
}

#[coalesce(ROWS, key = id)]
async fn annotated(id: u64) -> Answer {
    work(id)
}

async fn called(id: u64) -> Answer {
    ROWS.at(ft_runtime::site!()).run(id, async { work(id) }).await
}

/// Who is on the way, under a lock. Nobody could wait here: that part is not written.
async fn by_hand(id: u64) -> Answer {
    static RUNNING: LazyLock<Mutex<HashSet<u64>>> = LazyLock::new(Mutex::default);
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
    let outcome = async { work(id) }.await;
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    outcome
}
