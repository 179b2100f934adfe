//! `ft verify`: every defect with its run and its place, and an exit code.

use std::fs;

use serde_json::json;

use crate::stage::{Kind, Stage};

on_every_store! {
    a_sound_store_is_said_to_be_sound_while_it_is_used,
    every_defect_is_listed_with_its_run_and_its_place,
}

fn a_sound_store_is_said_to_be_sound_while_it_is_used(on: Kind) {
    let stage = Stage::of_the_night(on);
    let _serving = stage.start("serves");
    let said = stage.ft(&["verify"]).done().text();
    assert_eq!(said, "sound: 6 runs, 9 steps, 2 saved versions and 1 output in STORE\n");
    let said = stage.ft(&["verify", "order-40", "--json"]).done().json();
    let checked = json!({"runs": 1, "steps": 2, "states": 0, "outputs": 1});
    assert_eq!(said, json!({"sound": true, "checked": checked, "defects": []}));
}

fn every_defect_is_listed_with_its_run_and_its_place(on: Kind) {
    let stage = Stage::of_the_night(on);
    stage.tamper("UPDATE ft_run SET status = 'odd' WHERE run = 'order-17'");
    stage.tamper("UPDATE ft_run SET output = x'00' WHERE run = 'order-40'");
    stage.tamper("DELETE FROM ft_step WHERE run = 'order-42' AND seq = 1");
    stage.tamper("DELETE FROM ft_run WHERE run = 'order-43'");
    let said = stage.ft(&["verify"]);
    assert_eq!((said.code, &*said.err), (4, ""));
    let expected = "\
RUN WHERE DEFECT
order-17 the row of run `order-17`: unknown status `odd`
order-40 output it is damaged: it is shorter than a header
order-42 it has recorded 2 steps, and 1 are there
order-42 step `charge(42)` it is number 2 of the run where 1 was expected
order-43 it has steps, and no row of its own
5 defects; checked 2 runs, 3 steps, 0 saved versions and 1 output in STORE
";
    assert_eq!(said.text(), expected);
    let said = stage.ft(&["verify", "order-40", "--json"]);
    let defect = json!({"run": "order-40", "at": "output", "what": "it is damaged: it is shorter than a header"});
    assert_eq!((said.code, &said.json()["defects"]), (4, &json!([defect])));
    stage.ft(&["ls"]).refused(4, "the row of run `order-17`: unknown status `odd`");
}

#[test]
fn a_store_that_has_lost_commits_can_be_looked_at_and_is_found_out() {
    let stage = Stage::of_the_night(Kind::Sqlite);
    stage.tamper("UPDATE ft_meta SET value = value - 1 WHERE name = 'commits'");
    stage.ft(&["cancel", "order-42"]).refused(4, "commits: its log");
    assert_eq!(stage.ft(&["ls", "--stuck"]).code, 0);
    let said = stage.ft(&["verify", "--json"]);
    assert_eq!(said.code, 4);
    let defect = &said.json()["defects"][0];
    assert!(defect["run"].is_null() && defect["what"].as_str().unwrap().contains("commits: its log"), "{defect}");
}

#[test]
fn a_file_that_is_torn_is_damage() {
    let stage = Stage::of_the_night(Kind::Sqlite);
    stage.ft(&["gc", "--yes"]).done();
    let mut bytes = fs::read(stage.path()).unwrap();
    let (from, to) = (4096, bytes.len());
    bytes[from..to].fill(0x5a);
    fs::write(stage.path(), bytes).unwrap();
    assert_eq!(stage.ft(&["verify"]).code, 4);
}

#[test]
fn a_large_value_without_its_file_or_with_a_file_that_nobody_knows_is_found() {
    let stage = Stage::empty(Kind::Sqlite);
    stage.play("large");
    stage.tamper("DELETE FROM ft_value WHERE file = (SELECT max(file) FROM ft_value)");
    let said = stage.ft(&["verify"]);
    assert_eq!(said.code, 4);
    assert!(said.out.contains("a large value of it has a file that the store does not know"), "{}", said.out);
    fs::remove_dir_all(stage.file("ft.db.values")).unwrap();
    let said = stage.ft(&["verify", "large", "--json"]).json();
    let defects = said["defects"].as_array().unwrap();
    assert_eq!(defects.len(), 2, "the step's and the output's: {said}");
    assert!(defects.iter().all(|defect| defect["what"].as_str().unwrap().ends_with(" is missing")), "{said}");
}
