//! What the importer tells the supervisor while it lives: one line on stdout for each event, written at once, because a
//! process that is about to be killed cannot keep its own count.

use std::io::Write as _;

use ft_runtime::observe::{self, What};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::sync::mpsc;

use crate::Summary;

#[derive(Debug, Deserialize, Serialize)]
pub(crate) enum Event {
    /// A request was sent.
    Attempt,
    /// The same server is asked again.
    Retry,
    /// Another server is asked.
    Failover,
    /// A step was answered from the record of an earlier life.
    Replayed,
    /// A server gets no more requests for a while.
    Ejected(String),
    /// The import has ended well.
    Done(Summary),
}

/// Tells what ft does.
pub(crate) fn hear(event: &observe::Event<'_>) {
    match event.what {
        What::Retrying { .. } => tell(&Event::Retry),
        What::FailedOver { .. } => tell(&Event::Failover),
        What::Replayed { .. } => tell(&Event::Replayed),
        What::Health { target, to: "ejected", .. } => tell(&Event::Ejected(target.to_owned())),
        _ => {}
    }
}

/// Tells the supervisor. Without one (it died) there is nobody to tell.
pub(crate) fn tell(event: &Event) {
    if let Ok(line) = serde_json::to_string(event) {
        let _ = writeln!(std::io::stdout(), "{line}");
    }
}

/// What an importer told, over all its lives.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) attempts: u64,
    pub(crate) retries: u64,
    pub(crate) failovers: u64,
    pub(crate) replayed: u64,
    pub(crate) summary: Option<Summary>,
}

impl Tally {
    /// Listens until the importer has ended. What is worth a line goes to `news` as well.
    pub(crate) async fn listen(importer: impl AsyncRead + Unpin, news: mpsc::Sender<String>) -> std::io::Result<Self> {
        let mut tally = Self::default();
        let mut lines = BufReader::new(importer).lines();
        while let Some(line) = lines.next_line().await? {
            match serde_json::from_str(&line)? {
                Event::Attempt => tally.attempts += 1,
                Event::Retry => tally.retries += 1,
                Event::Failover => tally.failovers += 1,
                Event::Replayed => tally.replayed += 1,
                Event::Ejected(server) => {
                    // Nobody waits for news; what does not fit is dropped.
                    let _ = news.try_send(format!("ft ejects server {server}: no requests for a while"));
                }
                Event::Done(summary) => tally.summary = Some(summary),
            }
        }
        Ok(tally)
    }

    /// Both lives together; the summary is the later one's.
    pub(crate) fn and(self, later: Self) -> Self {
        Self {
            attempts: self.attempts + later.attempts,
            retries: self.retries + later.retries,
            failovers: self.failovers + later.failovers,
            replayed: self.replayed + later.replayed,
            summary: later.summary,
        }
    }
}
