//! The same scenarios on every store.

use std::sync::Arc;
use std::time::Duration;

use super::World;
use crate::checkpoint::{
    Appended, Arguments, Claim, Claimed, Filter, Finish, Granted, InputHash, KEPT_RUNS, Lease, Left, Newest,
    PRUNED_AT_ONCE, RunStatus, SaveState, Step, StoreError,
};

fn claim(run: &str) -> Claim {
    Claim {
        run: run.into(),
        function: "work".into(),
        version: 0,
        upgrades: false,
        arguments: Arguments::default(),
        input: None,
        again: false,
        max_recoveries: 10,
        keep_unfinished: Duration::from_secs(3600),
        at: 1000,
    }
}

#[track_caller]
fn granted(claimed: Claimed) -> Granted {
    match claimed {
        Claimed::Granted(granted) => granted,
        other => panic!("not granted: {other:?}"),
    }
}

fn lease(run: &str, token: u64) -> Lease {
    Lease { run: run.into(), token }
}

fn step(run: &str, token: u64, key: &str) -> Step {
    Step {
        lease: lease(run, token),
        key: key.into(),
        schema: 3,
        input: InputHash::from_bytes([7; 16]),
        value: key.as_bytes().into(),
        version: 0,
        at: 2000,
    }
}

fn finish(run: &str, token: u64, at: i64) -> Finish {
    Finish { lease: lease(run, token), output: Arc::from(*b"out"), expires_at: Some(at + 100), at }
}

fn state(run: &str, token: u64, generation: u64, bad: Option<u64>) -> SaveState {
    let value = Newest::default();
    value.put(generation, Arc::from(generation.to_string().as_bytes()));
    SaveState {
        lease: lease(run, token),
        name: "s".into(),
        bad,
        type_name: "T",
        value: Arc::new(value),
        version: 0,
        at: 3000,
    }
}

#[test]
fn a_claim_reads_back_what_was_recorded_in_order() {
    for world in World::all() {
        let store = world.owner();
        assert_eq!(granted(store.claim(claim("r")).wait().unwrap()).token, 1);
        let appended = store.append(vec![step("r", 1, "b"), step("r", 1, "a")]).wait().unwrap();
        assert_eq!(appended, [Appended::Recorded { seq: 1 }, Appended::Recorded { seq: 2 }]);
        store.release(lease("r", 1), 2000, Left::Failed).wait().unwrap();

        let again = granted(store.claim(claim("r")).wait().unwrap());
        assert_eq!((again.token, again.attempts, again.incarnation), (2, 2, 1));
        let keys: Vec<_> = again.steps.iter().map(|step| (&*step.key, step.seq, step.token)).collect();
        assert_eq!(keys, [("b", 1, 1), ("a", 2, 1)]);
        assert_eq!(again.steps[0].value[..], *b"b");
        assert_eq!(again.steps[0].schema, 3);
        assert_eq!(again.steps[0].input, InputHash::from_bytes([7; 16]));
        assert_eq!(again.steps, store.steps("r").wait().unwrap());
    }
}

#[test]
fn a_recorded_step_is_never_changed() {
    for world in World::all() {
        let store = world.owner();
        granted(store.claim(claim("r")).wait().unwrap());
        let _ = store.append(vec![step("r", 1, "a")]).wait().unwrap();
        let second = Step { value: Arc::from(*b"other"), ..step("r", 1, "a") };
        let appended = store.append(vec![second]).wait().unwrap();
        assert!(matches!(&appended[..], [Appended::Already(record)] if record.value[..] == *b"a"), "{appended:?}");
        assert_eq!(store.steps("r").wait().unwrap().len(), 1);
    }
}

#[test]
fn a_living_owner_keeps_its_run_and_a_dead_one_loses_it_at_once() {
    for world in World::all() {
        let (first, second) = (world.owner(), world.owner());
        granted(first.claim(claim("r")).wait().unwrap());
        let busy = second.claim(claim("r")).wait().unwrap();
        assert_eq!(busy, Claimed::Busy { owner: first.owner().to_owned() });
        // In the same process it is no different.
        assert_eq!(first.claim(claim("r")).wait().unwrap(), busy);
        assert_eq!(
            second.delete("r").wait(),
            Err(StoreError::RunBusy { run: "r".into(), owner: first.owner().to_owned() })
        );

        drop(first);
        assert_eq!(granted(second.claim(claim("r")).wait().unwrap()).token, 2);
    }
}

#[test]
fn of_many_claims_at_once_one_is_granted_and_the_others_are_told_who_has_it() {
    for world in World::all() {
        let (tickets, store) = world.in_one_batch(|store| {
            let tickets: Vec<_> = (0..8).map(|_| store.claim(claim("r"))).collect();
            (tickets, store.delete("r"))
        });
        let (claims, delete) = tickets;
        let mut claims: Vec<_> = claims.into_iter().map(|ticket| ticket.wait().unwrap()).collect();
        let first = granted(claims.remove(0));
        let owner = store.owner().to_owned();
        assert!(claims.iter().all(|claimed| *claimed == Claimed::Busy { owner: owner.clone() }), "{claims:?}");
        assert_eq!(delete.wait(), Err(StoreError::RunBusy { run: "r".into(), owner }), "and it is not deleted");
        assert_eq!(store.append(vec![step("r", first.token, "a")]).wait().unwrap(), [Appended::Recorded { seq: 1 }]);
    }
}

#[test]
fn a_run_given_back_in_the_batch_of_its_claim_is_free_in_it() {
    for world in World::all() {
        let (tickets, _store) = world.in_one_batch(|store| {
            let first = store.claim(claim("r"));
            drop(store.release(lease("r", 1), 2000, Left::Failed));
            [first, store.claim(claim("r")), store.claim(claim("r"))]
        });
        let [first, second, third] = tickets.map(|ticket| ticket.wait().unwrap());
        assert_ne!(granted(first).token, granted(second).token);
        assert!(matches!(third, Claimed::Busy { .. }), "{third:?}");
    }
}

#[test]
fn what_an_old_token_or_another_owner_writes_is_refused() {
    for world in World::all() {
        let (first, second) = (world.owner(), world.owner());
        granted(first.claim(claim("r")).wait().unwrap());
        first.release(lease("r", 1), 2000, Left::Failed).wait().unwrap();
        granted(second.claim(claim("r")).wait().unwrap());
        let owner = Some(second.owner().to_owned());

        for stale in [1, 2] {
            let appended = first.append(vec![step("r", stale, "late")]).wait().unwrap();
            assert_eq!(appended, [Appended::Fenced { owner: owner.clone() }]);
            let fenced = Err(StoreError::Fenced { run: "r".into(), owner: owner.clone() });
            assert_eq!(first.put_state(state("r", stale, 1, None)).wait(), fenced);
            assert_eq!(first.finish(finish("r", stale, 5000)).wait(), fenced);
            first.release(lease("r", stale), 2000, Left::Failed).wait().unwrap();
        }
        // The holder of an older claim in the same process is no better.
        second.release(lease("r", 2), 2000, Left::Failed).wait().unwrap();
        granted(second.claim(claim("r")).wait().unwrap());
        let appended = second.append(vec![step("r", 2, "late")]).wait().unwrap();
        assert_eq!(appended, [Appended::Fenced { owner }]);

        assert!(second.steps("r").wait().unwrap().is_empty());
        assert!(second.states("r", "s").wait().unwrap().is_empty());
        let run = &second.list(Filter::default()).wait().unwrap()[0];
        assert_eq!((run.status, run.token, run.owner.as_deref()), (RunStatus::Running, 3, Some(second.owner())));
    }
}

#[test]
fn a_finished_run_answers_until_its_time_is_over_and_then_its_name_is_free() {
    for world in World::all() {
        let store = world.owner();
        granted(store.claim(claim("r")).wait().unwrap());
        let _ = store.append(vec![step("r", 1, "a")]).wait().unwrap();
        store.put_state(state("r", 1, 1, None)).wait().unwrap();
        store.finish(finish("r", 1, 5000)).wait().unwrap();
        assert!(store.states("r", "s").wait().unwrap().is_empty(), "the states go with the finish");

        assert_eq!(store.list(Filter::default()).wait().unwrap()[0].output_len, Some(3));
        assert_eq!(store.output("r").wait(), Ok(Some(Arc::from(*b"out"))));
        assert_eq!(store.output("other").wait(), Ok(None));

        let at = |at| Claim { at, ..claim("r") };
        assert_eq!(store.claim(at(5099)).wait().unwrap(), Claimed::Finished(Arc::from(*b"out")));
        let other = Claim { function: "other".into(), ..at(5099) };
        assert_eq!(store.claim(other.clone()).wait().unwrap(), Claimed::OtherFunction { recorded: "work".into() });

        let anew = granted(store.claim(Claim { at: 5100, ..other }).wait().unwrap());
        assert_eq!((anew.token, anew.attempts, anew.incarnation), (2, 1, 2));
        assert_eq!(store.output("r").wait(), Ok(None));
        assert_eq!(store.list(Filter::default()).wait().unwrap()[0].output_len, None);
        assert!(anew.steps.is_empty());
    }
}

#[test]
fn a_run_that_goes_again_starts_from_nothing() {
    for world in World::all() {
        let store = world.owner();
        granted(store.claim(claim("r")).wait().unwrap());
        let _ = store.append(vec![step("r", 1, "a")]).wait().unwrap();
        store.finish(Finish { expires_at: None, ..finish("r", 1, 5000) }).wait().unwrap();
        let again = granted(store.claim(Claim { again: true, version: 9, ..claim("r") }).wait().unwrap());
        assert_eq!((again.token, again.incarnation, again.steps.len()), (2, 2, 0));
        assert_eq!(store.list(Filter::default()).wait().unwrap()[0].version, 9);
    }
}

#[test]
fn a_claim_that_is_refused_changes_nothing() {
    for world in World::all() {
        let store = world.owner();
        granted(store.claim(claim("r")).wait().unwrap());
        store.release(lease("r", 1), 2000, Left::Failed).wait().unwrap();
        let before = store.list(Filter::default()).wait().unwrap();

        let other = Claim { function: "other".into(), at: 9999, ..claim("r") };
        assert_eq!(store.claim(other).wait().unwrap(), Claimed::OtherFunction { recorded: "work".into() });
        let newer = Claim { version: 1, at: 9999, ..claim("r") };
        assert_eq!(store.claim(newer).wait().unwrap(), Claimed::OtherVersion { recorded: 0 });
        assert_eq!(store.list(Filter::default()).wait().unwrap(), before);
    }
}

#[test]
fn two_versions_of_a_state_are_kept_and_a_bad_one_is_not_one_of_them() {
    for world in World::all() {
        let store = world.owner();
        granted(store.claim(claim("r")).wait().unwrap());
        let kept = || {
            let states = store.states("r", "s").wait().unwrap();
            states.iter().map(|state| state.generation).collect::<Vec<_>>()
        };
        for generation in 1..=3 {
            store.put_state(state("r", 1, generation, None)).wait().unwrap();
        }
        assert_eq!(kept(), [3, 2]);
        store.put_state(state("r", 1, 4, Some(3))).wait().unwrap();
        assert_eq!(kept(), [4, 2]);
        assert_eq!(store.states("r", "s").wait().unwrap()[0].value[..], *b"4");
    }
}

#[test]
fn a_write_whose_value_was_taken_along_by_an_earlier_one_has_nothing_to_do() {
    for world in World::all() {
        let store = world.owner();
        granted(store.claim(claim("r")).wait().unwrap());
        let first = state("r", 1, 1, None);
        let second = first.clone();
        store.put_state(first).wait().unwrap();
        store.put_state(second).wait().unwrap();
        assert_eq!(store.states("r", "s").wait().unwrap().len(), 1);
    }
}

#[test]
fn runs_are_listed_by_prefix_status_and_page() {
    for world in World::all() {
        let store = world.owner();
        for run in ["a%1", "a_1", "a_2", "b"] {
            granted(store.claim(claim(run)).wait().unwrap());
        }
        store.finish(finish("a_2", 3, 5000)).wait().unwrap();
        let list = |filter| {
            let runs = store.list(filter).wait().unwrap();
            runs.into_iter().map(|run| run.run).collect::<Vec<_>>()
        };
        assert_eq!(list(Filter::default()), ["a%1", "a_1", "a_2", "b"]);
        assert_eq!(list(Filter { prefix: "a_".into(), ..Filter::default() }), ["a_1", "a_2"]);
        assert_eq!(list(Filter { status: Some(RunStatus::Finished), ..Filter::default() }), ["a_2"]);
        assert_eq!(list(Filter { after: Some("a_1".into()), limit: 1, ..Filter::default() }), ["a_2"]);
    }
}

#[test]
fn a_deleted_run_is_gone_with_all_that_was_recorded() {
    for world in World::all() {
        let store = world.owner();
        granted(store.claim(claim("r")).wait().unwrap());
        let _ = store.append(vec![step("r", 1, "a")]).wait().unwrap();
        store.put_state(state("r", 1, 1, None)).wait().unwrap();
        store.release(lease("r", 1), 2000, Left::Failed).wait().unwrap();
        assert_eq!(store.delete("r").wait(), Ok(true));
        assert_eq!(store.delete("r").wait(), Ok(false));
        assert!(store.steps("r").wait().unwrap().is_empty());
        assert!(store.states("r", "s").wait().unwrap().is_empty());
    }
}

#[test]
fn no_token_is_granted_again_after_its_run_was_deleted_or_forgotten() {
    for world in World::all() {
        let store = world.owner();
        let first = granted(store.claim(claim("r")).wait().unwrap());
        store.release(lease("r", first.token), 2000, Left::Failed).wait().unwrap();
        assert_eq!(store.delete("r").wait(), Ok(true));

        let second = granted(store.claim(claim("r")).wait().unwrap());
        let late = store.append(vec![step("r", first.token, "late")]).wait().unwrap();
        assert_eq!(late, [Appended::Fenced { owner: Some(store.owner().to_owned()) }]);
        assert!(matches!(store.finish(finish("r", first.token, 5000)).wait(), Err(StoreError::Fenced { .. })));
        store.finish(finish("r", second.token, 5000)).wait().unwrap();

        let other = granted(store.claim(Claim { at: 9000, ..claim("other") }).wait().unwrap());
        assert_eq!(store.list(Filter::default()).wait().unwrap().len(), 1, "the claim of another one has forgotten it");
        // By another process, too.
        let store = world.owner();
        let third = granted(store.claim(Claim { at: 9000, ..claim("r") }).wait().unwrap());
        let late = store.append(vec![step("r", second.token, "late")]).wait().unwrap();
        assert!(matches!(late[..], [Appended::Fenced { .. }]), "{late:?}");
        let tokens = [first.token, second.token, other.token, third.token];
        assert!(tokens.is_sorted_by(|a, b| a < b), "{tokens:?}");
        let starts = [first.incarnation, second.incarnation, other.incarnation, third.incarnation];
        assert_eq!(starts, tokens, "each of them has started its run");
    }
}

#[test]
fn finished_runs_are_forgotten_when_their_time_is_over_or_their_number_too_large() {
    for world in World::all() {
        let store = world.owner();
        for n in 0..3 * KEPT_RUNS as i64 {
            let run = format!("r{n:02}");
            let token = granted(store.claim(claim(&run)).wait().unwrap()).token;
            store.finish(finish(&run, token, 5000 + n)).wait().unwrap();
        }
        let finished = || store.list(Filter { status: Some(RunStatus::Finished), ..Filter::default() }).wait().unwrap();
        assert!(finished().len() <= KEPT_RUNS + PRUNED_AT_ONCE, "{} are kept", finished().len());
        assert_eq!(finished().last().unwrap().run, "r23", "the newest stay");

        for n in 0..finished().len() {
            granted(store.claim(Claim { at: 9000, ..claim(&format!("late{n}")) }).wait().unwrap());
        }
        assert_eq!(finished(), []);
    }
}
