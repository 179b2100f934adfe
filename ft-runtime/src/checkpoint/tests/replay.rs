//! Random workflows that crash before each of their steps, one after the other: they end as if nothing had happened,
//! and each step was executed once.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;

use proptest::prelude::*;

use super::World;
use crate::checkpoint::{Checkpoint, Saved, Store, select};
use crate::{Error, site};

type Failed = Error<&'static str>;
type Out = Result<u64, Failed>;

const CRASH: Failed = Error::Failed("crash");
const FLAKE: Failed = Error::Failed("flake");

/// A piece of a workflow.
#[derive(Clone, Debug)]
enum Part {
    /// A step that fails so many times before it succeeds, and is tried again.
    Step { name: usize, keyed: bool, flakes: u8 },
    /// The parts, so many times.
    Loop(u8, Vec<Part>),
    /// The parts in a loop over a saved cursor, which is committed at every so many turns.
    Saved { turns: u8, commits: u8, parts: Vec<Part> },
    /// Both at once.
    Join(Vec<Part>, Vec<Part>),
    /// The first one wins, since the second one never ends.
    Race(Vec<Part>, Vec<Part>),
}

const NAMES: [&str; 3] = ["a", "b", "c"];

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let step = (0..NAMES.len(), any::<bool>(), prop_oneof![4 => Just(0), 1 => 1..3_u8]);
    let step = step.prop_map(|(name, keyed, flakes)| Part::Step { name, keyed, flakes });
    let part = step.prop_recursive(3, 12, 3, |inner| {
        let parts = || prop::collection::vec(inner.clone(), 1..3);
        prop_oneof![
            (1..3_u8, parts()).prop_map(|(times, parts)| Part::Loop(times, parts)),
            (1..5_u8, 1..3_u8, parts()).prop_map(|(turns, commits, parts)| Part::Saved { turns, commits, parts }),
            (parts(), parts()).prop_map(|(one, other)| Part::Join(one, other)),
            (parts(), parts()).prop_map(|(one, other)| Part::Race(one, other)),
        ]
    });
    prop::collection::vec(part, 1..5)
}

/// The world outside of the store: what was done there stays done.
#[derive(Default)]
struct Outside {
    /// How often each step has succeeded, by its place in the workflow.
    done: Mutex<BTreeMap<String, u32>>,
    flaked: Mutex<BTreeMap<String, u8>>,
    /// Bodies that may still run before the crash.
    left: Mutex<Option<usize>>,
}

/// Where a part stands, and what holds there.
#[derive(Clone)]
struct At {
    path: String,
    /// A number does not tell its steps apart: others are under way, or the run goes on behind them.
    keys: bool,
    /// Never ends, so that what it does in vain is not counted.
    loses: bool,
}

impl At {
    fn below(&self, what: impl std::fmt::Display) -> Self {
        Self { path: format!("{}/{what}", self.path), ..self.clone() }
    }
}

impl Outside {
    /// The body of a step.
    fn act(&self, at: &At, flakes: u8, input: u64) -> Out {
        if let Some(left) = &mut *self.left.lock().unwrap() {
            *left = left.checked_sub(1).ok_or(CRASH)?;
        }
        let mut flaked = self.flaked.lock().unwrap();
        let flaked = flaked.entry(at.path.clone()).or_default();
        if *flaked < flakes {
            *flaked += 1;
            return Err(FLAKE);
        }
        if !at.loses {
            *self.done.lock().unwrap().entry(at.path.clone()).or_default() += 1;
        }
        let mixed = at.path.bytes().fold(input, |mixed, byte| mixed.wrapping_mul(31).wrapping_add(u64::from(byte)));
        Ok(mixed)
    }
}

/// Executes parts one after the other; what they return depends on all that came before.
fn all<'a>(parts: &'a [Part], at: At, mut sum: u64, outside: &'a Outside) -> Pin<Box<dyn Future<Output = Out> + 'a>> {
    Box::pin(async move {
        for (n, part) in parts.iter().enumerate() {
            let at = at.below(n);
            sum = match part {
                Part::Step { name, keyed, flakes } => step(NAMES[*name], *keyed, *flakes, &at, sum, outside).await?,
                Part::Loop(times, parts) => {
                    for turn in 0..*times {
                        sum = all(parts, at.below(turn), sum, outside).await?;
                    }
                    sum
                }
                Part::Saved { turns, commits, parts } => {
                    let at = At { keys: true, ..at };
                    let mut state = Saved::<(u8, u64)>::load(&at.path).await?;
                    if state.0 == 0 {
                        state.1 = sum;
                    }
                    while state.0 < *turns {
                        let turned = all(parts, at.below(state.0), state.1, outside).await?;
                        *state = (state.0 + 1, turned);
                        if state.0 % commits == 0 { state.commit().await? } else { state.mark().await? }
                    }
                    state.1
                }
                Part::Join(one, other) => {
                    let at = At { keys: true, ..at };
                    let one = all(one, at.below("one"), sum, outside);
                    let (one, other) = tokio::join!(one, all(other, at.below("other"), sum, outside));
                    one?.wrapping_mul(7).wrapping_add(other?)
                }
                Part::Race(one, other) => {
                    let at = At { keys: true, ..at };
                    let loser = At { loses: true, ..at.below("other") };
                    let loses = async {
                        // It may well crash: with the run, then.
                        let _ = all(other, loser, sum, outside).await;
                        std::future::pending().await
                    };
                    let wins = all(one, at.below("one"), sum, outside);
                    let racers: [Pin<Box<dyn Future<Output = Out> + '_>>; 2] = [Box::pin(loses), wins];
                    let (winner, answer) = select(&at.path, racers).await?;
                    assert_eq!(winner, 1);
                    answer?
                }
            };
        }
        Ok(sum)
    })
}

async fn step(name: &'static str, keyed: bool, flakes: u8, at: &At, input: u64, outside: &Outside) -> Out {
    loop {
        let step = Checkpoint::new().step(name).input(&input);
        let step = if keyed || at.keys { step.key(&at.path) } else { step };
        let call = step.at(site!("step").enter()).calls::<Out>();
        match call.run(async { outside.act(at, flakes, input) }).await {
            Err(error) if error == FLAKE => {}
            answer => return answer,
        }
    }
}

/// Once a state was loaded, counted steps are refused for good.
fn has_state(parts: &[Part]) -> bool {
    parts.iter().any(|part| match part {
        Part::Step { .. } => false,
        Part::Saved { .. } => true,
        Part::Loop(_, parts) => has_state(parts),
        Part::Join(one, other) | Part::Race(one, other) => has_state(one) || has_state(other),
    })
}

/// One life of the workflow's process, with a crash before the body after `left` others.
async fn live(store: &Store, parts: &[Part], outside: &Outside, left: Option<usize>) -> Out {
    *outside.left.lock().unwrap() = left;
    let at = At { path: "w".into(), keys: has_state(parts), loses: false };
    let run = Checkpoint::new().every(2).run("r").named("workflow").calls::<Out>();
    store.scope(run.run(all(parts, at, 1, outside))).await
}

/// Lives through crashes before bodies `first`, `first` + 1, .. of each further life.
async fn crash_and_end(world: &World, parts: &[Part], first: Option<usize>) -> (u64, BTreeMap<String, u32>, u32) {
    let outside = Outside::default();
    let mut crashes = 0;
    if let Some(first) = first {
        let store = world.store();
        match live(&store, parts, &outside, Some(first)).await {
            Ok(sum) => return (sum, outside.done.into_inner().unwrap(), crashes),
            Err(error) => assert_eq!(error, CRASH),
        }
        crashes += 1;
    }
    let store = world.store();
    let sum = live(&store, parts, &outside, None).await.unwrap();
    // The result is on record, and nothing runs for it again.
    assert_eq!(live(&store, parts, &outside, Some(0)).await, Ok(sum));
    (sum, outside.done.into_inner().unwrap(), crashes)
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn replay_after_a_crash_before_any_step_ends_alike_and_executes_each_step_once(parts in parts()) {
        block_on(async {
            let (sum, done, _) = crash_and_end(&World::in_memory()[0], &parts, None).await;
            assert!(done.values().all(|times| *times == 1), "{done:?}");
            for number in 0.. {
                let mut crashes = 0;
                for world in World::in_memory() {
                    let found = crash_and_end(&world, &parts, Some(number)).await;
                    assert_eq!((found.0, &found.1), (sum, &done), "after a crash before body {number}");
                    crashes += found.2;
                }
                if crashes == 0 {
                    break;
                }
            }
        });
    }
}
