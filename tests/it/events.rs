//! Listens to what the policies say about one site.

use std::sync::{Arc, Mutex};

use ft_runtime::observe::{self, Subscription, What};

/// The events of one site, in order, as short words; tests run side by side, so each looks at its own site.
pub struct Events {
    seen: Arc<Mutex<Vec<String>>>,
    _listening: Subscription,
}

impl Events {
    pub fn of(site: &'static str) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&seen);
        let listening = observe::subscribe(move |event| {
            if event.site == site {
                into.lock().unwrap().push(word(&event.what));
            }
        });
        Self { seen, _listening: listening }
    }

    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

fn word(what: &What<'_>) -> String {
    match what {
        What::Retrying { attempt, delay, fault, .. } => {
            format!("retrying after {attempt} in {delay:?}: {}", fault.what)
        }
        What::Recovered { attempt } => format!("recovered at {attempt}"),
        What::GaveUp { attempts, reason, .. } => format!("gave up after {attempts}: {}", reason.as_str()),
        What::FailedOver { from, to, .. } => format!("failed over from {from} to {to}"),
        other => other.name().to_owned(),
    }
}
