//! The shapes, as a reader would meet them: each `tests/shapes/x.rs` expands to `x-expanded.rs`. After a change that
//! is meant, `UPDATE_EXPECT=1 cargo test -p ft-macros-core` writes the latter anew: read the difference.

mod alternatives;
mod garbage;
mod mistakes;

use std::fs;
use std::path::Path;

use proc_macro2::TokenStream;

/// Every file of `tests/shapes`, so that a new one is compared too.
#[test]
fn each_shape_expands_to_what_is_written_down() {
    let shapes = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shapes");
    let mut compared = 0;
    for entry in fs::read_dir(&shapes).unwrap() {
        let source = entry.unwrap().path();
        let name = source.file_stem().unwrap().to_str().unwrap();
        if name.ends_with("-expanded") {
            continue;
        }
        let expected = shapes.join(format!("{name}-expanded.rs"));
        let expanded = printed(crate::expand_all(parsed(&fs::read_to_string(&source).unwrap())));
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&expected, &expanded).unwrap();
        }
        assert_eq!(fs::read_to_string(&expected).unwrap_or_default(), expanded, "{name}.rs expands to something else");
        compared += 1;
    }
    assert!(compared >= 8, "the shapes have moved away");
}

#[test]
fn expanding_what_is_expanded_changes_nothing() {
    let shapes = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shapes");
    let source = fs::read_to_string(shapes.join("stack.rs")).unwrap();
    let once = crate::expand_all(parsed(&source));
    assert_eq!(printed(crate::expand_all(once.clone())), printed(once));
}

#[test]
fn an_attribute_above_others_moves_below_the_last_of_them() {
    let moved = crate::expand(
        "retry",
        parsed("deadline = 250ms"),
        parsed("#[doc = \"\"] #[a::failover(to = [g])] #[inline] #[retry] #[must_use] fn f() -> R { x }"),
    );
    assert_eq!(
        moved.to_string(),
        parsed(
            "#[doc = \"\"] #[a::failover(to = [g])] #[inline] #[retry] #[::ft_runtime::retry(deadline = 250ms ; moved)]
             #[must_use] fn f() -> R { x }"
        )
        .to_string()
    );
}

#[test]
fn an_attribute_that_may_be_configured_away_counts_as_a_sibling() {
    let item = "#[cfg_attr(unix, timeout(2s))] fn f() -> R { x }";
    let moved = crate::expand("retry", TokenStream::new(), parsed(item)).to_string();
    assert_eq!(
        moved,
        parsed("#[cfg_attr(unix, timeout(2s))] #[::ft_runtime::retry(; moved)] fn f() -> R { x }").to_string()
    );
    // It was configured away: the moved one is the lowest.
    let folded = crate::expand("retry", parsed("; moved"), parsed("fn f() -> R { x }"));
    assert_eq!(folded.to_string(), crate::expand("retry", TokenStream::new(), parsed("fn f() -> R { x }")).to_string());
}

fn parsed(source: &str) -> TokenStream {
    source.parse().unwrap()
}

fn printed(file: TokenStream) -> String {
    let parsed = syn::parse2(file.clone()).unwrap_or_else(|error| panic!("{error} in {file}"));
    prettyplease::unparse(&parsed)
}
