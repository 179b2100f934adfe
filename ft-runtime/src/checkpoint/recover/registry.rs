//! The functions of this program whose runs go on by themselves.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::inputs::Inputs;

/// A function whose runs are started again by [`recover`](super::recover()): what `#[checkpoint(run = .., recover)]`
/// registers with [`recoverable!`](crate::recoverable).
pub struct Recoverable {
    function: &'static str,
    module: &'static str,
    version: fn() -> u32,
    upgrades: fn() -> bool,
    start: fn(&Inputs) -> Result<Start, CheckpointError>,
}

impl Recoverable {
    /// A function that is recorded under this name, as a version of the code, whether that goes on with runs of older
    /// versions, and how it is called.
    pub const fn new(
        function: &'static str,
        module: &'static str,
        version: fn() -> u32,
        upgrades: fn() -> bool,
        start: fn(&Inputs) -> Result<Start, CheckpointError>,
    ) -> Self {
        Self { function, module, version, upgrades, start }
    }

    /// The name that its runs are recorded under.
    pub fn function(&self) -> &'static str {
        self.function
    }

    /// The module that it stands in.
    pub fn module(&self) -> &'static str {
        self.module
    }

    /// The version of its code.
    pub fn version(&self) -> u32 {
        (self.version)()
    }

    /// Whether it goes on with a run that this version of the code started, or took over.
    pub fn continues(&self, version: u32) -> bool {
        version == self.version() || (version < self.version() && (self.upgrades)())
    }

    pub(super) fn start(&self, inputs: &Inputs) -> Result<Start, CheckpointError> {
        (self.start)(inputs)
    }
}

impl fmt::Debug for Recoverable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recoverable")
            .field("function", &self.function)
            .field("module", &self.module)
            .field("version", &self.version())
            .finish_non_exhaustive()
    }
}

inventory::collect!(Recoverable);

/// All functions of this program that are registered.
pub fn recoverable() -> impl Iterator<Item = &'static Recoverable> {
    inventory::iter::<Recoverable>()
}

/// A call of a function with its recorded arguments, ready to be made.
pub struct Start(pub(super) Starting);

pub(super) enum Starting {
    Async(Pin<Box<dyn Future<Output = ()> + Send>>),
    Blocking(Box<dyn FnOnce() + Send>),
}

impl Start {
    /// A call that is a future. What it answers is nobody's; what became of the run, the store knows.
    pub fn new<F: Future + Send + 'static>(call: F) -> Self {
        Self(Starting::Async(Box::pin(async move {
            call.await;
        })))
    }

    /// A call that blocks, which gets a thread of its own.
    pub fn blocking<R>(call: impl FnOnce() -> R + Send + 'static) -> Self {
        Self(Starting::Blocking(Box::new(move || {
            call();
        })))
    }
}

impl fmt::Debug for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Starting::Async(_) => "Start(future)",
            Starting::Blocking(_) => "Start(blocking)",
        })
    }
}

/// Registers a function whose runs [`recover`](crate::checkpoint::recover()) starts again:
/// `#[checkpoint(run = .., recover)]` writes this into its body.
///
/// It takes the name that its runs are recorded under, the version of its code, and how to call it with what was recorded.
/// A function of this kind records its arguments with [`RunCall::recover`](crate::checkpoint::RunCall::recover). Behind the
/// version may stand `true`: it goes on with runs of older versions too, as its policy has a
/// [`migrate`](crate::Checkpoint::migrate).
///
/// ```
/// use ft_runtime::checkpoint::{Checkpoint, Inputs, Start};
/// use ft_runtime::{Error, recoverable};
///
/// async fn bill(id: u32) -> Result<u32, Error<String>> {
///     recoverable!("bill", 0, |inputs| {
///         let id: u32 = inputs.get("id")?;
///         Ok(Start::new(async move { bill(id).await }))
///     });
///     let run = Checkpoint::new().run(format!("bill-{id}")).named("bill").recover(Inputs::new().with("id", &id));
///     run.calls::<Result<u32, Error<String>>>().run(async { Ok(id) }).await
/// }
/// ```
#[macro_export]
macro_rules! recoverable {
    ($function:expr, $version:expr, $start:expr) => {
        $crate::recoverable!($function, $version, false, $start);
    };
    ($function:expr, $version:expr, $upgrades:expr, $start:expr) => {
        $crate::checkpoint::__submit! {
            $crate::checkpoint::Recoverable::new(
                $function,
                ::core::module_path!(),
                || $version,
                || $upgrades,
                $start,
            )
        }
    };
}
