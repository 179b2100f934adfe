//! What is seen while it runs: a bar on a terminal, a line every ten percent without one. Both on stderr.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};

pub(crate) enum Progress {
    Bar(ProgressBar),
    Lines { records: u64, tenths: u64 },
}

impl Progress {
    pub(crate) fn new(records: u64) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines { records, tenths: 0 };
        }
        let style = ProgressStyle::with_template("{wide_bar} {human_pos} of {human_len}  {elapsed}  {msg}");
        let bar = ProgressBar::new(records);
        // A template that indicatif cannot read costs us its looks, not the run.
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self::Bar(bar)
    }

    pub(crate) fn at(&mut self, done: u64) {
        match self {
            Self::Bar(bar) => bar.set_position(done),
            Self::Lines { records, tenths } => {
                let now = done * 10 / *records;
                if now > *tenths {
                    *tenths = now;
                    eprintln!("{:3} %  {} of {}", now * 10, grouped(done), grouped(*records));
                }
            }
        }
    }

    /// Something happened that is worth a line.
    pub(crate) fn say(&self, what: &str) {
        match self {
            Self::Bar(bar) => bar.println(what),
            Self::Lines { .. } => eprintln!("       {what}"),
        }
    }

    /// What is going on now; a bar shows it at its end.
    pub(crate) fn now(&self, what: &'static str) {
        if let Self::Bar(bar) = self {
            bar.set_message(what);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// `34924` as `34,924`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
