//! Between every two things that the engine does, the process dies, or what is being done fails, or it takes long: what
//! was acknowledged holds, and the work goes on.
//!
//! The points stand in the engine (`ft-runtime/src/checkpoint/failpoint.rs`); `syscalls` has those that lie inside
//! SQLite.

use crate::recorder::scratch;
use crate::stubborn::Lives;

/// The points, in the order in which a run passes them, and how often one life passes each at least.
const POINTS: [(&str, u32); 13] = [
    ("claim: granted", 3),
    ("claim: acknowledged", 3),
    ("step: executed", 30),
    ("step: sealed", 30),
    ("batch: taken", 20),
    ("batch: executed", 20),
    ("batch: committed", 20),
    ("batch: noted", 20),
    ("step: acknowledged", 30),
    ("state: sealed", 3),
    ("state: inserted", 3),
    ("finish: begun", 3),
    ("finish: acknowledged", 3),
];

/// How long a stall takes. Nothing waits for a clock here, so that it need not be longer than everything else.
const STALL: &str = "stall:150";

#[test]
fn failpoints_between_every_two_things_lose_nothing_and_repeat_nothing() {
    let mut dice = fastrand::Rng::with_seed(crate::seed());
    let (mut broken, mut lives) = (Vec::new(), 0);
    let rounds = crate::cycles().div_ceil(40);
    for (point, passes) in POINTS {
        for what in ["crash", "error", STALL] {
            for _ in 0..rounds {
                let asked = format!("{point}={what}@{}", dice.u32(1..=passes));
                lives += 1;
                if let Err(why) = pass(&asked, what) {
                    broken.push(format!("\n    {asked}: {why}"));
                }
            }
        }
    }
    println!("failpoints: store=sqlite lives={lives} broken={}", broken.len());
    assert!(broken.is_empty(), "seed {}: {} of {lives}{}", crate::seed(), broken.len(), broken.concat());
}

fn pass(asked: &str, what: &str) -> Result<(), String> {
    let dir = scratch();
    let mut lives = Lives::new(dir.path());
    let life = lives.live(|child| {
        child.env("FT_FAIL_POINT", asked);
    });
    let as_asked = match what {
        "crash" => life.was_aborted(),
        // A state that could not be handed over when its run ends is nobody's error.
        "error" => life.status.success() && life.errors.iter().any(|error| error.contains("FT_FAIL_POINT")),
        _ => life.status.success() && life.errors.is_empty(),
    };
    if !as_asked {
        return Err(format!("it ended with {} and the errors {:?}: {}", life.status, life.errors, life.stderr));
    }
    lives.end()
}
