//! `tests/README.md` names tests; they must be there.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, into: &mut String) {
    let entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    for path in entries {
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_test_in_the_list_of_defects_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut code = String::new();
    for folder in ["ft-macros", "ft-runtime", "ft-tower", "tests"] {
        sources(&root.join(folder), &mut code);
    }
    let list = fs::read_to_string(root.join("tests/README.md")).unwrap();
    let rows =
        list.lines().filter(|line| line.starts_with("| ") && line[2..].starts_with(|c: char| c.is_ascii_digit()));
    let mut named = 0;
    for row in rows {
        let tests = row.rsplit('|').nth(1).unwrap();
        for test in tests.split('`').skip(1).step_by(2).filter(|name| name.contains('_') && !name.contains('/')) {
            assert!(code.contains(&format!("fn {test}(")), "no test is called {test}");
            named += 1;
        }
    }
    assert!(named > 25, "the table was not read: {named}");
}
