//! Saved state: a value whose latest durable version is loaded again.

mod cadence;
mod failure;

use std::any::type_name;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use self::cadence::Cadence;
use self::failure::Committing;
pub(super) use self::failure::Failure;
use super::active::Run;
use super::around::Around;
use super::envelope::{self, Envelope, EnvelopeError, Place};
use super::error::{CheckpointError, StoreError};
use super::record::{Newest, SaveState, StateRecord, unix_now};
use super::ticket::Ticket;
use super::value::{Recorded, Seal};
use super::{POLICY, failpoint};
use crate::observe::{self, What};
use crate::rejected::Rejected;
use crate::time;

/// Evolving state of a run: loaded from its latest durable version, or `T::default()` in a new run.
///
/// Change it through `DerefMut`, and say with [`mark`](Self::mark) where it is consistent. What happened after the last
/// durable version is executed again after a crash. Two versions are kept: if the newest one is damaged, the one
/// before is used and an event says so; if both are, loading fails. It never silently starts from nothing.
///
/// Steps called after a state was loaded need a `key`: counting them would start again at each resume.
///
/// ```
/// use ft_runtime::checkpoint::{Checkpoint, Saved, Store};
/// use ft_runtime::Rejected;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Rejected> {
/// let store = Store::open("memory:")?;
/// let run = Checkpoint::new().every(100).run("count").named("count").calls::<Result<u64, Rejected>>();
/// let counted = store.scope(run.run(async {
///     let mut count = Saved::<u64>::load("count").await?;
///     while *count < 1000 {
///         *count += 1;
///         count.mark().await?;
///     }
///     Ok(*count)
/// }));
/// assert_eq!(counted.await?, 1000);
/// # Ok(()) }
/// ```
///
/// # Cancel safety
///
/// Dropped, it hands over what was marked last, unless it was changed since; nothing waits for that.
pub struct Saved<T> {
    value: T,
    /// Changed since the last mark.
    touched: bool,
    /// Marked since the last save.
    unsaved: bool,
    /// Marks until the cadence has to be asked.
    left: u64,
    cadence: Cadence,
    link: Link,
    _open: Open,
    seal: Seal<T>,
    generation: u64,
    bad: Option<u64>,
}

/// Where the state belongs, and what it shares with the writes that are on their way.
#[derive(Debug)]
struct Link {
    run: Arc<Run>,
    name: Arc<str>,
    newest: Arc<Newest>,
    failure: Arc<Failure>,
}

impl Link {
    /// Where the versions of the state stand.
    fn place<'a>(&'a self, type_name: &'a str, generation: u64) -> Place<'a> {
        Place::State { incarnation: self.run.incarnation, run: self.run.id(), name: &self.name, type_name, generation }
    }
}

impl<T: Recorded + Default> Saved<T> {
    /// Loads the state of this name in the run around.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::NoRun`] outside of a run, [`CheckpointError::DuplicateKey`] while the state is loaded
    /// already, [`CheckpointError::Decode`] if the recorded value is of another type, [`CheckpointError::Corrupt`] if no
    /// kept version can be read, and the store's errors.
    pub async fn load(name: &str) -> Result<Self, Rejected> {
        let (link, open, ticket) = Self::ask(name)?;
        Ok(Self::choose(link, open, ticket.await?)?)
    }

    /// As [`load`](Self::load), blocking the thread.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn load_blocking(name: &str) -> Result<Self, Rejected> {
        let (link, open, ticket) = Self::ask(name)?;
        Ok(Self::choose(link, open, ticket.wait()?)?)
    }

    fn ask(name: &str) -> Result<(Link, Open, Ticket<Vec<StateRecord>>), CheckpointError> {
        let run = Around::with(|around| around.run.clone());
        let run = run.ok_or_else(|| CheckpointError::NoRun { step: name.into() })?;
        let failure = Arc::default();
        let name = run.take_state(name, &failure)?;
        let open = Open(Arc::clone(&run), Arc::clone(&name));
        let ticket = run.store.backend().states(run.id(), &name);
        let link = Link { run, name, newest: Arc::default(), failure };
        Ok((link, open, ticket))
    }

    fn choose(link: Link, open: Open, versions: Vec<StateRecord>) -> Result<Self, CheckpointError> {
        let generation = versions.first().map_or(0, |newest| newest.generation);
        let mut bad = None;
        let mut value = None;
        for version in &versions {
            match read::<T>(&link, version) {
                Ok(read) => {
                    link.run.goes_on_behind(version.steps);
                    value = Some(read);
                    break;
                }
                // Damage is what the version before is kept for. Anything else is a change of the code.
                Err(CheckpointError::Corrupt { reason, .. }) => {
                    bad.get_or_insert((version.generation, reason));
                }
                Err(error) => return Err(error),
            }
        }
        let value = match (value, &bad) {
            (Some(value), None) => value,
            (Some(value), Some((_, why))) => {
                let (run, state) = (link.run.id(), &*link.name);
                observe::emit(link.run.site, POLICY, What::FellBack { run, state, why });
                value
            }
            (None, None) => T::default(),
            (None, Some((_, reason))) => {
                return Err(CheckpointError::Corrupt {
                    run: link.run.id().into(),
                    what: format!("saved state `{}`, in all {} kept versions,", link.name, versions.len()),
                    reason: reason.clone(),
                });
            }
        };
        Ok(Self {
            value,
            touched: false,
            unsaved: false,
            left: Cadence::first_look(link.run.every),
            cadence: Cadence::new(link.run.every, link.run.between_failures),
            link,
            _open: open,
            seal: envelope::seal_with::<T>,
            generation,
            bad: bad.map(|(generation, _)| generation),
        })
    }
}

fn read<T: Recorded>(link: &Link, version: &StateRecord) -> Result<T, CheckpointError> {
    let (run, now) = (link.run.id(), link.run.version);
    let what = || format!("saved state `{}`", link.name);
    let place = link.place(&version.type_name, version.generation);
    let envelope = Envelope::open(&version.value, &place, link.run.store.sealing())
        .map_err(|error| error.about(run, what(), now))?;
    let (recorded_type, now_type) = (bare(&version.type_name), bare(type_name::<T>()));
    let decode = |reason| CheckpointError::Decode {
        run: run.into(),
        what: what(),
        recorded: format!("`{recorded_type}` of schema {}", envelope.schema()),
        now: format!("`{now_type}` of schema {now}"),
        reason,
    };
    // Where every field has a default, any map reads as the new type and everything in it is lost.
    if recorded_type != now_type && envelope.schema() == now {
        return Err(decode("the type has changed; if that is meant, raise `version`".into()));
    }
    envelope.decode_with(now, link.run.migrate).map_err(|error| match error {
        EnvelopeError::Decode { reason, .. } => decode(reason),
        error => error.about(run, what(), now),
    })
}

impl<T> Saved<T> {
    /// Says that the state is consistent here, and saves it if that is due.
    ///
    /// A mark that is not due costs a handful of instructions. One that is due encodes the state and hands it to the
    /// store without waiting for it; while a save is under way, the newest one waits its turn and replaces an older one
    /// that waits.
    ///
    /// # Errors
    ///
    /// That a save since the last mark failed, or that the state cannot be encoded.
    #[inline]
    pub async fn mark(&mut self) -> Result<(), Rejected> {
        if !self.is_looked_at() {
            return Ok(());
        }
        self.look()?;
        if self.link.run.stop.is_requested() {
            // In a box: marks are many, and this is the last one.
            Box::pin(self.stop()).await?;
        }
        Ok(())
    }

    /// As [`mark`](Self::mark), which never waits for the store either.
    ///
    /// # Errors
    ///
    /// As [`mark`](Self::mark).
    #[inline]
    pub fn mark_blocking(&mut self) -> Result<(), Rejected> {
        if self.is_looked_at() { self.look_or_stop_blocking() } else { Ok(()) }
    }

    /// Counts a mark; whether there is more to it.
    #[inline]
    fn is_looked_at(&mut self) -> bool {
        self.touched = false;
        self.unsaved = true;
        self.left -= 1;
        self.left == 0 || self.link.failure.is_untold()
    }

    #[cold]
    fn look_or_stop_blocking(&mut self) -> Result<(), Rejected> {
        self.look()?;
        if self.link.run.stop.is_requested() {
            self.commit_blocking()?;
        }
        Ok(())
    }

    /// The run is to stop: saves the state as it is, and rests.
    async fn stop(&mut self) -> Result<(), Rejected> {
        self.commit().await
    }

    /// Saves the state as it is, and waits until it is durable.
    ///
    /// Dropped while it waits, the state is saved all the same; if that fails, the next mark or commit says so.
    ///
    /// # Errors
    ///
    /// That this save, or one before it, failed; or that the state cannot be encoded.
    pub async fn commit(&mut self) -> Result<(), Rejected> {
        let answer = self.start_commit()?.await;
        self.end_commit(answer)?;
        if self.link.run.stop.is_requested() {
            return Err(self.link.run.rest().await.into());
        }
        Ok(())
    }

    /// As [`commit`](Self::commit), blocking the thread.
    ///
    /// # Errors
    ///
    /// As [`commit`](Self::commit).
    pub fn commit_blocking(&mut self) -> Result<(), Rejected> {
        let answer = self.start_commit()?.wait();
        self.end_commit(answer)?;
        if self.link.run.stop.is_requested() {
            return Err(self.link.run.refuse().into());
        }
        Ok(())
    }

    fn start_commit(&mut self) -> Result<Committing, CheckpointError> {
        let sealed = self.sealed()?;
        self.link.newest.put(self.generation, sealed);
        self.touched = false;
        self.unsaved = false;
        Ok(Committing::new(self.ask_to_write(), &self.link.failure))
    }

    fn end_commit(&mut self, answer: Result<(), StoreError>) -> Result<(), Rejected> {
        // A write that was waiting may have taken our value along, and failed.
        self.link.failure.tell()?;
        answer?;
        self.cadence.saved(time::now());
        Ok(())
    }

    #[cold]
    fn look(&mut self) -> Result<(), Rejected> {
        self.left = 1;
        self.link.failure.tell()?;
        if self.link.run.stop.is_requested() {
            return Ok(());
        }
        let now = match self.cadence.due() {
            Ok(now) => now,
            Err(left) => {
                self.left = left;
                return Ok(());
            }
        };
        self.hand_over()?;
        self.left = self.cadence.restart(now);
        Ok(())
    }

    /// Encodes the state and has it written, without waiting.
    fn hand_over(&mut self) -> Result<(), CheckpointError> {
        let sealed = self.sealed()?;
        self.unsaved = false;
        if self.link.newest.put(self.generation, sealed) {
            let failure = Arc::clone(&self.link.failure);
            self.ask_to_write().abandon(move |answer| failure.note(answer));
        }
        Ok(())
    }

    /// The value as a new version, which is a number further than the last one even if that was never written.
    fn sealed(&mut self) -> Result<Arc<[u8]>, CheckpointError> {
        let run = &self.link.run;
        let generation = self.generation + 1;
        let sealed =
            (self.seal)(&self.value, run.version, &self.link.place(type_name::<T>(), generation), run.store.sealing())
                .map_err(|error| error.about(run.id(), format!("saved state `{}`", self.link.name), run.version))?;
        self.generation = generation;
        failpoint::pass("state: sealed")?;
        Ok(sealed.into())
    }

    fn ask_to_write(&self) -> Ticket<()> {
        let link = &self.link;
        link.run.store.backend().put_state(SaveState {
            lease: link.run.lease.clone(),
            name: Arc::clone(&link.name),
            bad: self.bad,
            type_name: type_name::<T>(),
            value: Arc::clone(&link.newest),
            version: link.run.version.into(),
            at: unix_now(),
        })
    }
}

impl<T> Drop for Saved<T> {
    fn drop(&mut self) {
        if self.unsaved && !self.touched {
            // Nobody is left to hear of a failure; what was saved before stays.
            let _ = self.hand_over();
        }
    }
}

impl<T> Deref for Saved<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Saved<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.touched = true;
        &mut self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Saved<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Saved").field("name", &self.link.name).field("value", &self.value).finish_non_exhaustive()
    }
}

/// One `Saved` at a time has a name; writes of it that are still on their way do not count.
struct Open(Arc<Run>, Arc<str>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.give_state_back(&self.1);
    }
}

/// A type's name without the modules, which move without meaning anything.
fn bare(type_name: &str) -> String {
    let mut bare = String::with_capacity(type_name.len());
    let mut word = 0;
    for character in type_name.chars() {
        if character == ':' {
            bare.truncate(word);
            continue;
        }
        bare.push(character);
        if !character.is_alphanumeric() && character != '_' {
            word = bare.len();
        }
    }
    bare
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_known_by_its_name_without_modules() {
        assert_eq!(bare("a::b::Progress"), "Progress");
        assert_eq!(bare("alloc::vec::Vec<core::option::Option<a::b_c::D>>"), "Vec<Option<D>>");
        assert_eq!(bare("(u8, &a::B)"), "(u8, &B)");
    }
}
