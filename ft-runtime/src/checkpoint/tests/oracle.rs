//! The same random operations on every store: all of them give the same answers and hold the same afterwards, until
//! every operation and every answer has occurred.
//!
//! `FT_ORACLE_SEQUENCES` says how many sequences there are (default 16), `FT_ORACLE_SEED` where they begin. A sequence
//! that ends in two different answers is made as short as it gets before it is printed.

mod answers;
mod asked;

use std::collections::BTreeSet;
use std::env;

use self::answers::Actor;
use self::asked::{Op, sequence};
use super::World;

/// Operations of one sequence.
const LENGTH: usize = 120;

/// Sequences after which everything must have occurred, however few are asked for.
const ENOUGH: u64 = 400;

/// Every answer that there is. `fenced` is said apart from where nobody holds the run.
const KINDS: &[&str] = &[
    "abandoned: none",
    "abandoned: some",
    "append: already",
    "append: cancelled",
    "append: fenced",
    "append: nobody's",
    "append: recorded",
    "cancel: false",
    "cancel: true",
    "claim: busy",
    "claim: cancelled",
    "claim: finished",
    "claim: forgets cancelled",
    "claim: forgets finished",
    "claim: forgets parked",
    "claim: forgets running",
    "claim: goes on",
    "claim: other arguments",
    "claim: other function",
    "claim: other version",
    "claim: parked",
    "claim: parks",
    "claim: starts",
    "claim: starts again",
    "delete: busy",
    "delete: false",
    "delete: true",
    "finish: cancelled",
    "finish: fenced",
    "finish: nobody's",
    "finish: ok",
    "fork: no such step",
    "fork: ok",
    "fork: run exists",
    "fork: unreadable",
    "gc: deletes",
    "gc: leaves some",
    "gc: nothing",
    "gc: only says",
    "list: none",
    "list: some",
    "renew: ok",
    "resume: false",
    "resume: true",
    "save: cancelled",
    "save: fenced",
    "save: nobody's",
    "save: ok",
];

#[test]
fn oracle_all_stores_answer_alike_until_every_answer_has_occurred() {
    let number = |name, default| env::var(name).ok().map_or(default, |text| text.parse().expect("a whole number"));
    let (first, sequences): (u64, u64) = (number("FT_ORACLE_SEED", 1), number("FT_ORACLE_SEQUENCES", 16));
    let mut occurred = BTreeSet::new();
    let mut seed = first;
    loop {
        let ops = sequence(&mut fastrand::Rng::with_seed(seed), LENGTH);
        match play(&ops, World::in_memory) {
            Ok(kinds) => occurred.extend(kinds),
            Err(found) => panic!("{}", report(seed, shortest(&ops, found, World::in_memory))),
        }
        seed += 1;
        let missing: Vec<_> = KINDS.iter().filter(|kind| !occurred.contains(**kind)).collect();
        if seed - first >= sequences && missing.is_empty() {
            break;
        }
        assert!(seed - first < sequences.max(ENOUGH), "never occurred from seed {first} on: {missing:?}");
    }
    let unknown: Vec<_> = occurred.iter().filter(|kind| !KINDS.contains(&kind.as_str())).collect();
    assert!(unknown.is_empty(), "answers that the list does not know: {unknown:?}");
    println!("oracle: stores={} sequences={} answers={}", World::in_memory().len(), seed - first, occurred.len());
}

/// Fewer sequences, as every commit of a server is synced.
#[cfg(feature = "postgres")]
#[test]
fn oracle_a_store_on_postgres_answers_as_the_one_in_memory() {
    fn stores() -> Vec<World> {
        let server = World::postgres("oracle_a_store_on_postgres_answers_as_the_one_in_memory");
        World::in_memory().into_iter().take(1).chain(server).collect()
    }
    let sequences = env::var("FT_ORACLE_SEQUENCES").map_or(4, |text| text.parse().expect("a whole number"));
    for seed in 1..=sequences {
        let mut ops = sequence(&mut fastrand::Rng::with_seed(seed), LENGTH);
        // From the renewal on that tells a process of a lost claim, the process refuses by itself what comes under it.
        let stays = |op: &Op| !matches!(op, Op::Renew { .. });
        ops.retain(stays);
        for op in &mut ops {
            if let Op::Burst(ops) = op {
                ops.retain(stays);
            }
        }
        if let Err(found) = play(&ops, stores) {
            panic!("{}", report(seed, shortest(&ops, found, stores)));
        }
    }
}

/// New stores of the kinds that are compared.
type Stores = fn() -> Vec<World>;

/// Where two stores parted: after which operation, and what each said.
struct Parted {
    at: usize,
    said: Vec<String>,
}

/// Plays a sequence on every store, and tells the kinds of answers that occurred.
fn play(ops: &[Op], stores: Stores) -> Result<BTreeSet<String>, Parted> {
    let mut actors: Vec<Actor> = stores().into_iter().map(Actor::new).collect();
    let mut kinds = BTreeSet::new();
    for (at, op) in ops.iter().enumerate() {
        let said: Vec<(Vec<String>, String)> = actors.iter_mut().map(|actor| actor.answer(op)).collect();
        kinds.extend(said[0].0.iter().cloned());
        if said.iter().any(|other| other.1 != said[0].1) {
            return Err(Parted { at, said: said.into_iter().map(|(_, said)| said).collect() });
        }
    }
    Ok(kinds)
}

/// Leaves out of a sequence whatever it parts without.
fn shortest(ops: &[Op], parted: Parted, stores: Stores) -> (Vec<Op>, Parted) {
    let mut ops = ops[..=parted.at].to_vec();
    let mut parted = parted;
    let mut chunk = ops.len() / 2;
    while chunk > 0 {
        let mut from = 0;
        while from < ops.len() {
            let mut fewer = ops.clone();
            fewer.drain(from..(from + chunk).min(ops.len()));
            match play(&fewer, stores) {
                Err(found) => {
                    fewer.truncate(found.at + 1);
                    (ops, parted) = (fewer, found);
                }
                Ok(_) => from += chunk,
            }
        }
        chunk /= 2;
    }
    (ops, parted)
}

fn report(seed: u64, (ops, parted): (Vec<Op>, Parted)) -> String {
    let ops: Vec<_> = ops.iter().map(|op| format!("\n    {op:?}")).collect();
    let said: Vec<_> = parted.said.iter().map(|said| format!("\n    {said}")).collect();
    format!(
        "the stores part in the sequence of seed {seed}:{}\nand say after the last one:{}",
        ops.concat(),
        said.concat()
    )
}
