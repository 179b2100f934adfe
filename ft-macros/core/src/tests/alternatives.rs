//! What `#[fallback]`, `#[hedge]` and `#[coalesce]` say about mistakes.

use super::mistakes::{refuses, says};

#[test]
fn a_fallback_needs_one_answer() {
    says(
        "fallback",
        "",
        &[
            "`#[fallback]` needs another answer: `#[fallback(to = function)]`, `#[fallback(with = |error| ..)]` or `#[fallback(value = ..)]`",
        ],
    );
    says(
        "fallback",
        "to = g, value = 7",
        &["one fallback has one answer, which is `to`; stack a second `#[fallback]` for a second one"],
    );
    says(
        "fallback",
        "to = [g]",
        &["`to` is the path of a function that takes the same arguments; for anything else write `with = |error| ..`"],
    );
    says("fallback", "with = 7", &["`with` is a closure or the path of a function: `with = |error| ..`"]);
    says("fallback", "with = |a, b| c", &["`with` takes the error, and nothing else: `with = |error| ..`"]);
    says("fallback", "with = || c", &["`with` takes the error, and nothing else: `with = |error| ..`"]);
    says("retry", "with = g", &["`with` belongs to `#[fallback]`; `#[retry]` has no such option"]);
    says("retry", "value = 7", &["`value` belongs to `#[fallback]`; `#[retry]` has no such option"]);
}

#[test]
fn a_fallback_needs_names_to_pass_arguments_on() {
    let item = "fn f((a, b): (u8, u8)) -> R { x }";
    let (found, unchanged) = super::mistakes::mistakes("fallback", "to = g", item);
    assert_eq!(found, ["the fallback gets the same arguments: give this one a plain name"]);
    assert!(unchanged);
    assert!(super::mistakes::mistakes("fallback", "value = 7", item).0.is_empty());
}

#[test]
fn a_hedge_runs_beside_itself() {
    const WHY: &str = "`#[hedge]` runs the body several times at once, so the calls cannot share a `&mut`: take `&`, with a lock inside";
    refuses("hedge", "async fn f(&mut self, a: &mut u8) -> R { x }", &[WHY, WHY]);
    // As `#[async_trait]` writes it.
    assert_eq!(super::mistakes::mistakes("hedge", "", "async fn f<'a>(&'a mut self) -> R { x }").0, [WHY]);
    refuses(
        "hedge",
        "fn f(&self) -> R { x }",
        &[
            "`#[hedge]` needs an `async fn`; a blocking call cannot be dropped when another one has won: make this an `async fn` around `tokio::task::spawn_blocking`",
        ],
    );
    assert!(super::mistakes::mistakes("hedge", "", "async fn f(mut self, a: &u8, mut b: u8) -> R { x }").0.is_empty());
}

#[test]
fn equal_calls_need_a_key_where_calls_can_differ() {
    let wants = |example| {
        format!(
            "`#[coalesce]` lets equal calls share one execution: say what makes them equal, as in `#[coalesce(key = {example})]`"
        )
    };
    refuses("coalesce", "async fn f(a: u8) -> R { x }", &[&wants("a")]);
    refuses("coalesce", "async fn f(&self) -> R { x }", &[&wants("..")]);
    assert!(super::mistakes::mistakes("coalesce", "", "async fn f() -> R { x }").0.is_empty());
    assert!(
        super::mistakes::mistakes("coalesce", "max_keys = 2, key = a", "async fn f(a: u8) -> R { x }").0.is_empty()
    );
    says(
        "retry",
        "max_keys = 2",
        &[
            "`max_keys` belongs to `#[circuit_breaker]`, `#[bulkhead]` and `#[rate_limiter]`; `#[retry]` has no such option",
        ],
    );
}

#[test]
fn a_step_stands_above_a_hedge() {
    let source = "#[hedge] #[checkpoint] async fn f(a: u8) -> R { x }";
    let said = crate::expand_all(super::parsed(source)).to_string();
    assert!(said.contains("put `#[checkpoint]` on top, above `#[hedge]`"), "{said}");
}
