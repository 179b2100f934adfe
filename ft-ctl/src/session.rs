//! What every command has at hand: the store, and the way to answer.

use std::env;
use std::io::{self, Write};

use ft_runtime::checkpoint::{Filter, Keys, RunRecord, Store};
use serde::Serialize;

use crate::failure::{Exit, Failure};
use crate::human::quoted;

/// Where the keys of the store are.
const KEYS: &str = "FT_STORE_KEY";

/// One execution of the command.
#[derive(Debug)]
pub(crate) struct Session {
    url: String,
    json: bool,
}

impl Session {
    pub(crate) fn new(store: Option<String>, json: bool) -> Self {
        Self { url: store.unwrap_or_else(Store::default_url), json }
    }

    /// The store, to look at.
    pub(crate) fn look(&self) -> Result<Store, Failure> {
        self.with_keys(Store::open_read_only(&self.url)?)
    }

    /// The store, to change something.
    pub(crate) fn open(&self) -> Result<Store, Failure> {
        self.with_keys(Store::open_existing(&self.url)?)
    }

    /// Whether values can be opened that are encrypted.
    pub(crate) fn has_keys(&self) -> bool {
        keys().is_some()
    }

    fn with_keys(&self, store: Store) -> Result<Store, Failure> {
        let Some(keys) = keys() else { return Ok(store) };
        let keys: Keys = keys.parse().map_err(|reason| Failure::new(Exit::Usage, format!("FT_STORE_KEY: {reason}")))?;
        // An operator looks at what there is, also at what is older than the keys.
        Ok(store.encrypt(keys.and_plain()))
    }

    /// Answers: the JSON document, or the text.
    pub(crate) fn answer(&self, json: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
        let text = if self.json {
            let json = serde_json::to_string_pretty(json);
            json.map_err(|error| Failure::new(Exit::Store, format!("cannot write the answer as JSON: {error}")))?
        } else {
            text()
        };
        let mut out = io::stdout().lock();
        let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        write!(out, "{text}{end}").and_then(|()| out.flush()).map_err(|error| Failure::of_output(&error))
    }

    /// Something that people should know, and that is no part of the answer.
    pub(crate) fn remark(&self, text: &str) {
        eprintln!("ft: {text}");
    }
}

/// The keys as the program has them: never on the command line, which every user of the host can read.
fn keys() -> Option<String> {
    env::var(KEYS).ok().filter(|keys| !keys.is_empty())
}

/// A run by its id.
pub(crate) fn find(store: &Store, run: &str) -> Result<RunRecord, Failure> {
    let found = store.runs(Filter::default().prefix(run).limit(1)).wait()?;
    found.into_iter().find(|found| found.run == run).ok_or_else(|| no_such_run(store, run))
}

pub(crate) fn no_such_run(store: &Store, run: &str) -> Failure {
    let begin = quoted(beginning(run));
    let message = format!("there is no run `{run}` in {}; look for it with: ft ls --prefix {begin}", store.url());
    Failure::new(Exit::NotFound, message)
}

/// As much of an id as may be right: up to its last separator, or half of it if there is none.
fn beginning(run: &str) -> &str {
    let whole = run.trim_end_matches(is_separator);
    let end = match whole.char_indices().rfind(|(_, c)| is_separator(*c)) {
        Some((at, separator)) => at + separator.len_utf8(),
        None => run.char_indices().nth(run.chars().count().div_ceil(2)).map_or(run.len(), |(at, _)| at),
    };
    run.get(..end).unwrap_or(run)
}

fn is_separator(c: char) -> bool {
    c == ' ' || c.is_ascii_punctuation()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_looked_for_by_what_stands_before_the_last_separator_of_its_id() {
        for (run, begin) in [
            ("order-3", "order-"),
            ("eu/order:3-b", "eu/order:3-"),
            ("order-", "ord"),
            ("größe#7", "größe#"),
            ("größe", "grö"),
            ("nobody", "nob"),
            ("x", "x"),
            ("-", "-"),
            ("", ""),
        ] {
            assert_eq!(beginning(run), begin, "{run}");
        }
    }
}
