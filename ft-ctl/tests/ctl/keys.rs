//! A store whose values are encrypted: what is seen with its keys, with others, and without.

use crate::stage::{Kind, Stage};

on_every_store! {
    values_are_shown_with_the_keys_of_the_program_and_else_it_is_said_which_one_is_missing,
    damage_is_found_without_a_key_and_what_was_made_with_another_one_with_it,
    a_run_goes_to_another_store_sealed_and_gets_another_id_only_with_its_key,
}

fn key(id: u32, digit: char) -> String {
    format!("{id}:{}", digit.to_string().repeat(64))
}

fn values_are_shown_with_the_keys_of_the_program_and_else_it_is_said_which_one_is_missing(on: Kind) {
    let stage = Stage::empty(on);
    stage.play_with(&key(7, 'a'), "done");
    let with = |keys: &str| stage.ft_with(keys, &["steps", "order-40", "reserve#1"]).done().text();
    assert!(with(&key(7, 'a')).ends_with(" B 4000\n"));
    assert!(with(&format!("{},{}", key(8, 'b'), key(7, 'a'))).ends_with(" B 4000\n"), "an older key is enough");
    assert!(with("").contains("cannot be shown: it is encrypted with key 7; give it in FT_STORE_KEY"), "{}", with(""));
    assert!(with(&key(7, 'b')).contains("not with the key 7 in FT_STORE_KEY"));
    stage.ft_with("nonsense", &["ls"]).refused(2, "FT_STORE_KEY: ");
}

fn damage_is_found_without_a_key_and_what_was_made_with_another_one_with_it(on: Kind) {
    let stage = Stage::empty(on);
    stage.play_with(&key(7, 'a'), "done");
    stage.ft(&["verify"]).done();
    stage.ft_with(&key(7, 'a'), &["verify"]).done();
    let said = stage.ft_with(&key(7, 'b'), &["verify"]);
    assert_eq!(said.code, 4);
    assert!(said.out.contains("order-40  output") && said.out.contains("3 defects"), "{}", said.out);
    stage.tamper("UPDATE ft_step SET value = substr(value, 1, 60) WHERE seq = 1");
    let said = stage.ft(&["verify"]);
    assert!(said.code == 4 && said.out.contains("1 defect;"), "{}", said.out);
}

fn a_run_goes_to_another_store_sealed_and_gets_another_id_only_with_its_key(on: Kind) {
    let (here, there) = (Stage::empty(on), Stage::empty(on));
    here.play_with(&key(7, 'a'), "done");
    there.play_with(&key(7, 'a'), "fails");
    let file = here.file("order.ft");
    let file = file.to_str().unwrap();
    here.ft(&["export", "order-40", "-o", file]).done();
    there.ft(&["import", file]).done();
    there.ft(&["import", file, "--as", "copy"]).refused(5, "run `order-40` was not imported");
    there.ft_with(&key(7, 'a'), &["import", file, "--as", "copy"]).done();
    there.ft_with(&key(7, 'a'), &["verify"]).done();
    let said = there.ft_with(&key(7, 'a'), &["fork", "copy", "--from", "charge(40)", "--as", "fork"]).done();
    assert!(said.out.starts_with("fork starts with 1 step of copy"), "{}", said.out);
}
