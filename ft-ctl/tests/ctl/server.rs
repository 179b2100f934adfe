//! What only a store on a server brings.

use crate::stage::{Kind, Stage};

#[test]
fn what_is_not_there_is_said_and_not_made() {
    let Some(on) = Kind::postgres("what_is_not_there_is_said_and_not_made") else { return };
    let nowhere = Stage::empty(on);
    for arguments in [&["ls"][..], &["show", "x"], &["cancel", "x"], &["gc", "--yes"], &["verify"]] {
        nowhere.ft(arguments).refused(3, "there is no store at `postgres://");
    }
    let said = nowhere.ft(&["ls"]).err;
    assert!(said.ends_with("look for the place it uses (FT_STORE)\n"), "{said}");
    // Another schema of the same server is another store.
    let there = Stage::empty(on);
    there.play("done");
    nowhere.ft(&["ls"]).refused(3, "none was made");
    there.ft(&["show", "order-4"]).refused(1, "there is no run `order-4` in postgres://");
}

#[test]
fn a_server_that_cannot_be_reached_and_a_url_that_makes_no_sense_are_said_without_the_password() {
    let stage = Stage::empty(Kind::Sqlite);
    let word = ft_test_postgres::PASSWORD;
    let ls = |url: &str| stage.ft(&["--store", &format!("postgres://me:{word}@127.0.0.1:1/{url}"), "ls"]);
    ls("db").refused(3, "postgres://me@127.0.0.1:1/db");
    ls("db?ft_lease=soon").refused(2, "write `30s`");
    ls("db?sslmode=perhaps").refused(2, "verify-full");
}

#[test]
fn looking_leaves_the_store_as_it_was_and_enters_no_owner() {
    let Some(on) = Kind::postgres("looking_leaves_the_store_as_it_was_and_enters_no_owner") else { return };
    let stage = Stage::of_the_night(on);
    let _serving = stage.start("serves");
    let before = stage.dump();
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
        assert_eq!(stage.dump(), before, "`ft {}` changed something", arguments.join(" "));
    }
}

#[test]
fn a_command_that_changes_something_leaves_no_owner_behind() {
    let Some(on) = Kind::postgres("a_command_that_changes_something_leaves_no_owner_behind") else { return };
    let stage = Stage::empty(on);
    stage.play("fails");
    let owners = stage.owners();
    stage.ft(&["cancel", "order-43"]).done();
    assert_eq!(stage.owners(), owners);
}
