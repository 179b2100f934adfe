//! Operating: cancel, resume, fork, delete, beside the process that executes.

use serde_json::json;

use crate::stage::{Kind, Stage};

on_every_store! {
    a_run_that_a_living_process_executes_is_cancelled_and_the_process_learns_of_it,
    nothing_that_is_operated_on_keeps_the_process_from_its_work,
    a_parked_run_is_resumed_and_goes_on_and_no_other_is,
    a_fork_starts_with_the_steps_before_and_waits_for_its_call,
    a_run_is_deleted_when_that_is_said_twice,
}

fn a_run_that_a_living_process_executes_is_cancelled_and_the_process_learns_of_it(on: Kind) {
    let stage = Stage::empty(on);
    let serving = stage.start("serves");
    let said = stage.ft(&["cancel", "order-41"]).done().text();
    assert_eq!(said, "order-41 is cancelled; process PID learns of it at its next step, save or end\n");
    stage.ft(&["cancel", "order-41"]).refused(5, "has ended already: it is cancelled");
    let shown = stage.ft(&["show", "order-41", "--json"]).done().json();
    assert_eq!((&shown["standing"], &shown["owner"]), (&json!("cancelled"), &json!(null)));
    let ended = serving.go_on();
    assert!(ended.contains("run `order-41` was cancelled"), "{ended}");
}

fn nothing_that_is_operated_on_keeps_the_process_from_its_work(on: Kind) {
    let stage = Stage::of_the_night(on);
    let serving = stage.start("serves");
    for arguments in [
        &["ls"][..],
        &["verify"],
        &["resume", "order-17"],
        &["cancel", "order-42"],
        &["fork", "order-40", "--from", "charge(40)", "--as", "order-40-again"],
        &["gc", "--older-than", "0s", "--yes"],
    ] {
        stage.ft(arguments).done();
    }
    stage.ft(&["delete", "order-41", "--yes"]).refused(5, "run `order-41` is being executed by");
    assert!(serving.go_on().contains("ended"));
    assert_eq!(stage.ft(&["show", "order-41", "--json"]).done().json()["standing"], "finished");
}

fn a_parked_run_is_resumed_and_goes_on_and_no_other_is(on: Kind) {
    let stage = Stage::of_the_night(on);
    let said = stage.ft(&["resume", "order-17"]).done().text();
    assert!(
        said.starts_with("order-17 is not parked any more; it goes on at the next call of `place_order`"),
        "{said}"
    );
    assert_eq!(stage.ft(&["show", "order-17", "--json"]).json()["standing"], "interrupted");
    stage.ft(&["resume", "order-17"]).refused(5, "is not parked");
    stage.ft(&["resume", "order-42"]).refused(5, "it is abandoned (the process that executed it is gone)");
    let said = stage.ft(&["cancel", "order-42", "--json"]).done().json();
    assert_eq!(said, json!({"run": "order-42", "was": "abandoned", "cancelled": true}));
}

#[test]
fn a_parked_request_that_is_resumed_waits_for_its_client() {
    let stage = Stage::of_the_night(Kind::Sqlite);
    stage.tamper("UPDATE ft_run SET function = 'http' WHERE run = 'order-17'");
    let said = stage.ft(&["resume", "order-17"]).done().text();
    assert_eq!(said, "order-17 is not parked any more; it goes on when its client sends it again with its key\n");
}

fn a_fork_starts_with_the_steps_before_and_waits_for_its_call(on: Kind) {
    let stage = Stage::of_the_night(on);
    let said = stage.ft(&["fork", "order-43", "--from", "charge(43)", "--as", "order-43-again"]).done().text();
    assert_eq!(
        said,
        "order-43-again starts with 1 step of order-43; the next call of `place_order` for it executes the rest, from \
         charge(43)\n"
    );
    let forked = stage.ft(&["show", "order-43-again", "--json"]).done().json();
    assert_eq!((&forked["steps"], &forked["why"]), (&json!(1), &json!("nobody has called it yet")));
    let fork = |from: &str, into: &str| stage.ft(&["fork", "order-43", "--from", from, "--as", into]);
    fork("charge(43)", "order-43-again").refused(5, "is there already");
    fork("ship", "new").refused(1, "has not recorded a step `ship`");
    fork("charge(43)", "").refused(2, "it is empty");
    stage.ft(&["verify"]).done();
}

fn a_run_is_deleted_when_that_is_said_twice(on: Kind) {
    let stage = Stage::of_the_night(on);
    let said = stage.ft(&["delete", "order-40"]).done().text();
    assert_eq!(said, "would delete order-40 (finished, with 2 steps); do it with: ft delete order-40 --yes\n");
    stage.ft(&["show", "order-40"]).done();
    let said = stage.ft(&["delete", "order-40", "--yes", "--json"]).done().json();
    assert_eq!(said, json!({"run": "order-40", "steps": 2, "deleted": true}));
    stage.ft(&["show", "order-40"]).refused(1, "there is no run `order-40`");
}
