//! The session in the README is what the command prints.

use std::fs;
use std::path::Path;

use crate::command::normal;
use crate::stage::{Kind, Stage};

#[test]
fn the_session_of_the_readme_is_what_happens() {
    let stage = Stage::of_the_night(Kind::Sqlite);
    let _serving = stage.start("serves");
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("a README");
    let mut executed = 0;
    for block in readme.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap_or_default();
        let (command, expected) = block.split_once('\n').expect("a command and what it prints");
        let words = command.strip_prefix("$ ft ").expect("an ft command").replace('\'', "");
        let answer = stage.ft(&words.split(' ').collect::<Vec<_>>());
        let printed = answer.text().replace("STORE", "sqlite:/var/lib/orders/ft.db");
        let expected: String = expected.lines().map(|line| normal(line) + "\n").collect();
        assert_eq!(printed, expected, "{command}\n{}{}", answer.out, answer.err);
        executed += 1;
    }
    assert!(executed >= 7, "the session is gone");
}
