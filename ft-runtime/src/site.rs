//! The stable name of one protected function.

use std::fmt;
use std::ops::Deref;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::counter::Counter;
use crate::faults::{FaultEntry, FaultLog};
use crate::sync::{Mutex, lock};

/// The place of one protected function: what its metrics, its configuration and its fault log are filed under.
///
/// Attributes make one for each function; with a policy value make one with [`site!`](crate::site!):
///
/// ```
/// use ft_runtime::{Retry, site};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// static DB: Retry = Retry::new();
/// let row: Result<u32, std::io::Error> = DB.at(site!("load-row")).call(|| async { Ok(7) }).await;
/// # assert_eq!(row.unwrap(), 7);
/// # }
/// ```
pub struct Site {
    name: Name,
    file: &'static str,
    line: u32,
    path: OnceLock<String>,
    state: AtomicUsize,
    calls: Counter,
    faults: Mutex<FaultLog>,
}

enum Name {
    /// Written by the user.
    Given(&'static str),
    /// Answers the type name of a closure inside the function, which carries the function's path.
    OfFunction(fn() -> &'static str),
}

/// `Site::state`: nobody has called yet. An obstacle to counting, see [`Counter::bump_unless`].
const UNREGISTERED: usize = usize::MAX;
/// `Site::state`: listed in the registry.
const REGISTERED: usize = 0;

impl Site {
    /// A site named by hand. The name must be unique in the program to be of use in reports.
    pub const fn named(name: &'static str, file: &'static str, line: u32) -> Self {
        Self::new(Name::Given(name), file, line)
    }

    /// A site named after the function that holds it: `name` answers the type name of a closure written there.
    /// [`site!`](crate::site!) writes this.
    pub const fn of_function(name: fn() -> &'static str, file: &'static str, line: u32) -> Self {
        Self::new(Name::OfFunction(name), file, line)
    }

    const fn new(name: Name, file: &'static str, line: u32) -> Self {
        Self {
            name,
            file,
            line,
            path: OnceLock::new(),
            state: AtomicUsize::new(UNREGISTERED),
            calls: Counter::new(),
            faults: Mutex::new(FaultLog::new()),
        }
    }

    /// Counts a call, and registers the site at the first one. Sessions take the answer, so that no call is filed
    /// uncounted and none is counted twice; what makes sessions itself (policy values, layers) takes the site.
    #[inline]
    pub fn enter(&'static self) -> Entered {
        if !self.calls.bump_unless(self.state.load(Ordering::Relaxed)) {
            self.enter_first();
        }
        Entered { site: self }
    }

    /// The stable path, `crate::module::Type::method`, or the given name.
    pub fn path(&self) -> &str {
        match self.name {
            Name::Given(name) => name,
            Name::OfFunction(name) => self.path.get_or_init(|| function_path(name())),
        }
    }

    /// Where it is written: file and line.
    pub fn location(&self) -> (&'static str, u32) {
        (self.file, self.line)
    }

    /// How many calls have come so far.
    pub fn calls(&self) -> u64 {
        self.calls.get()
    }

    /// The last faults seen here, newest last; bounded, equal ones counted together.
    pub fn faults(&self) -> Vec<FaultEntry> {
        lock(&self.faults).entries()
    }

    pub(crate) fn fault_log(&self) -> &Mutex<FaultLog> {
        &self.faults
    }

    /// The first call, or the first one of a thread.
    #[cold]
    #[inline(never)]
    fn enter_first(&'static self) {
        let mut registry = lock(&REGISTRY);
        if self.state.swap(REGISTERED, Ordering::Relaxed) == UNREGISTERED {
            registry.push(self);
        }
        drop(registry);
        self.calls.bump_first();
    }
}

/// One counted call at a [`Site`]: what [`Site::enter`] answers.
#[derive(Clone, Copy, Debug)]
pub struct Entered {
    pub(crate) site: &'static Site,
}

impl Deref for Entered {
    type Target = Site;

    fn deref(&self) -> &Site {
        self.site
    }
}

/// All sites that were called so far, in the order of their first calls. Their number is bounded by the program text.
pub fn sites() -> Vec<&'static Site> {
    lock(&REGISTRY).clone()
}

static REGISTRY: Mutex<Vec<&'static Site>> = Mutex::new(Vec::new());

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site")
            .field("path", &self.path())
            .field("file", &self.file)
            .field("line", &self.line)
            .field("calls", &self.calls())
            .finish_non_exhaustive()
    }
}

/// The [`Site`] of the place where this is written: `site!()` is named after the function around it, `site!("name")`
/// as you say.
#[macro_export]
macro_rules! site {
    () => {{
        static FT_SITE: $crate::Site =
            $crate::Site::of_function(|| ::core::any::type_name_of_val(&|| {}), ::core::file!(), ::core::line!());
        &FT_SITE
    }};
    ($name:expr) => {{
        static FT_SITE: $crate::Site = $crate::Site::named($name, ::core::file!(), ::core::line!());
        &FT_SITE
    }};
}

/// Cuts `<crate::m::Type<_> as crate::m::Trait>::method::FT_SITE::{{closure}}` down to `crate::m::Type::method`.
fn function_path(type_name: &str) -> String {
    let path = type_name.split("::FT_SITE").next().unwrap_or(type_name);
    let path = match path.strip_prefix('<').and_then(|rest| self_type_and_rest(rest)) {
        Some((self_type, rest)) => format!("{self_type}{rest}"),
        None => path.to_owned(),
    };
    let mut cut = String::with_capacity(path.len());
    let mut depth = 0usize;
    for character in path.chars() {
        match character {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            _ if depth == 0 => cut.push(character),
            _ => {}
        }
    }
    cut.replace("::{{closure}}", "")
}

/// Splits `Type<_> as Trait<_>>::method` into the type and what follows the closing bracket.
fn self_type_and_rest(path: &str) -> Option<(&str, &str)> {
    let mut depth = 1usize;
    let mut type_end = None;
    for (at, character) in path.char_indices() {
        match character {
            '<' => depth += 1,
            '>' => {
                depth -= 1;
                if depth == 0 {
                    return Some((&path[..type_end.unwrap_or(at)], &path[at + 1..]));
                }
            }
            ' ' if depth == 1 && type_end.is_none() && path[at..].starts_with(" as ") => type_end = Some(at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Shop<T>(T);

    trait Pay {
        fn pay(&self) -> &'static Site;
    }

    impl<T> Shop<T> {
        fn charge(&self) -> &'static Site {
            let _ = &self.0;
            site!()
        }
    }

    impl<T> Pay for Shop<T> {
        fn pay(&self) -> &'static Site {
            site!()
        }
    }

    async fn refund<T>(_: T) -> &'static Site {
        site!()
    }

    #[tokio::test]
    async fn a_site_is_named_after_its_function_whatever_kind_it_is() {
        assert_eq!(Shop(1).charge().path(), "ft_runtime::site::tests::Shop::charge");
        assert_eq!(Shop("x").pay().path(), "ft_runtime::site::tests::Shop::pay");
        assert_eq!(refund(vec![1]).await.path(), "ft_runtime::site::tests::refund");
        assert_eq!(site!("by hand").path(), "by hand");
    }

    #[test]
    fn paths_of_nested_generics_are_cut_clean() {
        let of = function_path;
        assert_eq!(of("<a::B<c::D<_>> as e::F<g::H>>::i::FT_SITE::{{closure}}::{{closure}}"), "a::B::i");
        assert_eq!(of("a::b::{{closure}}::FT_SITE::{{closure}}"), "a::b");
        assert_eq!(of("<u32 as a::T>::m::FT_SITE"), "u32::m");
    }

    #[test]
    fn the_first_call_of_a_site_and_the_first_of_a_thread_count_once_each() {
        let (known, new) = (site!("known"), site!("new"));
        known.enter();
        std::thread::spawn(|| known.enter()).join().unwrap();
        assert_eq!(known.calls(), 2);
        new.enter();
        assert_eq!((known.calls(), new.calls()), (2, 1));
    }

    #[test]
    fn a_site_is_listed_once_it_was_called_and_counts_its_calls() {
        let site = site!("counted");
        assert!(!sites().iter().any(|listed| listed.path() == "counted"));
        for _ in 0..3 {
            site.enter();
        }
        assert_eq!(site.calls(), 3);
        assert_eq!(sites().iter().filter(|listed| listed.path() == "counted").count(), 1);
    }
}
