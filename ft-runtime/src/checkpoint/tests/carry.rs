//! A run read at one moment, checked, and carried to another store; and a store that is only looked at.

use std::fs;

use super::{Kind, World};
use crate::checkpoint::sqlite::{ReadOnly, Sqlite};
use crate::checkpoint::{
    Backend, Checkpoint, Claim, Claimed, Filter, Finding, Gc, Lease, Left, RunCopy, RunStatus, Saved, Store,
    StoreError, idempotency_key,
};
use crate::{Error, site};

type Failed = Error<String>;
type Out = Result<String, Failed>;

async fn step(key: u32) -> Out {
    let body = async { Ok(idempotency_key().map(|key| key.to_string()).unwrap_or_default()) };
    Checkpoint::new().step("step").key(&key).at(site!().enter()).calls::<Out>().run(body).await
}

/// A run of `steps` steps and a state with two versions; it ends, or stops.
async fn work(store: &Store, run: &str, steps: u32, ends: bool) -> Out {
    let session = Checkpoint::new().run(run).named("work").calls::<Out>();
    let body = async {
        let mut state = Saved::<u32>::load("state").await?;
        for value in [3, 4] {
            *state = value;
            state.commit().await?;
        }
        let mut keys = Vec::new();
        for n in 0..steps {
            keys.push(step(n).await?);
        }
        if ends { Ok(keys.join(" ")) } else { Err(Error::Failed("stopped".into())) }
    };
    store.scope(session.run(body)).await
}

async fn copy_of(store: &Store, run: &str) -> RunCopy {
    store.export(run).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_run_that_is_carried_to_another_store_goes_on_there_with_its_idempotency_keys() {
    for (here, there) in World::pairs() {
        let (here, there) = (here.store(), there.store());
        work(&here, "r", 2, false).await.unwrap_err();
        let copy = copy_of(&here, "r").await;
        assert_eq!((copy.steps.len(), copy.states.len(), copy.findings()), (2, 2, Vec::new()));
        assert_eq!(copy.states, here.saved("r").await.unwrap());
        assert!(copy.states[0].generation > copy.states[1].generation, "the newest first");

        let imported = there.import(copy.clone(), None).await.unwrap();
        assert_eq!((imported.status, imported.steps, &imported.owner), (RunStatus::Running, 2, &None));
        assert!(imported.token > copy.run.token);
        assert_eq!(copy_of(&there, "r").await.states, copy.states);
        let (ended_here, ended_there) = (work(&here, "r", 3, true).await, work(&there, "r", 3, true).await);
        assert_eq!(ended_here.unwrap(), ended_there.unwrap());
    }
}

#[tokio::test]
async fn a_run_that_is_imported_under_another_id_is_whole_and_another_run() {
    for world in World::all() {
        let store = world.store();
        work(&store, "r", 2, false).await.unwrap_err();
        work(&store, "ended", 2, true).await.unwrap();
        for (run, into) in [("r", "r-2"), ("ended", "ended-2")] {
            let copy = copy_of(&store, run).await;
            let imported = store.import(copy.clone(), Some(into)).await.unwrap();
            assert!(imported.incarnation > copy.run.incarnation);
            let imported = copy_of(&store, into).await;
            assert_eq!((imported.findings(), imported.steps.len()), (Vec::new(), 2));
        }
        let (again, forked) = (work(&store, "r", 3, true).await.unwrap(), work(&store, "r-2", 3, true).await.unwrap());
        let keys = |all: &str| all.split(' ').map(String::from).collect::<Vec<_>>();
        assert_eq!(keys(&again)[..2], keys(&forked)[..2], "recorded");
        assert_ne!(keys(&again)[2], keys(&forked)[2], "made");
        assert_eq!(work(&store, "ended-2", 2, true).await.unwrap(), work(&store, "ended", 2, true).await.unwrap());
    }
}

#[tokio::test]
async fn an_import_writes_over_nothing_and_takes_nothing_damaged() {
    for world in World::all() {
        let store = world.store();
        work(&store, "r", 2, false).await.unwrap_err();
        let copy = copy_of(&store, "r").await;
        assert_eq!(store.import(copy.clone(), None).await, Err(StoreError::RunExists { run: "r".into() }));
        assert!(matches!(store.import(copy.clone(), Some("")).await, Err(StoreError::BadName { .. })));

        let mut missing = copy.clone();
        missing.steps.remove(0);
        let mut swapped = copy.clone();
        swapped.steps[0].value = copy.steps[1].value.clone();
        let mut huge = copy.clone();
        huge.run.token = u64::MAX;
        for bad in [missing, swapped, huge] {
            assert!(matches!(store.import(bad, Some("new")).await, Err(StoreError::NotImported { .. })));
        }
        assert_eq!(store.runs(Filter::default()).await.unwrap().len(), 1);
        assert_eq!(copy_of(&store, "r").await, copy);
        let next = store.backend().claim(Claim::new("next", "work")).await.unwrap();
        assert!(matches!(next, Claimed::Granted(granted) if granted.token == copy.run.token + 1));
    }
}

#[tokio::test]
async fn whoever_lives_holds_its_runs_and_whoever_has_died_does_not() {
    for world in World::all() {
        let (living, dead, looking) = (world.owner(), world.owner(), world.store());
        let claim = |store: &dyn Backend, run: &str| store.claim(Claim::new(run, "work")).wait().unwrap();
        let Claimed::Granted(_) = claim(&*living, "living") else { panic!() };
        let Claimed::Granted(_) = claim(&*dead, "dead") else { panic!() };
        let Claimed::Granted(granted) = claim(&*living, "released") else { panic!() };
        living.release(Lease::new("released", granted.token), 1, Left::Failed).wait().unwrap();
        drop(dead);
        let all = ["living", "dead", "released", "nobody"].map(String::from).to_vec();
        let held = looking.holders(all).await.unwrap();
        assert_eq!(
            held.iter().map(|held| (&*held.run, &*held.owner)).collect::<Vec<_>>(),
            [("living", living.owner())]
        );
        if !matches!(world.kind, Kind::Memory(_)) {
            let process = format!("process {} (", std::process::id());
            assert!(held[0].process.as_ref().unwrap().starts_with(&process), "{held:?}");
        }
    }
}

#[tokio::test]
async fn a_store_that_is_looked_at_answers_what_is_there_and_refuses_every_change() {
    for world in World::all() {
        let store = world.store();
        work(&store, "r", 2, true).await.unwrap();
        let Some(looking) = world.looking() else { continue };
        assert_eq!(looking.runs(Filter::default()).await, store.runs(Filter::default()).await);
        assert_eq!(looking.export("r").await, store.export("r").await);
        assert_eq!(looking.output("r").await, store.output("r").await);
        assert_eq!(looking.verify().await.unwrap(), []);
        work(&store, "later", 1, false).await.unwrap_err();
        assert_eq!(looking.saved("later").await.unwrap().len(), 2, "it sees what is written meanwhile");

        let refused = || StoreError::ReadOnly { store: looking.url().into() };
        assert_eq!(looking.cancel("later").await, Err(refused()));
        assert_eq!(looking.resume("later").await, Err(refused()));
        assert_eq!(looking.delete("later").await, Err(refused()));
        assert_eq!(looking.gc(Gc::new()).await, Err(refused()));
        assert_eq!(looking.fork("r", "step:1", "f").await.unwrap_err(), refused());
        assert_eq!(looking.import(store.export("r").await.unwrap().unwrap(), Some("i")).await.unwrap_err(), refused());
        assert_eq!(looking.backend().claim(Claim::new("r", "work")).await, Err(refused()));
    }
}

#[test]
fn a_store_that_is_not_there_or_is_an_earlier_ones_is_refused_and_stays_as_it_is() {
    let world = World::sqlite();
    let nowhere = world.scratch.join("nowhere/ft.db");
    let empty = world.scratch.join("empty.db");
    fs::write(&empty, b"").unwrap();
    for path in [&nowhere, &empty] {
        assert!(matches!(ReadOnly::open(path), Err(StoreError::NoStore { .. })));
        assert!(matches!(Sqlite::open_existing(path), Err(StoreError::NoStore { .. })));
    }
    assert!(!nowhere.parent().unwrap().exists());
    assert_eq!(fs::read(&empty).unwrap(), b"");

    let original = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus/store-v1.db");
    fs::copy(&original, world.path()).unwrap();
    assert!(matches!(ReadOnly::open(&world.path()), Err(StoreError::OlderSchema { found: 1, .. })));
    assert!(matches!(Sqlite::open_existing(&world.path()), Err(StoreError::OlderSchema { found: 1, .. })));
    assert_eq!(fs::read(world.path()).unwrap(), fs::read(original).unwrap());
}

#[tokio::test]
async fn what_is_wrong_below_the_runs_is_found_with_its_run() {
    let world = World::sqlite();
    let store = world.store();
    for run in ["a", "b", "c", "d"] {
        work(&store, run, 2, false).await.unwrap_err();
    }
    assert_eq!(store.verify().await.unwrap(), []);
    drop(store);
    world.tamper("UPDATE ft_run SET status = 'odd' WHERE run = 'a'");
    world.tamper("DELETE FROM ft_run WHERE run = 'b'");
    world.tamper("UPDATE ft_run SET token = 900 WHERE run = 'c'");
    world.tamper("UPDATE ft_meta SET value = value - 1 WHERE name = 'commits'");
    let mut found = ReadOnly::open(&world.path()).unwrap().verify().wait().unwrap();
    found.sort();
    let found: Vec<(Option<&str>, &str)> =
        found.iter().map(|Finding { run, what, .. }| (run.as_deref(), &**what)).collect();
    assert!(found[0].0.is_none() && found[0].1.contains("commits"), "{found:?}");
    assert_eq!(found[1], (Some("a"), "the row of run `a`: unknown status `odd`"));
    assert_eq!(
        found[2..4],
        [(Some("b"), "it has saved states, and no row of its own"), (Some("b"), "it has steps, and no row of its own")]
    );
    assert!(found[4].0 == Some("c") && found[4].1.contains("token"));
    assert_eq!(found.len(), 5);
}

#[tokio::test]
async fn what_is_wrong_with_a_run_is_found_with_its_step_state_or_output() {
    let world = World::sqlite();
    let store = world.store();
    work(&store, "r", 4, false).await.unwrap_err();
    work(&store, "ended", 1, true).await.unwrap();
    world.tamper("UPDATE ft_step SET value = value || x'00' WHERE run = 'r' AND seq = 2");
    world.tamper("DELETE FROM ft_step WHERE run = 'r' AND seq = 3");
    world.tamper("UPDATE ft_state SET name = 'other' WHERE run = 'r' AND generation = 1");
    world.tamper("UPDATE ft_run SET output = x'00' WHERE run = 'ended'");
    let mut said = Vec::new();
    for run in ["r", "ended"] {
        said.extend(copy_of(&store, run).await.findings().iter().map(|finding| format!("{run}: {finding}")));
    }
    let expected = [
        "r: step `step(3)`: it is number 4 of the run where 3 was expected",
        "r: it has recorded 4 steps, and 3 are there",
        "r: step `step(1)`: it is damaged: its length is not the one recorded",
        "r: state `other` version 1: it is damaged: its checksum is not that of these bytes in this place",
        "ended: output: it is damaged: it is shorter than a header",
    ];
    assert_eq!(said, expected);
}

#[tokio::test]
async fn a_collection_of_one_status_leaves_the_others_whatever_their_age() {
    for world in World::all() {
        let store = world.store();
        work(&store, "ended", 1, true).await.unwrap();
        work(&store, "stopped", 1, false).await.unwrap_err();
        let year = 366 * 24 * 60 * 60 * 1000;
        let gc = Gc { at: crate::checkpoint::record::unix_now() + year, ..Gc::new() };
        let going = |gc: Gc| async { store.gc(gc.dry_run(true)).await.unwrap().runs.len() };
        assert_eq!(going(gc.clone()).await, 2, "both are past their time");
        assert_eq!(store.gc(gc.only(RunStatus::Finished)).await.unwrap().runs[0].run, "ended");
        assert_eq!(store.runs(Filter::default()).await.unwrap()[0].run, "stopped");
    }
}

#[cfg(feature = "encryption")]
#[tokio::test]
async fn an_encrypted_run_keeps_its_seal_under_its_id_and_needs_its_key_for_another_one() {
    use crate::checkpoint::Keys;

    for (here, there) in World::all().into_iter().zip(World::all()) {
        let keys = || Keys::new(7, [7; 32]);
        let (here, bare, there) = (here.store().encrypt(keys()), there.store(), there.store().encrypt(keys()));
        work(&here, "r", 2, false).await.unwrap_err();
        let copy = copy_of(&here, "r").await;
        assert_eq!(copy.findings(), [], "whole is told without a key");
        let refused = bare.import(copy.clone(), Some("other")).await;
        assert!(matches!(refused, Err(StoreError::NotImported { reason, .. }) if reason.contains("key 7")));
        bare.import(copy.clone(), None).await.unwrap();
        there.import(copy.clone(), Some("other")).await.unwrap();
        let keys = |all: String| all.split(' ').map(String::from).collect::<Vec<_>>();
        let ended = keys(work(&here, "r", 2, true).await.unwrap());
        assert_eq!(keys(work(&there, "r", 2, true).await.unwrap()), ended);
        assert_eq!(keys(work(&there, "other", 2, true).await.unwrap()), ended);
    }
}
