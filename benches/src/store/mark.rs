//! A mark that is not due: instructions, in `overhead`.

use std::hint::black_box;

use ft_runtime::Error;
use ft_runtime::checkpoint::{Checkpoint, Saved, Store};

use crate::meter::{Meter, Over};
use crate::work::ready;

type Outcome<T> = Result<T, Error<String>>;

/// `mark()` in full: there is no bare call that it is put around.
pub(crate) fn measure(meter: &mut Meter) {
    let store = Store::open("memory:").expect("memory is always there");
    for (case, checkpoint) in [
        ("mark.not_due", Checkpoint::new()),
        ("mark.not_due.marks", Checkpoint::new().every(u64::MAX)),
        ("mark.not_due.elapsed", Checkpoint::new().every(std::time::Duration::from_secs(3600))),
    ] {
        let run = checkpoint.run(case).calls::<Outcome<()>>();
        let marking = || {
            let mut state = Saved::<u64>::load_blocking("state")?;
            meter.case(case, "ft", Over::Nothing, || _ = black_box(ready(black_box(&mut state).mark())));
            Ok(())
        };
        store.scope_blocking(|| run.run_blocking(marking)).expect("a run in memory");
    }
}
