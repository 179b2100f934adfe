//! One execution of the command, and its answer without what differs each time.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// What the command answered.
#[derive(Debug)]
pub(crate) struct Ft {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
    store: String,
}

impl Ft {
    /// Executes it in `dir`, with `FT_STORE` as it is for the program.
    pub(crate) fn run(store: &str, dir: &Path, keys: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ft"));
        command.args(arguments).env("FT_STORE", store).env("FT_STORE_KEY", keys).current_dir(dir).stdin(Stdio::null());
        let output = command.output().expect("the command starts");
        // An export is none.
        let text = |bytes: Vec<u8>| {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            assert!(!text.contains(ft_test_postgres::PASSWORD), "the password: {text}");
            text
        };
        Self {
            code: output.status.code().expect("it ends by itself"),
            out: text(output.stdout),
            err: text(output.stderr),
            store: store.replace(&format!(":{}@", ft_test_postgres::PASSWORD), "@"),
        }
    }

    /// It did what it was asked.
    #[track_caller]
    pub(crate) fn done(self) -> Self {
        assert_eq!((self.code, &*self.err), (0, ""), "{}", self.out);
        self
    }

    /// It ended with `code` and said `what`, in one line, and nothing else.
    #[track_caller]
    pub(crate) fn refused(self, code: i32, what: &str) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.err.starts_with("ft: ") && self.err.contains(what), "`{what}` is not in: {}", self.err);
        self
    }

    /// What it printed: times, processes and places by name, any number of blanks as one.
    pub(crate) fn text(&self) -> String {
        let lines = self.out.replace(&self.store, "STORE");
        lines.lines().map(|line| normal(line) + "\n").collect()
    }

    /// The JSON document, with times, owners and processes by name.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let mut value = serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out));
        replace(&mut value);
        value
    }
}

/// A line without what differs each time.
pub(crate) fn normal(line: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut skip_program = false;
    for word in line.split_whitespace() {
        if std::mem::take(&mut skip_program) && word.starts_with('(') {
            continue;
        }
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_span = bare.strip_suffix(['s', 'm', 'h', 'd']).is_some_and(digits);
        let is_date = bare.len() == 10 && bare.split('-').count() == 3 && bare.split('-').all(digits);
        let is_clock = bare.len() == 9 && bare.ends_with('Z') && bare.contains(':');
        let known = if is_span {
            "SPAN"
        } else if is_date {
            "DATE"
        } else if is_clock {
            "TIME"
        } else if digits(bare) && words.last().is_some_and(|last| last.ends_with("process")) {
            skip_program = true;
            "PID"
        } else {
            words.push(word.to_owned());
            continue;
        };
        words.push(word.replace(bare, known));
    }
    // Where the server sees a process of this host.
    words.join(" ").replace(" at 127.0.0.1", "")
}

fn replace(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(replace),
        Value::Object(fields) => {
            for (name, value) in fields {
                match (name.as_str(), &value) {
                    (name, Value::String(at)) if name.ends_with("_at") || name.ends_with("_until") => {
                        assert!(at.len() == 24 && at.ends_with('Z') && at.contains('T'), "{at}");
                        *value = "TIME".into();
                    }
                    ("id", Value::String(id)) => {
                        assert_eq!(id.trim_start_matches("pg-").len(), 36, "{id}");
                        *value = "OWNER".into();
                    }
                    ("process" | "why", Value::String(text)) => *value = normal(text).into(),
                    _ => replace(value),
                }
            }
        }
        _ => {}
    }
}
