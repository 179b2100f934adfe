//! A mark that is not due: instructions, in `overhead`.

use std::hint::black_box;

use ft_runtime::checkpoint::{Checkpoint, Saved, Store};
use ft_runtime::{Error, Rejected};

use crate::meter::{Meter, Over};
use crate::work::ready;

type Outcome<T> = Result<T, Error<String>>;

/// What a mark is more than.
async fn nothing(_: &mut Saved<u64>) -> Result<(), Rejected> {
    Ok(())
}

/// A mark is put around nothing: it is counted over an async call that does nothing.
pub(crate) fn measure(meter: &mut Meter) {
    let store = Store::open("memory:").expect("memory is always there");
    let run = Checkpoint::new().run("bare").calls::<Outcome<()>>();
    let calling = || {
        let mut state = Saved::<u64>::load_blocking("state")?;
        meter.case("bare.nothing", "bare", Over::Nothing, || _ = black_box(ready(nothing(black_box(&mut state)))));
        Ok(())
    };
    store.scope_blocking(|| run.run_blocking(calling)).expect("a run in memory");
    for (case, checkpoint) in [
        ("mark.not_due", Checkpoint::new()),
        ("mark.not_due.marks", Checkpoint::new().every(u64::MAX)),
        ("mark.not_due.elapsed", Checkpoint::new().every(std::time::Duration::from_secs(3600))),
    ] {
        let run = checkpoint.run(case).calls::<Outcome<()>>();
        let marking = || {
            let mut state = Saved::<u64>::load_blocking("state")?;
            meter.case(case, "ft", Over::Bare("bare.nothing"), || _ = black_box(ready(black_box(&mut state).mark())));
            Ok(())
        };
        store.scope_blocking(|| run.run_blocking(marking)).expect("a run in memory");
    }
}
