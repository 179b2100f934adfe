//! The attribute over the engine, as users write it.

use std::sync::atomic::{AtomicU32, Ordering};

use super::World;
use crate::checkpoint::CheckpointError;
use crate::{Error, Rejected, Saved, checkpoint, retry};

type Failed = Error<&'static str>;

#[derive(Default)]
struct Shop {
    reserved: AtomicU32,
    charged: AtomicU32,
    parcels: AtomicU32,
}

#[derive(Clone, serde::Serialize)]
struct Order {
    id: u32,
}

#[checkpoint(skip(shop))]
async fn reserve(shop: &Shop, order: &Order) -> Result<u32, Failed> {
    shop.reserved.fetch_add(1, Ordering::Relaxed);
    Ok(order.id * 10)
}

impl Shop {
    #[checkpoint(key = order.id)]
    async fn charge(&self, order: &Order, hold: u32) -> Result<String, Failed> {
        self.charged.fetch_add(1, Ordering::Relaxed);
        Ok(format!("{}/{hold}", order.id))
    }

    #[retry(max_attempts = 3, on = Error::Failed("no parcel left"))]
    #[checkpoint(run = format!("order-{}", order.id))]
    async fn place_order(&self, order: &Order) -> Result<String, Failed> {
        let hold = reserve(self, order).await?;
        let receipt = self.charge(order, hold).await?;
        if self.parcels.fetch_add(1, Ordering::Relaxed) < 2 {
            return Err(Error::Failed("no parcel left"));
        }
        Ok(receipt)
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_above_a_run_goes_on_from_its_steps() {
    for world in World::all() {
        let store = world.store();
        let shop = std::sync::Arc::new(Shop::default());
        let spawned = std::sync::Arc::clone(&shop);
        let placed = tokio::spawn(async move { store.scope(spawned.place_order(&Order { id: 4 })).await });
        assert_eq!(placed.await.unwrap().unwrap(), "4/40");
        let ran = |count: &AtomicU32| count.load(Ordering::Relaxed);
        assert_eq!((ran(&shop.reserved), ran(&shop.charged), ran(&shop.parcels)), (1, 1, 3));
    }
}

#[retry(max_attempts = 5, on = Error::Failed("limit"))]
#[checkpoint(run = "count", every = 10)]
async fn count(state: &mut Saved<u32>, limit: u32, starts: &std::sync::Mutex<Vec<u32>>) -> Result<u32, Failed> {
    starts.lock().unwrap().push(**state);
    for _ in 0..limit {
        if **state == 100 {
            return Ok(**state);
        }
        **state += 1;
        state.mark().await?;
    }
    **state += 5000; // never marked
    Err(Error::Failed("limit"))
}

#[tokio::test(start_paused = true)]
async fn a_retry_above_a_state_goes_on_from_the_last_checkpoint() {
    for world in World::all() {
        let starts = std::sync::Mutex::new(Vec::new());
        let counted = world.store().scope(count(35, &starts)).await;
        assert_eq!(counted.unwrap(), 100);
        assert_eq!(starts.into_inner().unwrap(), [0, 30, 60, 90]);
    }
}

#[checkpoint]
fn double(value: u32) -> Result<u32, Failed> {
    Ok(value * 2)
}

#[checkpoint(run = "sync")]
fn doubled(value: u32) -> Result<u32, Failed> {
    Ok(double(value)? + double(value + 1)?)
}

#[test]
fn blocking_functions_are_runs_and_steps_too() {
    for world in World::all() {
        let store = world.store();
        assert_eq!(store.scope_blocking(|| doubled(3)).unwrap(), 14);
        let keys: Vec<_> = store.steps("sync").wait().unwrap().into_iter().map(|step| step.key.to_string()).collect();
        assert_eq!(keys, ["double#1", "double#2"]);
    }
}

#[checkpoint(run = format!("bill-{id}"), skip(note))]
async fn bill(id: u32, cents: u32, note: &str, _shop: &Shop) -> Result<u32, Failed> {
    if note == "fails" { Err(Error::Failed("no paper")) } else { Ok(cents) }
}

mod elsewhere {
    use super::{Failed, checkpoint};

    /// Another function of the same name, with run ids of the same form.
    #[checkpoint(run = format!("bill-{id}"))]
    pub(super) async fn bill(id: String) -> Result<u32, Failed> {
        Ok(id.len() as u32)
    }
}

#[tokio::test]
async fn a_run_answers_no_other_arguments_than_those_it_was_started_with() {
    for world in World::all() {
        let (store, shop) = (world.store(), Shop::default());
        assert_eq!(store.scope(bill(1, 500, "first", &shop)).await.unwrap(), 500);
        assert_eq!(store.scope(bill(1, 500, "what is skipped does not count", &shop)).await.unwrap(), 500);
        store.scope(bill(2, 500, "fails", &shop)).await.unwrap_err();
        for id in [1, 2] {
            let refused = store.scope(bill(id, 700, "", &shop)).await.unwrap_err();
            let Error::Rejected(Rejected::Checkpoint(error)) = refused else { panic!("{refused:?}") };
            let expected =
                CheckpointError::RunInputChanged { run: format!("bill-{id}"), arguments: vec!["cents".into()] };
            assert_eq!(*error, expected);
        }
        assert_eq!(store.scope(bill(2, 500, "", &shop)).await.unwrap(), 500);
        let refused = store.scope(elsewhere::bill("1".into())).await.unwrap_err();
        assert!(refused.to_string().contains("was started with other arguments (`id`)"), "{refused}");
    }
}

#[checkpoint(run = "nightly", again = always)]
async fn nightly(day: u32, fails: bool) -> Result<u32, Failed> {
    if fails { Err(Error::Failed("no power")) } else { Ok(day) }
}

#[tokio::test]
async fn a_periodic_run_takes_new_arguments_even_after_one_that_failed() {
    for world in World::all() {
        let store = world.store();
        assert_eq!(store.scope(nightly(1, false)).await.unwrap(), 1);
        store.scope(nightly(2, true)).await.unwrap_err();
        assert_eq!(store.scope(nightly(3, false)).await.unwrap(), 3);
    }
}

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
enum Bank {
    Declined {
        code: u32,
    },
    #[serde(skip)]
    Refused(String),
}

impl From<Rejected> for Bank {
    fn from(rejected: Rejected) -> Self {
        Self::Refused(rejected.to_string())
    }
}

#[checkpoint(key = cents, record_err = true, skip(ran))]
async fn pay(cents: u32, ran: &AtomicU32) -> Result<u32, Bank> {
    match (ran.fetch_add(1, Ordering::Relaxed), cents) {
        (_, 1) => Err(Bank::Declined { code: 51 }),
        (0, _) => Err(Bank::Refused("no line".into())),
        _ => Ok(cents),
    }
}

#[tokio::test]
async fn a_step_that_records_errors_answers_with_them_and_tries_again_what_is_no_answer() {
    for world in World::all() {
        let store = world.store();
        let (declined, refused) = (AtomicU32::new(0), AtomicU32::new(0));
        for attempt in 0..3 {
            let run = crate::Checkpoint::new().run("r").named("work").calls::<Result<u32, Bank>>();
            let failed = store.scope(run.run(async {
                assert_eq!(pay(1, &declined).await, Err(Bank::Declined { code: 51 }));
                assert_eq!(pay(2, &refused).await.is_ok(), attempt > 0);
                Err(Bank::Refused("crash".into()))
            }));
            failed.await.unwrap_err();
        }
        assert_eq!((declined.load(Ordering::Relaxed), refused.load(Ordering::Relaxed)), (1, 2));
        assert_eq!(store.steps("r").await.unwrap().len(), 2);
    }
}
