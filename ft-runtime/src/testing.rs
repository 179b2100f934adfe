//! For tests, ours and our users': time that does not pass by itself, randomness that repeats, retries that are cut
//! short, outcomes by script.
//!
//! | what | for |
//! |---|---|
//! | [`VirtualTime`] | blocking waits that take no time; asynchronous code has `#[tokio::test(start_paused = true)]` |
//! | [`Seed`] | the same jitter in every run of a test |
//! | [`AttemptCap`] | a test of what happens when the retries are used up, without waiting for them |
//! | [`Script`] | a dependency that fails as it is told to |

pub(crate) mod cap;
mod clock;
mod script;
mod seed;

pub use cap::{AttemptCap, Capped, UnderCap};
pub use clock::VirtualTime;
pub use script::Script;
pub use seed::Seed;
