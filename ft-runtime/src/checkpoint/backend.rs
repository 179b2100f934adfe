//! The trait that a store implements.

use std::fmt;
use std::sync::Arc;

use super::error::StoreError;
use super::record::{
    Abandoned, Appended, Claim, Claimed, Collected, Filter, Finding, Finish, Fork, Gc, Holder, Import, Lease, Left,
    Renewed, RunCopy, RunRecord, SaveState, StateRecord, Step, StepRecord, UnixMillis,
};
use super::ticket::Ticket;

/// A store of runs, steps and saved states, for one owner (one process start).
///
/// Every call enqueues its request before it returns, in the order of the calls, and answers through the
/// [`Ticket`]: what is enqueued is executed even if nobody waits for the answer. An answer that reports a write is
/// given only when the write would survive a power cut. A read sees every write that was enqueued before it. No call
/// blocks; [`full`](Self::full) says when a caller should wait before it begins something new.
///
/// # What every store must hold
/// - Each write checks its [`Lease`] in the transaction that writes: run, token, owner, and that the run is running.
/// - A claim of a run whose owner has died is granted at once where the store can see that it has died, and at the end
///   of its lease where it cannot. Each grant has a token larger than all that the store granted before: those of other
///   runs, and of runs that are deleted, included. The token of the grant that starts a run is its incarnation.
/// - A claim that is granted forgets a bounded number of other runs whose time is over ([`Granted`](super::Granted) says
///   which): a store does not grow for ever, and no run that a living owner executes is forgotten.
/// - `append` is one transaction for the whole batch, and never changes a recorded step.
/// - Requests that a store cannot fulfil leave it as it was.
pub trait Backend: Send + Sync + fmt::Debug {
    /// The URL that opens this store again.
    fn url(&self) -> &str;

    /// The owner that this handle claims for: new for each process start.
    fn owner(&self) -> &str;

    /// `None` while the store takes more. Otherwise a ticket that is answered when it does: a run or a step waits for it
    /// before it begins, since what it hands over at its end is taken in any case.
    fn full(&self) -> Option<Ticket<()>> {
        None
    }

    /// Values above so many bytes are kept in files of their own, by stores that can; others keep them where they are.
    fn files_above(&self, _bytes: u64) {}

    /// Claims a run and reads what is recorded of it.
    fn claim(&self, claim: Claim) -> Ticket<Claimed>;

    /// Records steps: one answer for each, in order.
    fn append(&self, steps: Vec<Step>) -> Ticket<Vec<Appended>>;

    /// Saves a version of a state. Fenced, it answers [`StoreError::Fenced`](super::StoreError::Fenced).
    fn put_state(&self, state: SaveState) -> Ticket<()>;

    /// The stored versions of a state, newest first.
    fn states(&self, run: &str, name: &str) -> Ticket<Vec<StateRecord>>;

    /// Ends a run with its output. Fenced, it answers [`StoreError::Fenced`](super::StoreError::Fenced).
    fn finish(&self, finish: Finish) -> Ticket<()>;

    /// Gives a claim back; the run stays resumable. Without effect if the run is not held any more.
    ///
    /// A run that failed has got as far as its body goes, so its recoveries are counted from 0 again; one that was
    /// interrupted keeps their number.
    fn release(&self, lease: Lease, at: UnixMillis, left: Left) -> Ticket<()>;

    /// `None` where a claim is kept for as long as its process lives. Otherwise a ticket that is answered, with the reason,
    /// when the claim is lost or can no longer be vouched for: whoever executes the run has to stop before somebody else may
    /// begin. If that does not happen before the claim is given back, the answer means nothing.
    fn lost(&self, _: &Lease) -> Option<Ticket<()>> {
        None
    }

    /// Why nothing may begin under a claim any more, as far as this process knows without asking anybody: looked at before
    /// each step is executed. `None` while it may.
    fn barred(&self, _: &Lease) -> Option<StoreError> {
        None
    }

    /// Runs to go on with, because nobody executes them any more: the one touched longest ago first, then by their ids.
    fn abandoned(&self, abandoned: Abandoned) -> Ticket<Vec<RunRecord>>;

    /// A ticket that is answered when another process may have left a run, so that it is worth asking for
    /// [`abandoned`](Self::abandoned) ones: a hint, which may come for nothing and may be missing. `None` where there is
    /// no such thing. A second ticket takes the place of the first one, which is answered
    /// [`Closed`](super::StoreError::Closed).
    fn wake(&self) -> Option<Ticket<()>> {
        None
    }

    /// Keeps every claim of this owner alive.
    fn renew(&self) -> Ticket<Renewed>;

    /// Runs in the order of their ids, without their outputs.
    fn list(&self, filter: Filter) -> Ticket<Vec<RunRecord>>;

    /// The sealed arguments of a run; `None` if there is no such run, or none were recorded.
    fn input(&self, run: &str) -> Ticket<Option<Arc<[u8]>>>;

    /// The sealed output of a run; `None` if there is no such run, or it is not finished.
    fn output(&self, run: &str) -> Ticket<Option<Arc<[u8]>>>;

    /// The recorded steps of a run, in the order in which they were recorded.
    fn steps(&self, run: &str) -> Ticket<Vec<StepRecord>>;

    /// Deletes a run and all that is recorded of it; `false` if there is none. A run that a living owner executes
    /// answers [`StoreError::RunBusy`](super::StoreError::RunBusy) and stays.
    fn delete(&self, run: &str) -> Ticket<bool>;

    /// Ends a run for good, whoever executes it: its next write is refused. `false` if there is none, or it has ended.
    fn cancel(&self, run: &str, at: UnixMillis) -> Ticket<bool>;

    /// Lets a parked run be claimed again, and go on by itself. `false` if it is not parked.
    fn resume(&self, run: &str, at: UnixMillis) -> Ticket<bool>;

    /// Starts a run with the first steps of another one, for somebody to claim.
    fn fork(&self, fork: Fork) -> Ticket<RunRecord>;

    /// Deletes runs by age and number. One that a living owner executes stays.
    fn gc(&self, gc: Gc) -> Ticket<Collected>;

    /// Those of the named runs that a living owner executes.
    fn holders(&self, runs: Vec<String>) -> Ticket<Vec<Holder>> {
        let _ = runs;
        unsupported(self.url(), "saying which owners live")
    }

    /// The stored versions of every state of a run: by name, and for each name the newest first.
    fn saved(&self, run: &str) -> Ticket<Vec<StateRecord>> {
        let _ = run;
        unsupported(self.url(), "listing saved states")
    }

    /// All that is recorded of a run, read at one moment; `None` if there is no such run.
    fn export(&self, run: &str) -> Ticket<Option<RunCopy>> {
        let _ = run;
        unsupported(self.url(), "reading a run at one moment")
    }

    /// Puts a copy of a run in, for somebody to claim: never over one that is there
    /// ([`StoreError::RunExists`]), and nothing that is damaged ([`StoreError::NotImported`]).
    fn import(&self, import: Import) -> Ticket<RunRecord> {
        let _ = import;
        unsupported(self.url(), "importing a run")
    }

    /// Checks the store below its runs: its own structure, what is there without a run, rows that make no sense. The
    /// values of the runs are checked by [`RunCopy::findings`].
    fn verify(&self) -> Ticket<Vec<Finding>> {
        unsupported(self.url(), "checking the store")
    }
}

/// The answer of a store that does not do what only tools ask for.
fn unsupported<T>(store: &str, doing: &'static str) -> Ticket<T> {
    let reason = "this kind of store does not do it".into();
    Ticket::ready(Err(StoreError::Failed { store: store.to_owned(), doing, reason }))
}
