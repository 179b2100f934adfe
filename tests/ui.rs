//! What users see who get it wrong. Messages are those of one compiler, so they are compared on that one only.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::Command;

/// The compiler whose words are on file.
const COMPILER: &str = "rustc 1.95.";

fn other_compiler() -> Option<String> {
    let version = Command::new("rustc").arg("--version").output().expect("rustc runs: it built this");
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    (!version.starts_with(COMPILER)).then_some(version)
}

/// Says so where the messages cannot be compared; the check script counts these lines.
fn skipped(test: &str) -> bool {
    match other_compiler() {
        None => false,
        Some(other) => {
            // Past the harness, which hides what a passing test prints.
            let _ = writeln!(io::stderr(), "skipped: {test}: messages are those of {COMPILER}x, this is {other}");
            true
        }
    }
}

#[test]
fn wrong_use_is_explained() {
    if !skipped("wrong_use_is_explained") {
        trybuild::TestCases::new().compile_fail("tests/ui/fail/*.rs");
    }
}

/// A package outside the workspace, where no other package switches the feature on.
#[test]
fn a_missing_feature_is_named() {
    if skipped("a_missing_feature_is_named") {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let checked = Command::new(env!("CARGO"))
        .args(["check", "--quiet", "--color=never", "--manifest-path"])
        .arg(root.join("tests/no_checkpoint/Cargo.toml"))
        .arg("--target-dir")
        .arg(root.join("target/outside"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(!checked.status.success());
    assert!(said.contains(r#"`#[checkpoint]` needs the feature "checkpoint""#), "{said}");
    assert!(said.contains("cargo add ft-runtime --features checkpoint"), "{said}");
    let errors = said.lines().filter(|line| line.starts_with("error")).count();
    assert_eq!(errors, 2, "that error, and that the package did not compile:\n{said}");
}
