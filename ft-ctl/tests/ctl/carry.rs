//! `ft export` and `ft import`: from one store to another, whole or not at all.

use std::fs;

use serde_json::json;

use crate::stage::{Kind, Stage};

on_every_store! {
    one_run_is_imported_under_another_id_and_goes_on_beside_the_first,
    a_damaged_run_is_exported_with_a_warning_and_never_imported,
}

#[test]
fn runs_go_to_another_store_with_all_that_is_recorded_of_them() {
    let test = "runs_go_to_another_store_with_all_that_is_recorded_of_them";
    let kinds: Vec<Kind> = [Kind::Sqlite].into_iter().chain(Kind::postgres(test)).collect();
    for here in &kinds {
        kinds.iter().for_each(|there| runs_go(*here, *there));
    }
}

fn runs_go(here: Kind, there: Kind) {
    let here = Stage::of_the_night(here);
    let _serving = here.start("serves");
    let there = Stage::empty(there);
    there.play("fails");
    let file = there.file("night.ft");
    let file = file.to_str().unwrap();
    let said = here.ft(&["export", "--all", "--output", file]).done().text();
    assert!(said.starts_with("wrote 6 runs with 9 steps to "), "{said}");
    here.ft(&["export", "order-42", "-o", file]).refused(5, "is there already and was left as it is");

    let said = there.ft(&["import", file]).refused(5, "run `order-43` is there already");
    assert!(said.err.ends_with("ft: 1 run of 6 not imported\n"), "{}", said.err);
    for run in ["order-40", "order-42", "reindex"] {
        for command in ["steps", "state"] {
            let values = |stage: &Stage| {
                let mut all = stage.ft(&[command, run, "--json"]).done().json();
                for list in ["steps", "states"] {
                    let recorded = all[list].as_array_mut().map(std::mem::take).unwrap_or_default();
                    all[list] = recorded.into_iter().map(|one| one["value"].clone()).collect();
                }
                all
            };
            assert_eq!(values(&there), values(&here), "{command} {run}");
        }
    }
    let shown = there.ft(&["show", "order-41", "--json"]).done().json();
    assert_eq!((&shown["standing"], &shown["owner"]), (&json!("interrupted"), &json!(null)));
    there.ft(&["verify"]).done();
}

fn one_run_is_imported_under_another_id_and_goes_on_beside_the_first(on: Kind) {
    let stage = Stage::of_the_night(on);
    let file = stage.file("orders.ft");
    let file = file.to_str().unwrap();
    stage.ft(&["export", "order-42", "order-43", "-o", file]).done();
    stage.ft(&["import", file, "--as", "copy"]).refused(2, "--as names one run, and 2 runs of ");
    stage.ft(&["import", file, "order-44"]).refused(1, "does not hold all of the runs `order-44`");
    let said = stage.ft(&["import", file, "order-42", "--as", "copy", "--json"]).done().json();
    let imported = json!([{"run": "order-42", "into": "copy", "steps": 2}]);
    assert_eq!(said, json!({"imported": imported, "refused": []}));
    stage.ft(&["verify", "copy"]).done();
    assert_eq!(stage.ft(&["ls", "--json"]).json()["runs"].as_array().unwrap().len(), 5);
}

#[test]
fn a_file_that_is_not_whole_imports_nothing() {
    let stage = Stage::of_the_night(Kind::Sqlite);
    let file = stage.file("night.ft");
    stage.ft(&["export", "--all", "-o", file.to_str().unwrap()]).done();
    let bytes = fs::read(&file).unwrap();
    let there = Stage::empty(Kind::Sqlite);
    there.play("done");
    let import = |bytes: &[u8]| {
        let file = there.file("file");
        fs::write(&file, bytes).unwrap();
        there.ft(&["import", file.to_str().unwrap()])
    };
    let mut flipped = bytes.clone();
    let last = flipped.len() - 40;
    flipped[last] ^= 1;
    import(&flipped).refused(4, "is damaged: the checksum of record");
    import(&bytes[..bytes.len() - 1]).refused(4, "is damaged: it ends too early");
    import(b"text").refused(4, "is no file that `ft export` has written");
    there.ft(&["import", "nowhere"]).refused(3, "cannot read nowhere");
    assert_eq!(there.ft(&["ls", "--json"]).json()["runs"].as_array().unwrap().len(), 1);
}

fn a_damaged_run_is_exported_with_a_warning_and_never_imported(on: Kind) {
    let stage = Stage::of_the_night(on);
    stage.tamper("UPDATE ft_step SET value = x'00' WHERE run = 'order-42' AND seq = 2");
    let file = stage.file("damaged.ft");
    let file = file.to_str().unwrap();
    stage.ft(&["export", "order-42", "-o", file]).refused(4, "run `order-42`: step `charge(42)`: it is damaged");
    stage.ft(&["import", file, "--as", "new"]).refused(5, "run `order-42` was not imported");
    stage.ft(&["show", "new"]).refused(1, "there is no run");
}

#[test]
fn an_export_that_fails_leaves_no_file() {
    let stage = Stage::of_the_night(Kind::Sqlite);
    let file = stage.file("none.ft");
    stage.ft(&["export", "nobody", "-o", file.to_str().unwrap()]).refused(1, "there is no run `nobody`");
    assert!(!file.exists());
    assert_eq!(stage.ft(&["export", "-o", "x"]).code, 2);
}

#[test]
fn large_values_go_into_the_file_and_into_files_of_the_other_store() {
    let (here, there) = (Stage::empty(Kind::Sqlite), Stage::empty(Kind::Sqlite));
    here.play("large");
    there.play("done");
    let file = here.file("large.ft");
    let file = file.to_str().unwrap();
    here.ft(&["export", "large", "-o", file]).done();
    let files = || fs::read_dir(there.file("ft.db.values")).map_or(0, Iterator::count);
    there.ft(&["import", file]).done();
    assert_eq!(files(), 2, "the step's and the output's");
    there.ft(&["import", file, "--as", "other"]).done();
    assert_eq!(files(), 4);
    there.ft(&["verify"]).done();
    let value = |stage: &Stage, run: &str| stage.ft(&["steps", run, "--json"]).json()["steps"][0]["value"].clone();
    assert_eq!(value(&there, "other"), value(&here, "large"));
    there.ft(&["delete", "large", "--yes"]).done();
    assert_eq!(files(), 2);
}
