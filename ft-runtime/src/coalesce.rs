//! One execution for many equal calls.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::future::Future;
use std::ops::Deref;

use crate::rejected::FromRejected;
use crate::site::{Entered, Site};
use crate::sync::{Mutex, lock};

mod flight;

use flight::AnyFlight;
pub use flight::{Coalesced, Plain, Shares, Work};

/// Lets calls with the same key share one execution: the first one runs, the others wait for its outcome and get a clone
/// of it.
///
/// # When not to use it
///
/// Where each call must have its own effect. As a cache: the outcome is gone when the execution is over, and the next
/// call runs again. Where callers have deadlines of very different lengths: an outcome is shared as it is, a limit of the
/// caller that runs it included.
///
/// # Defaults
///
/// | setting | default |
/// |---|---|
/// | [`max_keys`](Self::max_keys) | 1024 keys in flight at one time; beyond that a call runs alone |
///
/// # What happens
///
/// - **The caller that runs is dropped**: the one that has waited longest takes over, and runs its own call. It is one at
///   a time, whoever leaves.
/// - **The caller that runs panics**: its panic is its own; the others get [`Rejected::LeaderPanicked`](crate::Rejected::LeaderPanicked), and the next call
///   runs anew.
/// - **Errors are shared** like values. A retry belongs inside, where it is made once for all, or outside, where those that
///   come back at the same moment share again.
/// - **Keys are compared as text**, in full. Calls that return another type never meet, whatever their key.
/// - A call that makes a call with the same key inside waits for itself. Give the inner one another key.
///
/// # Doors
///
/// ```
/// use ft_runtime::{Coalesce, Error, coalesce};
///
/// #[coalesce(key = id)]                                    // annotate a function
/// async fn load(id: u64) -> Result<String, Error<u32>> {
///     Ok(format!("row {id}"))
/// }
///
/// static ROWS: Coalesce = Coalesce::new();                 // state: a `static` or an `Arc`
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// assert_eq!(load(7).await.unwrap(), "row 7");
/// let row = ROWS.run("row 8", async { Ok::<_, Error<u32>>(8) });  // call the value
/// assert_eq!(row.await, Ok(8));
/// # }
/// // or stack a layer: ft_tower::CoalesceLayer::new(&ROWS, |request| request.uri().path().to_owned())
/// ```
///
/// # Events
///
/// [`TookOver`](crate::observe::What::TookOver) when a waiting call takes over.
///
/// # Cancel safety
///
/// Dropping a call that waits costs nobody anything; dropping the one that runs hands the work on.
#[derive(Debug)]
pub struct Coalesce {
    max_keys: u32,
    flights: Mutex<Flights>,
}

/// What is in flight: by the type of the outcome, and by key.
#[derive(Debug)]
struct Flights {
    count: u32,
    by_type: BTreeMap<TypeId, BTreeMap<Box<str>, AnyFlight>>,
}

impl Coalesce {
    /// A coalesce with the defaults.
    pub const fn new() -> Self {
        Self { max_keys: 1024, flights: Mutex::new(Flights { count: 0, by_type: BTreeMap::new() }) }
    }

    /// How many keys may be in flight at one time: 1024 by default. A call with a further key runs alone.
    ///
    /// # Panics
    ///
    /// On zero; in a constant or a `static`, and so in an attribute, that is a compile error.
    #[track_caller]
    pub const fn max_keys(mut self, max_keys: u32) -> Self {
        assert!(max_keys >= 1, "max_keys must be at least 1");
        self.max_keys = max_keys;
        self
    }

    /// How many keys are in flight now.
    pub fn in_flight(&self) -> usize {
        lock(&self.flights).count as usize
    }

    /// The session of one call that returns `R`: what the attribute uses.
    #[inline]
    pub fn calls<R: Sharable>(&self) -> CoalesceCalls<&Self, R::Value, R::Error> {
        CoalesceCalls::begin::<R>(self)
    }

    /// As [`calls`](Self::calls), for a session that outlives the borrow: `policy` is an `Arc<Coalesce>` or a
    /// [`Shared<Coalesce>`](crate::Shared).
    #[inline]
    pub fn calls_of<R: Sharable, P: Deref<Target = Self>>(policy: P) -> CoalesceCalls<P, R::Value, R::Error> {
        CoalesceCalls::begin::<R>(policy)
    }

    /// Runs the call, or waits for one with the same key that is running.
    ///
    /// # Errors
    ///
    /// Those of the call that ran, and [`Rejected::LeaderPanicked`](crate::Rejected::LeaderPanicked).
    pub async fn run<T, E>(&self, key: impl Display, call: impl Future<Output = Result<T, E>>) -> Result<T, E>
    where
        T: Clone + Send + 'static,
        E: FromRejected + Clone + Send + 'static,
    {
        self.calls::<Result<T, E>>().key(&key).run(call).await
    }

    /// Files the calls under a site, see [`site!`](crate::site!).
    pub fn at(&self, site: &'static Site) -> CoalesceWith<'_> {
        CoalesceWith { policy: self, site }
    }
}

impl Default for Coalesce {
    fn default() -> Self {
        Self::new()
    }
}

/// A coalesce with a site, ready to call.
#[derive(Clone, Copy, Debug)]
pub struct CoalesceWith<'p> {
    policy: &'p Coalesce,
    site: &'static Site,
}

impl CoalesceWith<'_> {
    /// As [`Coalesce::run`].
    ///
    /// # Errors
    ///
    /// Those of the call that ran, and [`Rejected::LeaderPanicked`](crate::Rejected::LeaderPanicked).
    pub async fn run<T, E>(self, key: impl Display, call: impl Future<Output = Result<T, E>>) -> Result<T, E>
    where
        T: Clone + Send + 'static,
        E: FromRejected + Clone + Send + 'static,
    {
        self.policy.calls::<Result<T, E>>().at(self.site.enter()).key(&key).run(call).await
    }
}

/// An outcome that several callers can share.
///
/// Implemented for every `Result<T, E>` whose value and error are `Clone + Send + 'static`, and whose error can hold a
/// [`Rejected`](crate::Rejected).
#[diagnostic::on_unimplemented(
    message = "calls that share one execution each need the outcome, so its value and its error must be `Clone + Send + 'static`",
    label = "`{Self}` cannot be shared",
    note = "wrap what cannot be cloned: `Arc<T>` for a value, `Arc<Error>` inside of an error",
    note = "the error must be able to hold a `Rejected` as well: `#[error(transparent)] Rejected(#[from] ft_runtime::Rejected)`, or `ft_runtime::Error<E>`"
)]
pub trait Sharable: sealed::Sealed {
    /// The type of a success.
    type Value;
    /// The type of a failure.
    type Error;
    /// What sharing asks of them.
    #[doc(hidden)]
    const SHARES: Shares<Self::Value, Self::Error>;
}

#[diagnostic::do_not_recommend]
impl<T, E> Sharable for Result<T, E>
where
    T: Clone + Send + 'static,
    E: FromRejected + Clone + Send + 'static,
{
    type Value = T;
    type Error = E;
    const SHARES: Shares<T, E> = Shares::NEW;
}

mod sealed {
    pub trait Sealed {}
    impl<T, E> Sealed for Result<T, E> {}
}

/// One call that may share its execution: see [`Coalesce::calls`].
#[derive(Debug)]
#[must_use = "nothing runs before `run`"]
pub struct CoalesceCalls<P, T, E> {
    policy: P,
    site: Option<&'static Site>,
    key: String,
    shares: Shares<T, E>,
}

impl<P: Deref<Target = Coalesce>, T, E> CoalesceCalls<P, T, E> {
    #[inline]
    fn begin<R: Sharable<Value = T, Error = E>>(policy: P) -> Self {
        Self { policy, site: None, key: String::new(), shares: R::SHARES }
    }

    /// Files the call under its site: `calls.at(site!().enter())`.
    #[inline]
    pub fn at(self, site: Entered) -> Self {
        Self { site: Some(site.site), ..self }
    }

    /// What makes calls equal: `key = expr` of the attribute. Without one, all are.
    pub fn key(mut self, key: &(impl Display + ?Sized)) -> Self {
        self.key.clear();
        // A `String` takes everything, and a `Display` that fails has said what it has to say.
        let _ = write!(self.key, "{key}");
        self
    }

    /// Runs the call, or waits for an equal one that is running. Which it is is known at the first poll.
    #[inline]
    pub fn run<F: Future<Output = Result<T, E>>>(self, call: F) -> Coalesced<P, T, E, Plain<F>> {
        self.work(Plain::new(call))
    }

    /// As [`run`](Self::run), for work that can be set aside while another call runs.
    #[doc(hidden)]
    #[inline]
    pub fn work<W: Work<Output = Result<T, E>>>(self, work: W) -> Coalesced<P, T, E, W> {
        Coalesced::new(self, work)
    }
}

const POLICY: &str = "coalesce";

#[cfg(test)]
mod tests;
