//! What attributes say about mistakes: all of them at once, and the function stays.

use proc_macro2::TokenStream;

use super::{parsed, printed};

const FUNCTION: &str = "async fn f(a: &str, b: String) -> Result<u8, E> { body(a, b).await }";

/// The messages of an expansion, and whether the function was left as it is.
pub(super) fn mistakes(attribute: &str, args: &str, item: &str) -> (Vec<String>, bool) {
    messages(crate::expand(attribute, parsed(args), parsed(item)), item)
}

fn messages(expanded: TokenStream, item: &str) -> (Vec<String>, bool) {
    let text = expanded.to_string();
    let messages = text
        .split("compile_error ! {")
        .skip(1)
        .map(|rest| syn::parse_str::<syn::LitStr>(rest.split(" }").next().unwrap()).unwrap().value())
        .collect();
    (messages, text.starts_with(&parsed(item).to_string()))
}

/// One attribute on an ordinary function; the function must survive.
#[track_caller]
pub(super) fn says(attribute: &str, args: &str, expected: &[&str]) {
    let (found, unchanged) = mistakes(attribute, args, FUNCTION);
    assert_eq!(found, expected, "#[{attribute}({args})]");
    assert!(unchanged, "#[{attribute}({args})] changed the function");
}

/// An attribute without arguments on another function.
#[track_caller]
pub(super) fn refuses(attribute: &str, item: &str, expected: &[&str]) {
    let (found, unchanged) = mistakes(attribute, "", item);
    assert_eq!(found, expected, "#[{attribute}] {item}");
    assert!(unchanged, "#[{attribute}] changed {item}");
}

#[test]
fn a_duration_without_a_unit_is_told_how_it_is_written() {
    let message = "a duration needs its unit, and no quotes: `#[timeout(2s)]`, `#[timeout(200ms)]`, `#[timeout(1.5s)]`";
    says("timeout", "200", &[message]);
    says("timeout", "\"2s\"", &[message]);
}

#[test]
fn the_grammar_names_the_word_that_is_wrong() {
    says("retry", "max_attempts 5", &["expected a value: `max_attempts = ..`"]);
    says("retry", "max_attempts: 5", &["expected a value: `max_attempts = ..`"]);
    says("retry", "max_attempts = ", &["expected a value: `max_attempts = ..`"]);
    says("retry", "max_attempts == 5", &["write `max_attempts = ..`, with one `=`"]);
    says("retry", "deadline = 2s, max_attempts", &["expected a value: `max_attempts = ..`"]);
    says("retry", "deadline = 2s, &DB", &["expected `key = value`; an existing policy can only come first"]);
    says("retry", "when", &["expected a value: `when = ..`"]);
    says("retry", "for = 2s", &["`for` is a keyword, and no policy has such an option"]);
    says("retry", "clone = a", &["write `clone(argument, ..)`"]);
    says("retry", "clone()", &["`clone(..)` names no argument"]);
    says("retry", "max_attempts = 1, max_attempts = 2", &["`max_attempts` is given twice"]);
    says(
        "retry",
        "5",
        &[
            "`#[retry]` takes an existing policy here, as in `#[retry(POLICY)]`; options have a name: `#[retry(key = value)]`",
        ],
    );
    says("timeout", "", &["`#[timeout]` needs its value: `#[timeout(2s)]`"]);
    says("retry", "name = 5", &["expected string literal"]);
    says("retry", "name = \"\"", &["a site needs a name that is not empty"]);
}

#[test]
fn all_mistakes_are_reported_at_once() {
    says(
        "retry",
        "max_attempts 5, deadline = 5sec, clone(), run = \"x\", on = 1 +, until = ",
        &[
            "`sec` is not a unit of time; write ns, us, ms, s, min, h or d",
            "expected a value: `max_attempts = ..`",
            "`clone(..)` names no argument",
            "`run` belongs to `#[checkpoint]`; `#[retry]` has no such option",
            "expected `,`",
            "expected a value: `until = ..`",
        ],
    );
}

#[test]
fn words_of_another_attribute_say_whose_they_are() {
    says(
        "retry",
        "key = a",
        &[
            "`key` belongs to `#[checkpoint]`, `#[circuit_breaker]`, `#[bulkhead]`, `#[rate_limiter]` and `#[coalesce]`; `#[retry]` has no such option",
        ],
    );
    says("retry", "skip(a)", &["`skip` belongs to `#[checkpoint]`; `#[retry]` has no such option"]);
    says("retry", "to = [g]", &["`to` belongs to `#[failover]` and `#[fallback]`; `#[retry]` has no such option"]);
    says("retry", "replica in pool", &["`x in pool` belongs to `#[failover]`, not to `#[retry]`"]);
    says(
        "checkpoint",
        "on = _",
        &["`#[checkpoint]` judges no outcomes; `on` belongs to a policy that does, such as `#[retry]`"],
    );
}

#[test]
fn a_skipped_argument_must_exist() {
    let alone =
        "`migrate` makes values of older versions into those of this one: say which one this is, as in `version = 1`";
    says("checkpoint", "migrate = m", &[alone]);
    says("checkpoint", "run = \"r\", migrate = m", &[alone]);
    says("checkpoint", "skip(nothing)", &["`f` has no argument `nothing` to skip; it has `a`, `b`"]);
}

#[test]
fn a_failover_needs_targets() {
    says(
        "failover",
        "",
        &[
            "`#[failover]` needs somewhere to go: `#[failover(to = [other_function])]` or `#[failover(replica in &self.replicas)]`",
        ],
    );
    says("failover", "to = []", &["`to = []` names no target"]);
    says("failover", "to = g", &["write the targets as a list: `to = [from_replica, from_cache]`"]);
    says("failover", "to = [g, h(), 5]", &["a target is the path of a function that takes the same arguments"; 2]);
    says("failover", "to = [g], x in pool", &["targets come from `to = [..]` or from `x in pool`, not from both"]);
    says(
        "failover",
        "x in a, y in b",
        &["one `#[failover]` has one pool; stack a second `#[failover]` for a second one"],
    );
}

#[test]
fn a_failover_needs_names_to_pass_arguments_on() {
    let item = "fn f((a, b): (u8, u8)) -> R { x }";
    let (found, _) = mistakes("failover", "to = [g]", item);
    assert_eq!(found, ["the other targets get the same arguments: give this one a plain name"]);
}

#[test]
fn functions_that_no_policy_can_work_with_are_refused() {
    refuses(
        "retry",
        "const fn f() -> R { x }",
        &["a `const fn` cannot wait, count or log, so `#[retry]` does not go on it"],
    );
    refuses(
        "retry",
        "extern \"C\" fn f() -> R { x }",
        &["`#[retry]` goes on Rust functions; wrap the call of this one in a function of your own"],
    );
    refuses("retry", "fn f() { x }", &["`#[retry]` needs an outcome to judge: let `f` return a `Result`"]);
    refuses(
        "retry",
        "async fn f() -> Option<u8> { x }",
        &["`#[retry]` needs an outcome to judge: let `f` return a `Result`, not `Option<u8>`"],
    );
    refuses(
        "retry",
        "fn f() -> impl Iterator<Item = u8> { x }",
        &["`#[retry]` needs a `Result` or a future of one, written as such"],
    );
    refuses(
        "retry",
        "fn f() -> impl Future { x }",
        &["`#[retry]` needs a `Result` or a future of one, written as such"],
    );
    refuses(
        "retry",
        "async fn f() -> impl Future<Output = R> { x }",
        &["an `async fn` that returns a future is two waits; write `async fn` or the future, not both"],
    );
    refuses(
        "retry",
        "async fn f(&self) -> R;",
        &["`#[retry]` has no body to work on: put it on the implementations of `f`, or give `f` a default body"],
    );
    refuses("retry", "struct S;", &["`#[retry]` goes on a function or a method"]);
    refuses("retry", "impl S { fn f() {} }", &["`#[retry]` goes on a function or a method"]);
    refuses("retry", "const X: u8 = 5;", &["`#[retry]` goes on a function or a method"]);
    refuses("nonsense", "fn f() {}", &["there is no attribute `nonsense`"]);
}

#[test]
fn a_saved_state_belongs_to_a_run_and_is_lent_mutably() {
    let says = |args: &str, parameters: &str, expected: &[&str]| {
        let (found, _) = mistakes("checkpoint", args, &format!("async fn f({parameters}) -> R {{ state.x() }}"));
        assert_eq!(found, expected, "#[checkpoint({args})] fn f({parameters})");
    };
    let mutable =
        "a saved state is supplied as `&mut Saved<..>`: it exists to be changed, and the store keeps the original";
    says("run = \"r\"", "state: &Saved<u8>", &[mutable]);
    says("run = \"r\"", "state: ft_runtime::Saved<u8>", &[mutable]);
    says(
        "run = \"r\"",
        "a: &mut Saved<u8>, b: &mut Saved<u8>",
        &["a run has one saved state; put both values into one type"],
    );
    says(
        "",
        "state: &mut Saved<u8>",
        &["a saved state belongs to a run: name it, as in `#[checkpoint(run = \"reindex\")]`"],
    );
    says(
        "key = 1",
        "state: &mut Saved<u8>",
        &["a saved state belongs to a run: write `run = ..`; `key` names a step, which has no state"],
    );
    says("run = \"r\", key = 1", "a: u8", &["a run is named by `run`; `key` names a step, which has no `run`"]);
    says("run = \"r\", skip(b)", "a: u8", &["`f` has no argument `b` to skip; it has `a`"]);
    says(
        "run = \"r\", record_err = true",
        "a: u8",
        &["`record_err` belongs to a step: a run that failed stays resumable"],
    );
    says("record_err = yes", "a: u8", &["`record_err` is known while compiling: write `record_err = true`"]);
    says("run = \"r\", state = b", "a: u8", &["`f` has no parameter `b`"]);
    says("run = \"r\", state = 5", "a: u8", &["`state` names a parameter: `state = progress`"]);
    says("", "(a, b): (u8, u8)", &["a step records what it was called with: give this argument a plain name"]);
}

#[test]
fn a_step_in_a_transaction_is_lent_one_and_has_a_key_and_no_attempts() {
    let says = |args: &str, parameters: &str, expected: &[&str]| {
        let (found, unchanged) = mistakes("checkpoint", args, &format!("fn f({parameters}) -> R {{ x }}"));
        assert_eq!(found, expected, "#[checkpoint({args})] fn f({parameters})");
        assert!(unchanged, "#[checkpoint({args})] changed the function");
    };
    let key = "a step in a transaction needs `key = ..`, what is done once in a run: counting its calls would take a second try, after its transaction was rolled back, for another step";
    let lent =
        "the transaction belongs to the caller, who commits it: take `&Transaction<'_>` or `&mut Transaction<'_>`";
    says("tx", "tx: &T", &[key]);
    says("tx, key = 1", "tx: T", &[lent]);
    says(
        "key = 1, tx = t",
        "tx: &T",
        &[
            "the transaction is passed to `f`: give it a parameter `t: &Transaction<'_>`, or name it as in `tx = parameter`",
        ],
    );
    says("tx = 5, key = 1", "tx: &T", &["`tx` names a parameter: `tx = transaction`"]);
    says("tx, tx = t, key = 1", "tx: &T", &["`tx` is given twice"]);
    says(
        "tx, run = \"r\"",
        "tx: &T",
        &["`tx` belongs to a step: put what writes in the transaction into a function of its own"],
    );
    says(
        "tx, key = 1, record_err = true",
        "tx: &T",
        &["an `Err` rolls its transaction back, and its record with it: `record_err` does not go with `tx`"],
    );
    self::says("retry", "tx", &["expected a value: `tx = ..`"]);
    for (attribute, written) in
        [("retry", "retry"), ("fallback", "fallback(with = g)"), ("hedge", "hedge"), ("failover", "failover(to = [g])")]
    {
        let item = format!("#[{written}] async fn f(tx: &T) -> R {{ x }}");
        let first = parsed(&format!("#[checkpoint(tx, key = 1)] {item}"));
        let found = messages(crate::expand_all(first), "");
        let expected = format!(
            "what a failed attempt wrote is still in the transaction: put `#[{attribute}]` on the function that begins it, so that each attempt has one of its own"
        );
        assert_eq!(found.0, [expected]);
    }
}

#[test]
fn a_function_that_lost_its_state_still_has_its_callers() {
    let expanded =
        crate::expand("checkpoint", parsed(""), parsed("async fn f(state: &mut Saved<u8>, n: u8) -> R { state.x(n) }"));
    let kept = printed(expanded);
    assert!(kept.contains("async fn f(n: u8) -> R {\n    ::core::todo!()\n}"), "{kept}");
}

#[test]
fn all_attempts_of_a_step_belong_inside_its_record() {
    let source = "#[retry] #[failover(to = [g])] #[checkpoint] async fn f(a: u8) -> R { x }";
    let (found, _) = messages(crate::expand_all(parsed(source)), "");
    let on_top = |name| {
        format!("put `#[checkpoint]` on top, above `#[{name}]`: all attempts of a step belong inside its one record")
    };
    assert_eq!(found, [on_top("failover"), on_top("retry")]);
    let source = "#[coalesce(key = a)] #[checkpoint(key = a)] async fn f(a: u8) -> R { x }";
    let (found, _) = messages(crate::expand_all(parsed(source)), "");
    assert_eq!(
        found,
        [
            "put `#[checkpoint]` on top, above `#[coalesce]`: each run records the step, also where it shares an execution"
        ]
    );
    // A run is resumed, not repeated.
    let source = "#[retry] #[checkpoint(run = \"r\")] async fn f(a: u8) -> R { x }";
    assert!(messages(crate::expand_all(parsed(source)), "").0.is_empty());
}

#[test]
fn a_function_is_one_site_and_one_run() {
    let source = "#[retry(name = \"a\")] #[checkpoint(name = \"b\")] #[checkpoint] async fn f(a: u8) -> R { x }";
    let (found, _) = messages(crate::expand_all(parsed(source)), "");
    assert!(found.contains(&"one function is one site: give its name once".to_owned()), "{found:?}");
    assert!(
        found.contains(
            &"one function is one run or one step: a second `#[checkpoint]` goes on a function of its own".to_owned()
        ),
        "{found:?}"
    );
}

#[test]
fn what_only_a_caller_can_give_asks_for_a_factory() {
    let factory = "start its runs with a factory: `Recovery::new().factory(..)`, and leave out `recover`";
    let refuses = |args: &str, item: &str, why: &str| {
        let (found, _) = mistakes("checkpoint", args, item);
        assert_eq!(found, [format!("{why}; {factory}")], "{item}");
    };
    let run = "run = \"r\", recover";
    refuses(run, "async fn f(&self) -> R { x }", "nobody keeps the `self` that this run was started with");
    refuses(run, "async fn f<T: Row>(a: T) -> R { x }", "nobody knows which types this run was started with");
    refuses(run, "async fn f(a: impl Row) -> R { x }", "nobody knows which type this run was started with");
    refuses(run, "async fn f(a: &mut u8) -> R { x }", "what is changed for its caller has none after a crash");
    let borrows = "an argument is recorded as an owned value or as the `T` of a `&T`, and this one borrows more";
    for borrowing in ["&Order<'_>", "Option<&str>", "&dyn Row", "Cow<'a, str>", "(u8, &str)", "&&str"] {
        refuses(run, &format!("async fn f(a: {borrowing}) -> R {{ x }}"), borrows);
    }
    let skips = "run = \"r\", recover, skip(b)";
    refuses(skips, "async fn f(a: u8, b: u8) -> R { x }", "an argument that is left out cannot be recorded");
}

#[test]
fn recover_is_a_word_that_stands_alone_at_a_run() {
    says(
        "checkpoint",
        "recover",
        &["`recover` belongs to a run: name it, as in `#[checkpoint(run = \"import\", recover)]`"],
    );
    says("checkpoint", "run = \"r\", recover = true", &["`recover` stands alone: `#[checkpoint(run = .., recover)]`"]);
    says("checkpoint", "run = \"r\", recover, recover", &["`recover` is given twice"]);
    says("retry", "max_attempts = 3, recover", &["expected a value: `recover = ..`"]);
    let pattern = mistakes("checkpoint", "run = \"r\", recover", "async fn f((a, b): (u8, u8)) -> R { x }").0;
    let why = "the arguments of a run that goes on by itself are recorded by their names: give this one a plain name";
    assert_eq!(pattern, [why]);
}

#[test]
fn without_the_feature_there_is_one_error_and_no_state() {
    let item = "#[retry] async fn f(state: &mut Saved<Progress>, n: u8) -> R { state.x(n) }";
    let (found, _) = mistakes("checkpoint_without_feature", "run = \"r\", nonsense", item);
    assert_eq!(found, ["`#[checkpoint]` needs the feature \"checkpoint\": cargo add ft-runtime --features checkpoint"]);
    let expanded = crate::expand(
        "checkpoint_without_feature",
        parsed("state = mine"),
        parsed("async fn f(mine: &mut Alias) -> R { x }"),
    )
    .to_string();
    assert!(!expanded.contains("Alias"), "{expanded}");
}

#[test]
fn a_policy_with_state_is_not_made_anew_for_each_call() {
    let anew = |name| {
        format!(
            "this would be made anew for each call, and its state with it: make it a `static` and name it, as in `#[{name}(POLICY)]`"
        )
    };
    for made in ["Arc::new(Bulkhead::new(4))", "LazyLock::new(|| b)", "&Box::new(b)", "Foo::default().with(4)"] {
        let (found, _) = mistakes("bulkhead", made, FUNCTION);
        assert_eq!(found, [anew("bulkhead")], "{made}");
    }
    let (found, _) = mistakes("hedge", "Keyed::new(h)", FUNCTION);
    assert_eq!(found, [anew("hedge")]);
    let (found, _) = mistakes("circuit_breaker", "Keyed::new(CircuitBreaker::new())", FUNCTION);
    assert_eq!(found, ["`Keyed` has a policy for each key: say which one, as in `key = host`"]);
    let (found, _) = mistakes("circuit_breaker", "key = 7, HOSTS", FUNCTION);
    assert_eq!(found, ["an existing policy comes first: `#[circuit_breaker(HOSTS, ..)]`"]);
}

#[test]
fn a_file_that_does_not_parse_says_so() {
    let expanded = crate::expand_all(parsed("fn fn"));
    assert!(expanded.to_string().starts_with("fn fn :: core :: compile_error"));
}

#[test]
fn brackets_without_end_are_refused_and_not_followed() {
    let deep = format!("{}{}", "(".repeat(5_000), ")".repeat(5_000));
    let (found, _) = mistakes("retry", &deep, FUNCTION);
    assert_eq!(found, ["brackets nest too deeply here"]);
}

// ===== derive(Fault) =====

#[track_caller]
fn derive_says(item: &str, expected: &[&str]) {
    let (found, _) = messages(crate::derive_fault(parsed(item)), "");
    assert_eq!(found, expected, "{item}");
}

#[test]
fn every_variant_must_be_classified() {
    let way_out = "does not say whether its call may be made again: write `#[fault(permanent)]`, `#[fault(transient)]`, \
                   `#[fault(unsent)]` or `#[fault(throttled)]` on it";
    let variant = format!("this variant {way_out}, or a kind for all others on the enum");
    derive_says("enum E { #[fault(unsent)] A, B, C(u8) }", &[&variant, &variant]);
    derive_says("struct E;", &[&format!("this error {way_out}")]);
    derive_says("#[fault(transient)] enum E { A, #[fault(permanent)] B }", &[]);
    derive_says("enum E { R(#[from] ft_runtime::Rejected) }", &[]);
    derive_says("enum E {}", &[]);
}

#[test]
fn unknown_and_contradicting_words_are_refused() {
    let variant = "permanent, transient, unsent, throttled, transparent, display, retry_after = field";
    derive_says(
        "enum E { #[fault(transiet)] A }",
        &[&format!("`transiet` is not a word of `#[fault(..)]` here; it knows {variant}")],
    );
    derive_says("enum E { #[fault] A }", &[&format!("write `#[fault(..)]` with one of {variant}")]);
    derive_says("enum E { #[fault()] A }", &[&format!("write `#[fault(..)]` with one of {variant}")]);
    derive_says("enum E { #[fault = \"transient\"] A }", &[&format!("write `#[fault(..)]` with one of {variant}")]);
    derive_says("enum E { #[fault(transient, transient)] A }", &["`transient` is given twice"]);
    derive_says(
        "enum E { #[fault(transient)] #[fault(unsent)] A }",
        &["`unsent`: an error has one kind, and this one has another already"],
    );
    derive_says(
        "enum E { #[fault(transient, transparent)] A(F) }",
        &["`transparent` takes the kind from the field, so no kind can be given here"],
    );
    derive_says(
        "enum E { #[fault(transparent)] A(F, G) }",
        &["`transparent` forwards to the only field, and here are 2"],
    );
    derive_says(
        "enum E { #[fault(throttled, retry_after = wiat)] A { wait: D } }",
        &["`E::A` has no field `wiat`; it has `wait`"],
    );
    derive_says("enum E { #[fault(throttled, retry_after = 0)] A }", &["`E::A` has no field `0`; it has none"]);
    derive_says(
        "#[fault(transparent)] enum E { A(F) }",
        &[
            "`transparent` does not go on an enum; there, `#[fault(..)]` knows permanent, transient, unsent, throttled, display, crate = path",
        ],
    );
    derive_says(
        "#[fault(transient)] union E { a: u8 }",
        &["`Fault` cannot be derived for a union: nothing says which field is the error"],
    );
}

#[test]
fn an_error_with_mistakes_is_still_a_fault() {
    let expanded = crate::derive_fault(parsed("enum E { A, #[fault(unsent)] B }")).to_string();
    assert!(expanded.contains("impl :: ft_runtime :: Fault for E"), "{expanded}");
}
