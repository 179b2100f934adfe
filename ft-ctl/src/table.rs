//! Tables for people: aligned columns, no colours.

use crate::human::line;

/// Rows under a head.
#[derive(Debug)]
pub(crate) struct Table {
    columns: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns; one whose name begins with `>` is aligned to the right.
    pub(crate) fn new(columns: &'static [&'static str]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        debug_assert_eq!(N, self.columns.len());
        self.rows.push(cells.iter().map(|cell| line(cell)).collect());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(crate) fn to_text(&self) -> String {
        let head = self.columns.iter().map(|name| name.trim_start_matches('>').to_owned()).collect();
        let rows: Vec<&Vec<String>> = [&head].into_iter().chain(&self.rows).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut text = String::new();
        for row in rows {
            let mut written = String::new();
            for ((cell, width), name) in row.iter().zip(&widths).zip(self.columns) {
                let pad = " ".repeat(width - cell.chars().count());
                let (before, behind) = if name.starts_with('>') { (&*pad, "") } else { ("", &*pad) };
                written.push_str(&format!("{before}{cell}{behind}  "));
            }
            text.push_str(written.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Names and what stands behind them, one to a line.
#[derive(Debug, Default)]
pub(crate) struct Facts(Vec<(&'static str, String)>);

impl Facts {
    pub(crate) fn add(&mut self, name: &'static str, fact: impl Into<String>) {
        self.0.push((name, fact.into()));
    }

    pub(crate) fn to_text(&self) -> String {
        let width = self.0.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        self.0.iter().map(|(name, fact)| format!("{name:width$}  {}\n", line(fact))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_characters_and_nothing_trails() {
        let mut table = Table::new(&["RUN", ">STEPS", "WHY"]);
        table.row(["ä".into(), "7".into(), "\u{7}".into()]);
        table.row(["order".into(), "123456".into(), String::new()]);
        assert_eq!(table.to_text(), "RUN     STEPS  WHY\nä           7  \\u{7}\norder  123456\n");
    }

    #[test]
    fn facts_stand_behind_their_names() {
        let mut facts = Facts::default();
        facts.add("run", "r");
        facts.add("status", "parked");
        assert_eq!(facts.to_text(), "run     r\nstatus  parked\n");
    }
}
