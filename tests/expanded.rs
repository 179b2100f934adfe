//! The pairs in `examples/expanded/`: what an attribute is written as, and what it becomes.
//!
//! Generated from the macros' own functions, kept equal, compiled, and run side by side.
//! `FT_EXPAND=write cargo test --test expanded` writes them anew.

use std::fs;
use std::path::Path;

/// A pair: both files as modules, which must tell the same story.
macro_rules! pairs {
    ($($name:ident: $file:literal, $written:literal, $expanded:literal;)*) => {
        $(#[path = "../examples/expanded"]
        mod $name {
            #[path = $written]
            pub mod written;
            #[rustfmt::skip]
            #[allow(unused_braces, unused_parens, unused_imports, clippy::all, reason = "generated, and shown as it is")]
            #[path = $expanded]
            pub mod expanded;

            #[tokio::test(start_paused = true)]
            async fn behaves_as_it_is_written() {
                let story = written::story().await;
                assert!(!story.is_empty());
                assert_eq!(story, expanded::story().await);
            }

            #[test]
            fn is_what_the_macros_make_of_it() {
                super::compare($file);
            }
        })*

        #[test]
        fn every_file_of_the_folder_is_in_a_pair() {
            let mut expected = vec!["README.md".to_owned()];
            $(expected.extend([format!("{}.rs", $file), format!("{}-expanded.rs", $file)]);)*
            expected.sort();
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/expanded");
            let mut found: Vec<_> =
                fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
            found.sort();
            assert_eq!(found, expected);
        }
    };
}

pairs! {
    chaos: "chaos", "chaos.rs", "chaos-expanded.rs";
    bulkhead: "bulkhead", "bulkhead.rs", "bulkhead-expanded.rs";
    checkpoint: "checkpoint", "checkpoint.rs", "checkpoint-expanded.rs";
    circuit_breaker: "circuit_breaker", "circuit_breaker.rs", "circuit_breaker-expanded.rs";
    coalesce: "coalesce", "coalesce.rs", "coalesce-expanded.rs";
    failover: "failover", "failover.rs", "failover-expanded.rs";
    fallback: "fallback", "fallback.rs", "fallback-expanded.rs";
    hedge: "hedge", "hedge.rs", "hedge-expanded.rs";
    rate_limiter: "rate_limiter", "rate_limiter.rs", "rate_limiter-expanded.rs";
    retry: "retry", "retry.rs", "retry-expanded.rs";
    stack: "stack", "stack.rs", "stack-expanded.rs";
    timeout: "timeout", "timeout.rs", "timeout-expanded.rs";
    tx: "tx", "tx.rs", "tx-expanded.rs";
}

fn compare(name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/expanded");
    let written = fs::read_to_string(folder.join(format!("{name}.rs"))).unwrap();
    let tokens = ft_macros_core::expand_all(written.parse().unwrap());
    let file = syn::parse2(tokens).expect("an expansion is Rust");
    let expanded = format!(
        "// Generated from {name}.rs: `FT_EXPAND=write cargo test --test expanded` writes it anew.\n\n{}",
        airy(&prettyplease::unparse(&file))
    );
    let path = folder.join(format!("{name}-expanded.rs"));
    if std::env::var("FT_EXPAND").is_ok_and(|mode| mode == "write") {
        fs::write(&path, &expanded).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == expanded, "{name}-expanded.rs is not what the macros make of {name}.rs; they make:\n{expanded}");
}

/// Puts an empty line between the items of a file, as a person would.
fn airy(source: &str) -> String {
    let mut airy = String::new();
    let mut previous = "";
    for line in source.lines() {
        let starts_an_item = line.starts_with(|first: char| first.is_alphabetic() || first == '#' || first == '/');
        let follows_an_item = previous.starts_with('}') || previous.starts_with("//!") || previous.ends_with(';');
        let one_of_a_block = ["use ", "//!"].iter().any(|block| line.starts_with(block) && previous.starts_with(block));
        if starts_an_item && follows_an_item && !one_of_a_block {
            airy.push('\n');
        }
        airy.push_str(line);
        airy.push('\n');
        previous = line;
    }
    airy
}
