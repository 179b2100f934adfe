//! What is said at the end, computed from the witness and the data.

use std::fmt;

use crate::Summary;
use crate::options::Protection;
use crate::progress::grouped;
use crate::tally::Tally;
use crate::unicode::Record;
use crate::witness::Witness;

#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) records: u64,
    pub(crate) tally: Tally,
    /// Effects on record when the server was killed, and when the importer was.
    pub(crate) server_killed_at: u64,
    pub(crate) resumed_at: u64,
    pub(crate) resent: u64,
    /// Records without an accepted effect.
    pub(crate) lost: u64,
    /// Effects executed once too often: under two keys, or twice under one.
    pub(crate) repeated: u64,
    /// The importer's own summary is what the data says.
    pub(crate) summary_is_right: bool,
    pub(crate) broken: Option<Protection>,
}

impl Report {
    pub(crate) fn new(
        records: &[Record],
        witness: &Witness,
        tally: Tally,
        (server_killed_at, resumed_at): (u64, u64),
        broken: Option<Protection>,
    ) -> Self {
        Self {
            records: records.len() as u64,
            server_killed_at,
            resumed_at,
            resent: witness.resent,
            lost: records.iter().filter(|record| !witness.executed.contains_key(&record.code)).count() as u64,
            repeated: witness.executed.values().map(|keys| keys.len() as u64 - 1).sum(),
            summary_is_right: tally.summary.as_ref() == Some(&Summary::of(records.iter().map(Record::category))),
            tally,
            broken,
        }
    }

    pub(crate) fn is_good(&self) -> bool {
        self.lost == 0 && self.repeated == 0 && self.summary_is_right
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |part: u64| format!("{:.0} % of the records were in", part as f64 * 100.0 / self.records as f64);
        let rows: [(&str, u64, &str); 8] = [
            ("records", self.records, ""),
            ("attempts", self.tally.attempts, "requests sent, over both lives of the importer"),
            ("retries", self.tally.retries, "the same server asked again"),
            ("failovers", self.tally.failovers, "the other server asked"),
            ("server lost at", self.server_killed_at, &percent(self.server_killed_at)),
            ("resumed at", self.resumed_at, &percent(self.resumed_at)),
            ("steps replayed", self.tally.replayed, "answered from the checkpoint, no request sent"),
            ("re-sent", self.resent, "answered from the servers' record, not executed again"),
        ];
        writeln!(f)?;
        for (name, figure, meaning) in rows {
            writeln!(f, "{}", format!("{name:<14} {:>8}   {meaning}", grouped(figure)).trim_end())?;
        }
        writeln!(f)?;
        if !self.summary_is_right {
            writeln!(f, "the importer's counts per category are not those of the data")?;
        }
        match self.broken {
            None => {}
            Some(Protection::Checkpoint) => writeln!(
                f,
                "switched off: the checkpoint. The second importer knew of no step: {} requests were sent again, \
                 and only their keys kept the servers from executing them twice.",
                grouped(self.resent)
            )?,
            Some(Protection::Key) => writeln!(
                f,
                "switched off: the idempotency key. {} effects were executed again because nobody could tell \
                 that their requests had come before.",
                grouped(self.repeated)
            )?,
        }
        write!(f, "quickstart: {} records, {} lost, {} repeated", self.records, self.lost, self.repeated)
    }
}
