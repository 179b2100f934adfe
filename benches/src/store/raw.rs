//! SQLite and the disk without us: what nobody can do better than.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc;
use std::time::Instant;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use super::{Sample, VALUE};

/// A file that is appended to, and synced after each record.
pub(super) fn append_and_sync(path: &Path) -> impl FnMut(usize) -> Sample + use<> {
    let mut file = File::options().create(true).append(true).open(path).expect("a file on the disk");
    let record = [7; VALUE + 16];
    move |writes| {
        Sample::of(writes, || {
            file.write_all(&record).expect("a disk with room");
            file.sync_data().expect("a disk that syncs");
        })
    }
}

/// A table of values in WAL mode with `synchronous=FULL`.
pub(super) fn table(path: &Path) -> Connection {
    let db = Connection::open(path).expect("a database");
    db.pragma_update(None, "journal_mode", "wal").expect("a write-ahead log");
    db.pragma_update(None, "synchronous", "full").expect("a sync for each commit");
    db.execute_batch("CREATE TABLE record (id INTEGER PRIMARY KEY, value BLOB NOT NULL)").expect("a table");
    db
}

fn insert(db: &Connection, value: &[u8]) {
    let insert = db.prepare_cached("INSERT INTO record (value) VALUES (?1)");
    insert.and_then(|mut insert| insert.execute([value])).expect("a record");
}

/// One record after the other, each in a transaction of its own.
pub(super) fn one_by_one(path: &Path) -> impl FnMut(usize) -> Sample + use<> {
    let db = table(path);
    let value = [7; VALUE];
    move |writes| Sample::of(writes, || insert(&db, &value))
}

type Request = (Vec<u8>, oneshot::Sender<()>);

/// Many producers and one writer, which takes all that waits into one transaction.
pub(super) fn group_commit(
    path: &Path,
    producers: usize,
    runtime: &'static tokio::runtime::Runtime,
) -> impl FnMut(usize) -> Sample + use<> {
    let mut db = table(path);
    let (sender, requests) = mpsc::channel::<Request>();
    std::thread::spawn(move || {
        while let Ok(first) = requests.recv() {
            let mut batch = vec![first];
            batch.extend(requests.try_iter().take(1023));
            let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate).expect("a transaction");
            batch.iter().for_each(|(value, _)| insert(&transaction, value));
            transaction.commit().expect("a commit");
            for (_, answer) in batch {
                _ = answer.send(());
            }
        }
    });
    move |writes| {
        let produce = |_| {
            let sender = sender.clone();
            async move {
                let mut waits = Vec::with_capacity(writes);
                for _ in 0..writes {
                    let began = Instant::now();
                    let (answer, answered) = oneshot::channel();
                    sender.send((vec![7; VALUE], answer)).expect("a writer");
                    answered.await.expect("an answer");
                    waits.push(began.elapsed());
                }
                waits
            }
        };
        runtime.block_on(async {
            let began = Instant::now();
            let tasks: Vec<_> = (0..producers).map(produce).map(tokio::spawn).collect();
            let mut waits = Vec::new();
            for task in tasks {
                waits.extend(task.await.expect("a producer"));
            }
            Sample { took: began.elapsed(), waits }
        })
    }
}
