//! What can be wrong with a store below its runs.

use super::rows::{run_columns, run_record};
use crate::checkpoint::postgres::session::{Session, Trouble, read};
use crate::checkpoint::record::Finding;

/// Rows that make no sense, and runs without a row, are named up to this number of each.
const MANY: usize = 1000;

/// Rows of runs that are read at once.
const PAGE: i64 = 1000;

/// What keeps rows apart, and is not there or not in force; a dump that was restored in parts, or an index that could not
/// be built.
const INDEXES: &str = "
SELECT wanted.name FROM unnest(ARRAY['ft_meta_pkey', 'ft_owner_pkey', 'ft_run_pkey', 'ft_step_pkey', 'ft_step_key',
    'ft_state_pkey']) AS wanted (name)
WHERE NOT EXISTS (
    SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = current_schema() AND c.relname = wanted.name AND i.indisunique AND i.indisvalid AND i.indisready)";

/// The last token is read behind the rows: it only grows.
const GRANTED: &str = "
SELECT run FROM ft_run WHERE greatest(token, incarnation) > (SELECT last_value - (NOT is_called)::int FROM ft_token)
ORDER BY run LIMIT $1";

/// Checks what the server says of its pages, indexes, rows without a run, and rows that make no sense.
pub(in crate::checkpoint::postgres) async fn verify(db: &Session) -> Result<Vec<Finding>, Trouble> {
    let of_store = |what: String| Finding::new(None, None, what);
    let mut findings = Vec::new();
    let torn = "SELECT coalesce(checksum_failures, 0) FROM pg_stat_database WHERE datname = current_database()";
    let torn: i64 = db.query_opt(torn, &[]).await?.map_or(Ok(0), |row| read(&row, 0))?;
    if torn > 0 {
        findings.push(of_store(format!(
            "the server has read {torn} pages of this database that are not what was written (pg_stat_database); \
             look into its log, and call pg_stat_reset() once that is mended"
        )));
    }
    for row in db.query(INDEXES, &[]).await? {
        findings.push(of_store(format!("its index {} is missing or not valid", read::<&str>(&row, 0)?)));
    }
    let many = MANY as i64;
    let granted = "its token is larger than the last one that the store says it has granted";
    for row in db.query(GRANTED, &[&many]).await? {
        findings.push(Finding::new(Some(read(&row, 0)?), None, granted));
    }
    for (table, what) in [("ft_step", "steps"), ("ft_state", "saved states")] {
        let orphans = format!(
            "SELECT DISTINCT o.run FROM {table} o WHERE NOT EXISTS (SELECT FROM ft_run r WHERE r.run = o.run) LIMIT $1"
        );
        let what = format!("it has {what}, and no row of its own");
        for row in db.query(&orphans, &[&many]).await? {
            findings.push(Finding::new(Some(read(&row, 0)?), None, &*what));
        }
    }
    senseless_rows(db, &mut findings).await?;
    Ok(findings)
}

async fn senseless_rows(db: &Session, findings: &mut Vec<Finding>) -> Result<(), Trouble> {
    let page = concat!("SELECT ", run_columns!(), " FROM ft_run r WHERE r.run > $1 ORDER BY r.run LIMIT $2");
    let (mut after, mut senseless) = (String::new(), 0);
    loop {
        let rows = db.query(page, &[&after, &PAGE]).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = read(last, 0)?;
        for row in &rows {
            match run_record(row) {
                Err(Trouble::Senseless(reason)) if senseless < MANY => {
                    senseless += 1;
                    findings.push(Finding::new(Some(read(row, 0)?), None, reason));
                }
                Ok(_) | Err(Trouble::Senseless(_)) => {}
                Err(trouble) => return Err(trouble),
            }
        }
    }
}
