//! What is asked of the readers.

use std::future::Future;
use std::sync::Arc;

use super::hold::Hold;
use super::reader::Look;
use super::requests;
use super::session::{Session, Trouble};
use crate::checkpoint::record::{Abandoned, Filter, Finding, Holder, RunCopy, RunRecord, StateRecord, StepRecord};

/// The versions of a state.
pub(super) struct States {
    pub(super) run: String,
    pub(super) name: String,
}

impl Look for States {
    type Answer = Vec<StateRecord>;

    fn look(&self, db: &Session) -> impl Future<Output = Result<Self::Answer, Trouble>> + Send {
        requests::states_of(&self.run, &self.name, db)
    }
}

impl Look for Filter {
    type Answer = Vec<RunRecord>;

    fn look(&self, db: &Session) -> impl Future<Output = Result<Self::Answer, Trouble>> + Send {
        requests::runs_of(self, db)
    }
}

/// The runs that nobody executes.
pub(super) struct Nobodys(pub(super) Abandoned, pub(super) Arc<Hold>);

impl Look for Nobodys {
    type Answer = Vec<RunRecord>;

    fn look(&self, db: &Session) -> impl Future<Output = Result<Self::Answer, Trouble>> + Send {
        requests::abandoned(&self.0, db, &self.1)
    }
}

/// The arguments of a run.
pub(super) struct Input(pub(super) String);

impl Look for Input {
    type Answer = Option<Arc<[u8]>>;

    fn look(&self, db: &Session) -> impl Future<Output = Result<Self::Answer, Trouble>> + Send {
        requests::input_of(&self.0, db)
    }
}

/// The output of a run.
pub(super) struct Output(pub(super) String);

impl Look for Output {
    type Answer = Option<Arc<[u8]>>;

    fn look(&self, db: &Session) -> impl Future<Output = Result<Self::Answer, Trouble>> + Send {
        requests::output_of(&self.0, db)
    }
}

/// The steps of a run.
pub(super) struct Steps(pub(super) String);

impl Look for Steps {
    type Answer = Vec<StepRecord>;

    fn look(&self, db: &Session) -> impl Future<Output = Result<Self::Answer, Trouble>> + Send {
        requests::steps_of(&self.0, db)
    }
}

/// Who executes some runs.
pub(super) struct Holders(pub(super) Vec<String>);

impl Look for Holders {
    type Answer = Vec<Holder>;

    fn look(&self, db: &Session) -> impl Future<Output = Result<Self::Answer, Trouble>> + Send {
        requests::holders(&self.0, db)
    }
}

/// The versions of all states of a run.
pub(super) struct Saved(pub(super) String);

impl Look for Saved {
    type Answer = Vec<StateRecord>;

    fn look(&self, db: &Session) -> impl Future<Output = Result<Self::Answer, Trouble>> + Send {
        requests::saved_of(&self.0, db)
    }
}

/// All of a run.
pub(super) struct Export(pub(super) String);

impl Look for Export {
    type Answer = Option<RunCopy>;

    fn look(&self, db: &Session) -> impl Future<Output = Result<Self::Answer, Trouble>> + Send {
        requests::export(&self.0, db)
    }
}

/// What is wrong with the store below its runs.
pub(super) struct Verify;

impl Look for Verify {
    type Answer = Vec<Finding>;

    fn look(&self, db: &Session) -> impl Future<Output = Result<Self::Answer, Trouble>> + Send {
        requests::verify(db)
    }
}
