//! What can be wrong with a store below its runs.

use std::path::PathBuf;

use rusqlite::Connection;

use super::runs::{run_columns, run_record};
use super::{Look, is_senseless, reason};
use crate::checkpoint::record::Finding;
use crate::checkpoint::sqlite::mark;
use crate::checkpoint::sqlite::values::Files;

/// Rows that make no sense, and runs without a row, are named up to this number of each.
const MANY: usize = 1000;

/// Checks SQLite's own structure, what was lost, rows without a run, and rows that make no sense.
pub(in crate::checkpoint::sqlite) struct Verify {
    pub(in crate::checkpoint::sqlite) path: PathBuf,
    pub(in crate::checkpoint::sqlite) mark: PathBuf,
}

impl Look for Verify {
    type Answer = Vec<Finding>;

    fn look(&self, db: &Connection, _: &Files) -> rusqlite::Result<Vec<Finding>> {
        let of_store = |what: String| Finding::new(None, None, what);
        let mut findings = Vec::new();
        let mut check = db.prepare("PRAGMA integrity_check")?;
        for message in check.query_map([], |row| row.get::<_, String>(0))? {
            findings.extend(Some(message?).filter(|message| message != "ok").map(of_store));
        }
        if let Err(lost) = mark::look(&self.mark, &self.path, db) {
            findings.push(of_store(lost.to_string()));
        }
        let missing = "SELECT count(*) FROM ft_meta WHERE name IN ('token', 'commits', 'identity')";
        if db.query_row(missing, [], |row| row.get::<_, i64>(0))? != 3 {
            findings.push(of_store("its table ft_meta lacks a row".into()));
        }
        let granted = "SELECT run FROM ft_run WHERE max(token, incarnation) > \
             (SELECT value FROM ft_meta WHERE name = 'token')";
        let older = "its token is larger than the last one that the store says it has granted";
        findings.extend(runs(db, granted)?.into_iter().map(|run| Finding::new(Some(run), None, older)));
        for (table, column) in [("ft_step", "value"), ("ft_state", "value"), ("ft_run", "input"), ("ft_run", "output")]
        {
            // What stands for a file begins with FTV1 and its name: see `values`.
            let unnamed = format!(
                "SELECT DISTINCT run FROM {table} WHERE octet_length({column}) = 36 \
                 AND substr({column}, 1, 4) = x'46545631' \
                 AND lower(hex(substr({column}, 5, 16))) NOT IN (SELECT file FROM ft_value)"
            );
            let what = "a large value of it has a file that the store does not know, and will remove";
            findings.extend(runs(db, &unnamed)?.into_iter().map(|run| Finding::new(Some(run), None, what)));
        }
        for (table, what) in [("ft_step", "steps"), ("ft_state", "saved states"), ("ft_value", "files")] {
            let orphans = format!("SELECT DISTINCT run FROM {table} WHERE run NOT IN (SELECT run FROM ft_run)");
            let what = format!("it has {what}, and no row of its own");
            findings.extend(runs(db, &orphans)?.into_iter().map(|run| Finding::new(Some(run), None, &*what)));
        }
        senseless_rows(db, &mut findings)?;
        Ok(findings)
    }
}

fn runs(db: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    let mut found = db.prepare(sql)?;
    let found = found.query_map([], |row| Ok(String::from_utf8_lossy(row.get_ref(0)?.as_bytes()?).into_owned()))?;
    found.take(MANY).collect()
}

fn senseless_rows(db: &Connection, findings: &mut Vec<Finding>) -> rusqlite::Result<()> {
    let mut all = db.prepare(concat!("SELECT ", run_columns!(), " FROM ft_run"))?;
    let mut rows = all.query([])?;
    let mut senseless = 0;
    while let Some(row) = rows.next()? {
        match run_record(row) {
            Err(error) if is_senseless(&error) && senseless < MANY => {
                senseless += 1;
                let run = row.get_ref(0)?.as_str().ok().map(str::to_owned);
                findings.push(Finding::new(run, None, reason(&error)));
            }
            Err(error) if !is_senseless(&error) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
