//! What can be recorded, and what is said when it cannot.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Checkpoint;
use super::envelope::{Envelope, EnvelopeError, MAX_LEN, Place};
use super::error::CheckpointError;
use super::sealing::Sealing;
use crate::error::Error;

/// The result of a run or a step: a value that serialises and can be read back.
///
/// Implemented for every `T: Serialize + DeserializeOwned`; derive those, not this.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be recorded by `#[checkpoint]`",
    label = "`{Self}` must implement `serde::Serialize` and `serde::de::DeserializeOwned`",
    note = "derive them: `#[derive(serde::Serialize, serde::Deserialize)]`; a recorded value owns its data, it cannot borrow"
)]
pub trait Recorded: Serialize + DeserializeOwned {}

/// How a value of some type is sealed for its place.
pub(super) type Seal<T> = fn(&T, u16, &Place<'_>, &Sealing) -> Result<Vec<u8>, EnvelopeError>;

/// How an opened value is read by the code of a policy.
pub(super) type Read<T> = fn(&Envelope<'_>, &Checkpoint) -> Result<T, EnvelopeError>;

pub(super) fn read<T: Recorded>(envelope: &Envelope<'_>, policy: &Checkpoint) -> Result<T, EnvelopeError> {
    envelope.decode_with(policy.version, policy.migrate.map(|migrate| migrate.0))
}

/// An error of the call is recorded as what it is; a refusal of ours is not one, and refuses.
impl<E: Serialize> Serialize for Error<E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Failed(error) => error.serialize(serializer),
            Self::Rejected(_) => Err(serde::ser::Error::custom("a refusal is not recorded")),
        }
    }
}

impl<'de, E: Deserialize<'de>> Deserialize<'de> for Error<E> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        E::deserialize(deserializer).map(Self::Failed)
    }
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned> Recorded for T {}

impl EnvelopeError {
    /// The error of a run, about one of its values.
    pub(super) fn about(self, run: &str, what: String, now: u16) -> CheckpointError {
        let run = run.to_owned();
        match self {
            Self::Corrupt { what: reason } => CheckpointError::Corrupt { run, what, reason: reason.into_owned() },
            Self::Unsupported { what: part, found } => CheckpointError::Decode {
                run,
                what,
                recorded: format!("{part} {found} of a newer ft"),
                now: "values of this ft".into(),
                reason: "update ft".into(),
            },
            Self::FeatureMissing { feature } => CheckpointError::Decode {
                run,
                what,
                recorded: format!("a value that needs the feature `{feature}`"),
                now: "values of a build without it".into(),
                reason: format!("build ft-runtime with the feature `{feature}`"),
            },
            Self::KeyMissing { id, known } => CheckpointError::KeyMissing { run, what, key: id, known },
            Self::WrongKey { id } => CheckpointError::WrongKey { run, what, key: id },
            Self::NotEncrypted => CheckpointError::NotEncrypted { run, what },
            Self::FutureSchema { recorded, now } => CheckpointError::FutureSchema { run, what, recorded, now },
            Self::Decode { recorded, reason } => CheckpointError::Decode {
                run,
                what,
                recorded: format!("schema {recorded}"),
                now: format!("schema {now}"),
                reason,
            },
            Self::Encode { reason } => CheckpointError::Encode { run, what, reason },
            Self::TooLarge => CheckpointError::TooLarge { run, what, limit: MAX_LEN },
        }
    }

    /// The error of a value that did not survive being written and read.
    pub(super) fn not_round_trip(self, run: &str, step: &str) -> CheckpointError {
        let reason = match self {
            Self::Decode { reason, .. } => reason,
            other => format!("{other:?}"),
        };
        CheckpointError::NotRoundTrip { run: run.into(), step: step.into(), reason }
    }
}

/// Names stand in every message and every list.
const MAX_NAME: usize = 255;

/// A name that a store, a message and a list can bear.
pub(super) fn check_name(what: &'static str, name: &str) -> Result<(), CheckpointError> {
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.len() > MAX_NAME {
        "it is longer than 255 bytes"
    } else if name.chars().any(char::is_control) {
        "it contains a control character"
    } else {
        return Ok(());
    };
    let shown: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
    Err(CheckpointError::BadName { what, name: shown, reason })
}
