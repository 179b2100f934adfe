//! Looking: what stands in the tables and in the JSON, and what looking leaves alone.

use std::collections::BTreeMap;
use std::fs;

use serde_json::json;

use crate::stage::{Kind, Stage};

on_every_store! {
    runs_are_listed_with_where_they_really_stand,
    a_run_in_json_has_a_shape_that_stays,
    steps_and_states_are_shown_with_their_values_and_damage_is_told,
    what_is_to_be_done_says_who_lets_the_run_go_on,
}

fn runs_are_listed_with_where_they_really_stand(on: Kind) {
    let stage = Stage::of_the_night(on);
    let serving = stage.start("serves");
    let expected = "\
RUN STATUS FUNCTION STEPS TRIES TOUCHED WHY
order-17 parked place_order 1 3 SPAN ago its process died 3 times in a row before the next step was recorded
order-40 finished place_order 2 1 SPAN ago it has its result
order-41 running place_order 2 1 SPAN ago process PID executes it
order-42 abandoned place_order 2 1 SPAN ago the process that executed it is gone
order-43 waiting place_order 2 1 SPAN ago it stopped before its end, and nobody has called it again
reindex running reindex 0 1 SPAN ago process PID executes it
";
    let listed = stage.ft(&["ls"]).done();
    assert_eq!(listed.text(), expected);
    assert!(listed.out.contains(&format!("process {} (", serving.id())), "{}", listed.out);

    let ids = |arguments: &[&str]| {
        let listed = stage.ft(&[&["ls", "--json"], arguments].concat()).json();
        let runs = listed["runs"].as_array().unwrap().clone();
        runs.iter().map(|run| run["run"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&["--stuck"]), ["order-17", "order-42", "order-43"]);
    assert_eq!(ids(&["--status", "running"]), ["order-41", "reindex"]);
    assert_eq!(ids(&["--status", "abandoned"]), ["order-42"]);
    assert_eq!(ids(&["--prefix", "order-4", "--after", "order-41"]), ["order-42", "order-43"]);
    assert_eq!(ids(&["--prefix", "order-%"]), Vec::<String>::new());
    let page = stage.ft(&["ls", "--stuck", "--limit", "1"]);
    assert_eq!((page.code, &*page.err), (0, "ft: there are more: --after order-17\n"));
    drop(serving);
    stage.ends_leases();
    assert_eq!(ids(&["--status", "running"]), Vec::<String>::new(), "it is gone");
}

fn a_run_in_json_has_a_shape_that_stays(on: Kind) {
    let stage = Stage::of_the_night(on);
    let _serving = stage.start("serves");
    let run = stage.ft(&["show", "order-41", "--json"]).done().json();
    let expected = json!({
        "run": "order-41", "standing": "running", "why": "process PID executes it", "status": "running",
        "function": "place_order", "version": 0, "steps": 2, "attempts": 1, "recoveries": 0,
        "owner": {"id": "OWNER", "lives": true, "process": "process PID"},
        "token": 8, "incarnation": 8, "output_size": null,
        "created_at": "TIME", "updated_at": "TIME", "finished_at": null, "expires_at": null,
        "to_do": "nothing; `ft cancel order-41` would end it at its next step", "sleeps_until": null,
        "last_step": {"seq": 2, "step": "charge(41)", "recorded_at": "TIME"}, "states": [], "output": null
    });
    assert_eq!(run, expected);
    let ended = stage.ft(&["show", "order-40", "--json"]).done().json();
    let value = json!({"cents": 4000, "receipt": "r-40", "rate": {"$float": "Infinity"}});
    assert_eq!(ended["output"], json!({"size": 65, "schema": 0, "outcome": "ok", "value": value, "problem": null}));
    let state = stage.ft(&["show", "reindex", "--json"]).done().json();
    assert_eq!(state["states"], json!([{"name": "cursor", "generation": 2, "size": 29, "saved_at": "TIME"}]));
}

fn steps_and_states_are_shown_with_their_values_and_damage_is_told(on: Kind) {
    let stage = Stage::of_the_night(on);
    let _serving = stage.start("serves");
    let expected = "\
SEQ STEP RECORDED SIZE VALUE
1 reserve#1 SPAN ago 31 B 4200
2 charge(42) SPAN ago 65 B {\"cents\":4200,\"receipt\":\"r-42\",\"rate\":{\"$float\":\"Infinity\"}}
";
    assert_eq!(stage.ft(&["steps", "order-42", "--full"]).done().text(), expected);
    let steps = stage.ft(&["steps", "order-42", "reserve#1", "--json"]).done().json();
    let reserve = json!({
        "seq": 1, "step": "reserve#1", "recorded_at": "TIME", "arguments": "00000000000000000000000000000000",
        "schema": 0, "version": 0, "token": 2, "size": 31, "outcome": "ok", "value": 4200, "problem": null
    });
    assert_eq!(steps, json!({"run": "order-42", "steps": [reserve]}));

    let states = "STATE VERSION SAVED STEPS SIZE VALUE\ncursor 2 SPAN ago 0 29 B 7\ncursor 1 SPAN ago 0 29 B 3\n";
    assert_eq!(stage.ft(&["state", "reindex"]).done().text(), states);
    let states = stage.ft(&["state", "reindex", "cursor", "--json"]).done().json();
    let newest = json!({
        "name": "cursor", "generation": 2, "type_name": "u32", "saved_at": "TIME", "steps": 0, "schema": 0,
        "version": 0, "token": 7, "size": 29, "outcome": "ok", "value": 7, "problem": null
    });
    assert_eq!(states["states"][0], newest);

    stage.tamper("UPDATE ft_step SET value = substr(value, 1, 30) WHERE run = 'order-42' AND seq = 1");
    let damaged = stage.ft(&["steps", "order-42"]).done().text();
    assert!(damaged.contains("1 reserve#1 SPAN ago 30 B damaged: its length is not the one recorded"), "{damaged}");
    let damaged = stage.ft(&["steps", "order-42", "--json"]).done().json();
    assert_eq!(damaged["steps"][0]["problem"], "damaged: its length is not the one recorded");
    assert_eq!(damaged["steps"][0]["value"], json!(null));
}

fn what_is_to_be_done_says_who_lets_the_run_go_on(on: Kind) {
    let stage = Stage::empty(on);
    for part in ["waits", "recovers", "requests"] {
        stage.start(part).kill();
    }
    stage.ends_leases();
    stage.play("refuses");
    let to_do = |run: &str| {
        let shown = stage.ft(&["show", run, "--json"]).done().json();
        let text = |name: &str| shown[name].as_str().unwrap().to_owned();
        (text("standing"), text("to_do"))
    };
    let said = |standing: &str, to_do: &str| (standing.to_owned(), to_do.to_owned());
    let call = "call `place_order` for it again (it was started without `recover`): that goes on behind step 2";
    assert_eq!(to_do("order-42"), said("abandoned", call));
    let start = "start the program again: the next call of `reindex` for this run starts it from its beginning";
    assert_eq!(to_do("recovers"), said("abandoned", start));
    let send = "an HTTP request: it goes on when its client sends it again with its key";
    assert_eq!(to_do("http-requests"), said("abandoned", send));
    assert_eq!(to_do("http-refuses"), said("waiting", send));
}

#[test]
fn what_is_not_there_is_said_with_what_to_do_and_nothing_is_made() {
    let stage = Stage::of_the_night(Kind::Sqlite);
    stage.ft(&["show", "order-4"]).refused(1, "there is no run `order-4` in sqlite:");
    stage.ft(&["resume", "order-3"]).refused(1, "; look for it with: ft ls --prefix order-\n");
    stage.ft(&["steps", "nobody"]).refused(1, "ft ls --prefix nob");
    stage.ft(&["steps", "order-42", "nothing"]).refused(1, "has not recorded a step `nothing`; see: ft steps order-42");
    stage.ft(&["state", "order-42", "nothing"]).refused(1, "has not saved a state `nothing`");
    stage.ft(&["cancel", "nobody"]).refused(1, "there is no run `nobody`");
    let nowhere = Stage::empty(Kind::Sqlite);
    for arguments in [&["ls"][..], &["show", "x"], &["cancel", "x"], &["gc", "--yes"], &["verify"]] {
        nowhere.ft(arguments).refused(3, "there is no store at `sqlite:");
    }
    let deep = format!("sqlite:{}", nowhere.file("a/b/ft.db").display());
    nowhere.ft(&["--store", &deep, "ls"]).refused(3, "none was made");
    nowhere.ft(&["ls"]).refused(3, "look for the place it uses (FT_STORE, or `.ft/ft.db` in its working directory)");
    assert_eq!(fs::read_dir(nowhere.file("")).unwrap().count(), 0);

    nowhere.ft(&["--store", "ft.db", "ls"]).refused(2, "names no known kind of store; use `sqlite:PATH`");
    assert_eq!(nowhere.ft(&["ls", "--status", "odd"]).code, 2);
    assert_eq!(nowhere.ft(&["gc", "--older-than", "30"]).code, 2);
    fs::write(nowhere.file("text"), "no database, by its length of more than a hundred bytes at that".repeat(20))
        .unwrap();
    let text = format!("sqlite:{}", nowhere.file("text").display());
    nowhere.ft(&["--store", &text, "ls"]).refused(3, "is not an SQLite database");
}

#[test]
fn looking_leaves_every_file_of_the_store_as_it_was() {
    let stage = Stage::of_the_night(Kind::Sqlite);
    stage.start("waits").kill();
    // The log of a process that was killed is there, and not folded in.
    let files = || -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(stage.file("")).unwrap().map(Result::unwrap);
        let entries = entries.filter(|entry| entry.path().is_file() && !entry.path().ends_with("ft.db-shm"));
        entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
    };
    let before = files();
    assert!(before.contains_key("ft.db-wal"), "{:?}", before.keys());
    let owners = fs::read_dir(stage.file("ft.db.owners")).unwrap().count();
    for arguments in [
        &["ls"][..],
        &["show", "order-42"],
        &["steps", "order-42"],
        &["state", "order-42"],
        &["verify"],
        &["export", "--all", "--output", "-"],
        &["delete", "order-40"],
    ] {
        stage.ft(arguments).done();
        assert!(files() == before, "`ft {}` changed something", arguments.join(" "));
    }
    assert_eq!(fs::read_dir(stage.file("ft.db.owners")).unwrap().count(), owners);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let stage = Stage::of_the_night(Kind::Sqlite);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ft"));
    let (gone, out) = std::io::pipe().unwrap();
    drop(gone);
    let ended = command.args(["--store", &stage.url(), "ls"]).stdout(out).output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr), (Some(0), Vec::new()));
}
