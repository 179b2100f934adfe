//! Failover: the first of eight targets answers, or of three functions.

use std::hint::black_box;
use std::sync::LazyLock;

use ft_runtime::{Failover, Pool, failover};

use crate::meter::Meter;
use crate::size::Sizes;
use crate::work::{self, ASYNC, Answer, Failed, SERVICE, ready, request, work};

const POLICY: Failover = Failover::new();
const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

/// What is added to the number that is asked for.
static POOL: LazyLock<Pool<u64>> = LazyLock::new(|| Pool::of(NAMES.map(|name| (name, 0))));

pub(crate) fn measure(meter: &mut Meter) {
    let case = "failover.ok";
    meter.case(case, "ft", ASYNC, || _ = black_box(ready(annotated(&POOL, black_box(1)))));
    meter.case(case, "ft to", ASYNC, || _ = black_box(ready(annotated_to(black_box(1)))));
    meter.case(case, "ft call", ASYNC, || _ = black_box(ready(called(&POOL, black_box(1)))));
    meter.case(case, "hand", ASYNC, || _ = black_box(ready(by_hand(&[0; 8], black_box(1)))));

    let case = "failover.ok.layer";
    let mut ours = ft_tower::Failover::new(POLICY, NAMES.map(|name| (name, work::service())));
    meter.case(case, "ft layer", SERVICE, || _ = black_box(ready(request(&mut ours, black_box(1)))));
}

pub(crate) fn sizes(sizes: &mut Sizes) {
    sizes.of("failover.future", "ft", &annotated(&POOL, 1));
    sizes.of("failover.future", "ft call", &called(&POOL, 1));
    sizes.of("failover.future", "hand", &by_hand(&[0; 8], 1));
}

#[failover(target in pool)]
async fn annotated(pool: &Pool<u64>, id: u64) -> Answer {
    work(id + *target)
}

#[failover(to = [second, third])]
async fn annotated_to(id: u64) -> Answer {
    work(id)
}

async fn second(id: u64) -> Answer {
    work(id)
}

async fn third(id: u64) -> Answer {
    work(id)
}

async fn called(pool: &Pool<u64>, id: u64) -> Answer {
    POLICY.at(ft_runtime::site!()).call(pool, |target| async move { work(id + *target) }).await
}

/// One after the other, without a memory of who failed.
async fn by_hand(targets: &[u64], id: u64) -> Answer {
    let mut outcome = Err(Failed::Refused);
    for target in targets {
        outcome = async { work(id + target) }.await;
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}
