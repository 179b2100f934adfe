//! `ft gc`: first what would go, then what went, and never what is executed.

use serde_json::Value;

use crate::command::Ft;
use crate::stage::{Kind, Stage};

on_every_store! {
    nothing_goes_before_yes_is_said_and_then_what_was_named,
    status_prefix_age_and_number_choose_and_what_lives_stays,
    what_is_past_its_time_goes_by_itself_and_only_of_the_status_that_is_named,
}

fn gone(answer: &Ft) -> Vec<String> {
    let answer = answer.json();
    let runs = answer["runs"].as_array().expect("runs").clone();
    runs.iter().map(|run: &Value| run["run"].as_str().expect("an id").to_owned()).collect()
}

fn nothing_goes_before_yes_is_said_and_then_what_was_named(on: Kind) {
    let stage = Stage::of_the_night(on);
    assert_eq!(stage.ft(&["gc"]).done().text(), "nothing to delete\n");
    let said = stage.ft(&["gc", "--older-than", "0s"]).done().text();
    let expected = "\
RUN STATUS FUNCTION STEPS OUTPUT TOUCHED
order-40 finished place_order 2 65 B SPAN ago
would delete 1 run; do it with the same command and --yes
";
    assert_eq!(said, expected, "what is not finished goes only by its name");
    stage.ft(&["show", "order-40"]).done();
    let said = stage.ft(&["gc", "--older-than", "0s", "--yes"]).done().text();
    assert!(said.ends_with("deleted 1 run\n"), "{said}");
    stage.ft(&["show", "order-40"]).refused(1, "there is no run");
    assert_eq!(stage.ft(&["gc", "--older-than", "0s", "--yes"]).done().text(), "nothing to delete\n");
}

fn status_prefix_age_and_number_choose_and_what_lives_stays(on: Kind) {
    let stage = Stage::of_the_night(on);
    let _serving = stage.start("serves");
    let would = |arguments: &[&str]| gone(&stage.ft(&[&["gc", "--json"], arguments].concat()).done());
    assert_eq!(would(&["--older-than", "1h"]), Vec::<String>::new());
    assert_eq!(would(&["--older-than", "0s", "--status", "parked"]), ["order-17"]);
    assert_eq!(would(&["--older-than", "0s", "--status", "running"]), ["order-42", "order-43"]);
    assert_eq!(would(&["--at-most", "1", "--status", "running", "--status", "finished"]), ["order-42", "order-43"]);
    assert_eq!(would(&["--older-than", "0s", "--status", "running", "--prefix", "order-43"]), ["order-43"]);
}

fn what_is_past_its_time_goes_by_itself_and_only_of_the_status_that_is_named(on: Kind) {
    let stage = Stage::of_the_night(on);
    stage.tamper("UPDATE ft_run SET expires_at = 1 WHERE run = 'order-40'");
    stage.tamper("UPDATE ft_run SET updated_at = 1 WHERE run = 'order-42'");
    let would = |arguments: &[&str]| gone(&stage.ft(&[&["gc", "--json"], arguments].concat()).done());
    assert_eq!(would(&[]), ["order-42", "order-40"]);
    assert_eq!(would(&["--status", "finished"]), ["order-40"]);
}
