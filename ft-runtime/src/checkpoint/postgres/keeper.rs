//! Keeps the lease: renews it, stops the runs of this process when that fails for too long, and listens.

use std::sync::Arc;
use std::time::Duration;

use super::hold::Hold;
use super::requests::{renew, sweep};
use super::retry::Retry;
use super::session::{Dial, Purpose, Session, within};
use crate::time;

/// Longer than any process lives.
const FOR_EVER: Duration = Duration::from_secs(1 << 32);

/// Renews the lease at a third of its time, and looks for owners that have died, for ever.
pub(super) async fn keep(mut session: Option<Session>, hold: Arc<Hold>, dial: Dial) {
    loop {
        // Jittered, so that processes that were started together do not look for the dead together.
        tokio::time::sleep(hold.next_renewal().mul_f64(0.8 + fastrand::f64() / 5.0)).await;
        let mut retry = Retry::new(FOR_EVER);
        while !try_to(&mut session, &hold, &dial).await {
            session = None;
            retry.wait().await;
        }
    }
}

async fn try_to(session: &mut Option<Session>, hold: &Hold, dial: &Dial) -> bool {
    let renewed = async {
        let connected = match session {
            Some(session) => session,
            None => {
                let connected = dial.connect(Purpose::Keep).await?;
                // What was said while nobody listened is not said again.
                dial.bell.ring();
                session.insert(connected)
            }
        };
        let (sent, _) = renew(connected, hold).await?;
        hold.renewed(sent);
        sweep(connected).await
    };
    within(hold.next_renewal(), renewed).await.is_ok()
}

/// Stops the runs of this process when their lease has run out, for ever.
pub(super) async fn watch(hold: Arc<Hold>) {
    loop {
        if let Some(until) = hold.until().filter(|until| time::now() < *until) {
            tokio::time::sleep_until(until.into()).await;
            continue;
        }
        hold.expire();
        // Until it is renewed, nothing is held that could be lost: whatever is granted now expires on its own.
        tokio::time::sleep(hold.next_renewal() / 4).await;
    }
}
