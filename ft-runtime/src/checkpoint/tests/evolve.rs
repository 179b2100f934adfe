//! Workflows whose code was changed while they were under way: a model says which error, or which steps are left over.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::World;
use crate::checkpoint::{Checkpoint, CheckpointError, Store};
use crate::observe::{self, What};
use crate::{Error, Rejected, site};

type Failed = Error<&'static str>;

/// One step of the code.
#[derive(Clone, Debug, PartialEq)]
struct Call {
    name: usize,
    /// With a key of its own; otherwise it is counted.
    key: Option<u32>,
    /// What it is called with, and what it returns.
    value: u32,
    /// It returns text instead of a number.
    text: bool,
}

/// How the code was changed.
#[derive(Clone, Debug)]
enum Change {
    Rename(prop::sample::Index),
    Insert(prop::sample::Index, usize, bool),
    Swap(prop::sample::Index, prop::sample::Index),
    Drop(prop::sample::Index),
    /// Called with something else.
    Argue(prop::sample::Index),
    /// Returns something else.
    Return(prop::sample::Index),
    Nothing,
}

const NAMES: [&str; 4] = ["a", "b", "c", "renamed"];

fn code() -> impl Strategy<Value = Vec<Call>> {
    let calls = prop::collection::vec((0..3_usize, any::<bool>()), 2..8);
    calls.prop_map(|calls| {
        let numbered = calls.into_iter().zip(1..);
        numbered.map(|((name, keyed), n)| Call { name, key: keyed.then_some(n), value: n, text: false }).collect()
    })
}

fn change() -> impl Strategy<Value = Change> {
    use prop::sample::Index;
    prop_oneof![
        any::<Index>().prop_map(Change::Rename),
        (any::<Index>(), 0..3_usize, any::<bool>()).prop_map(|(at, name, keyed)| Change::Insert(at, name, keyed)),
        (any::<Index>(), any::<Index>()).prop_map(|(one, other)| Change::Swap(one, other)),
        any::<Index>().prop_map(Change::Drop),
        any::<Index>().prop_map(Change::Argue),
        any::<Index>().prop_map(Change::Return),
        Just(Change::Nothing),
    ]
}

impl Change {
    fn to(&self, code: &[Call]) -> Vec<Call> {
        let mut code = code.to_vec();
        let len = code.len();
        match self {
            Self::Rename(at) => code[at.index(len)].name = 3,
            Self::Insert(at, name, keyed) => {
                let call = Call { name: *name, key: keyed.then_some(100), value: 100, text: false };
                code.insert(at.index(len + 1), call);
            }
            Self::Swap(one, other) => code.swap(one.index(len), other.index(len)),
            Self::Drop(at) => drop(code.remove(at.index(len))),
            Self::Argue(at) => code[at.index(len)].value += 1000,
            Self::Return(at) => code[at.index(len)].text = true,
            Self::Nothing => {}
        }
        code
    }
}

/// How the changed code ends on what the old code recorded.
#[derive(Debug, PartialEq)]
enum End {
    /// With its result; so many recorded steps are left over, of which this is the first.
    Done {
        ran: usize,
        leftover: Option<(u64, String)>,
    },
    InputChanged(String),
    Decode(String),
}

/// The keys of the calls, in their order.
fn keys(code: &[Call]) -> Vec<String> {
    let mut numbers = BTreeMap::new();
    let key = |call: &Call| match call.key {
        Some(key) => format!("{}({key})", NAMES[call.name]),
        None => {
            let number = numbers.entry(call.name).or_insert(0);
            *number += 1;
            format!("{}#{number}", NAMES[call.name])
        }
    };
    code.iter().map(key).collect()
}

/// What has to happen, from nothing but the rules.
fn expected(recorded: &[Call], now: &[Call]) -> End {
    let recorded: Vec<(String, &Call)> = keys(recorded).into_iter().zip(recorded).collect();
    let now_keys = keys(now);
    let mut ran = 0;
    for (key, call) in now_keys.iter().zip(now) {
        match recorded.iter().find(|(known, _)| known == key) {
            None => ran += 1,
            Some((_, known)) if known.value != call.value => return End::InputChanged(key.clone()),
            Some((_, known)) if known.text != call.text => return End::Decode(format!("step `{key}`")),
            Some(_) => {}
        }
    }
    let mut left = recorded.iter().filter(|(key, _)| !now_keys.contains(key));
    let first = left.next().map(|(key, _)| (1 + left.count() as u64, key.clone()));
    End::Done { ran, leftover: first }
}

/// Executes code, up to its `stop`-th step if there is one.
async fn execute(store: &Store, run: &str, code: &[Call], stop: Option<usize>) -> (Result<u32, Failed>, usize) {
    let ran = Mutex::new(0);
    let call = Checkpoint::new().run(run).named("work").calls::<Result<u32, Failed>>();
    let outcome = store.scope(call.run(async {
        for (n, call) in code.iter().enumerate() {
            if stop == Some(n) {
                return Err(Error::Failed("stopped"));
            }
            let step = Checkpoint::new().step(NAMES[call.name]).input(&call.value);
            let step = if let Some(key) = &call.key { step.key(key) } else { step }.at(site!("step").enter());
            if call.text {
                let text = step.calls::<Result<String, Failed>>().run(async {
                    *ran.lock().unwrap() += 1;
                    Ok(call.value.to_string())
                });
                assert_eq!(text.await?, call.value.to_string());
            } else {
                let number = step.calls::<Result<u32, Failed>>().run(async {
                    *ran.lock().unwrap() += 1;
                    Ok(call.value)
                });
                assert_eq!(number.await?, call.value);
            }
        }
        Ok(1)
    }));
    let outcome = outcome.await;
    (outcome, ran.into_inner().unwrap())
}

/// What the changed code did; the run has a name of its own, since all tests of a process hear each other's events.
async fn found(store: &Store, recorded: usize, code: &[Call], changed: &[Call]) -> End {
    let run = "evolves";
    let (stopped, _) = execute(store, run, code, Some(recorded)).await;
    assert!(stopped.is_err() || recorded == code.len());
    let leftover = Arc::new(Mutex::new(None));
    let sink = Arc::clone(&leftover);
    let thread = std::thread::current().id();
    let listening = observe::subscribe(move |event| {
        if let What::LeftoverSteps { run: "evolves", steps, first } = event.what
            && std::thread::current().id() == thread
        {
            *sink.lock().unwrap() = Some((steps, first.to_owned()));
        }
    });
    let (outcome, ran) = execute(store, run, changed, None).await;
    drop(listening);
    match outcome {
        Ok(_) => End::Done { ran, leftover: leftover.lock().unwrap().take() },
        Err(Error::Rejected(Rejected::Checkpoint(error))) => match *error {
            CheckpointError::InputChanged { step, .. } => End::InputChanged(step),
            CheckpointError::Decode { what, .. } => End::Decode(what),
            other => panic!("{other:?}"),
        },
        Err(error) => panic!("{error:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn evolved_code_gets_the_error_that_its_change_deserves(
        code in code(), change in change(), until in any::<prop::sample::Index>(),
    ) {
        let recorded = until.index(code.len());
        let changed = change.to(&code);
        let expected = expected(&code[..recorded], &changed);
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            for world in World::in_memory() {
                assert_eq!(found(&world.store(), recorded, &code, &changed).await, expected);
            }
        });
    }
}
