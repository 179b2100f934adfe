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

/// Sequences that are played on a server, too, which takes far longer; all of them where thousands are asked for.
const ON_A_SERVER: u64 = 4;

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
        let mut ops = sequence(&mut fastrand::Rng::with_seed(seed), LENGTH);
        let served = seed - first < ON_A_SERVER || sequences > ENOUGH;
        if served {
            leave_out_renewals(&mut ops);
        }
        match play(&ops, served) {
            Ok(kinds) => occurred.extend(kinds),
            Err(found) => panic!("{}", report(seed, shortest(&ops, found, served))),
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
    println!("oracle: stores={} sequences={} answers={}", worlds(true).len(), seed - first, occurred.len());
}

/// All stores, those on a server if it may take its time; the first one is held against the others.
fn worlds(served: bool) -> Vec<World> {
    let mut worlds = World::in_memory();
    if served {
        worlds.extend(World::postgres("the oracle on Postgres"));
    }
    worlds
}

/// From the renewal on that tells a process of a lost claim, a process refuses by itself what comes under it, and says so.
/// Where nothing is renewed, as on a disk, it is the store that refuses.
fn leave_out_renewals(ops: &mut Vec<Op>) {
    let stays = |op: &Op| !matches!(op, Op::Renew { .. });
    ops.retain(stays);
    for op in ops {
        if let Op::Burst(ops) = op {
            ops.retain(stays);
        }
    }
}

/// Where two stores parted: after which operation, and what each said.
struct Parted {
    at: usize,
    said: Vec<String>,
}

/// Plays a sequence on every store, and tells the kinds of answers that occurred.
fn play(ops: &[Op], served: bool) -> Result<BTreeSet<String>, Parted> {
    let mut actors: Vec<Actor> = worlds(served).into_iter().map(Actor::new).collect();
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
fn shortest(ops: &[Op], parted: Parted, served: bool) -> (Vec<Op>, Parted) {
    let mut ops = ops[..=parted.at].to_vec();
    let mut parted = parted;
    let mut chunk = ops.len() / 2;
    while chunk > 0 {
        let mut from = 0;
        while from < ops.len() {
            let mut fewer = ops.clone();
            fewer.drain(from..(from + chunk).min(ops.len()));
            match play(&fewer, served) {
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
