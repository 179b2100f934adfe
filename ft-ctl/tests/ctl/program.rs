//! The program whose runs are looked at: this test binary again, started with the name of its part.

use std::env;
use std::io::BufRead as _;

use ft_runtime::checkpoint::{Checkpoint, Filter, HTTP_FUNCTION, Inputs, RunCall, Saved, Store};
use ft_runtime::{Error, site};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

/// Names the part that a child plays.
pub(crate) const PART: &str = "FT_CTL_PART";
/// What a child says when it has come as far as it should.
pub(crate) const READY: &str = "@ ready";

type Out<T> = Result<T, Error<String>>;

#[derive(Debug, Serialize, Deserialize)]
struct Receipt {
    cents: u64,
    receipt: String,
    rate: f64,
}

/// What becomes of an order behind its second step.
enum Then {
    Ends,
    Waits,
    Fails,
    Aborts,
}

/// No test of its own: the door through which a parent starts a child. Without a part it does nothing.
#[tokio::test(flavor = "current_thread")]
async fn plays_its_part() {
    let Ok(part) = env::var(PART) else { return };
    let store = Store::current().expect("a store");
    match &*part {
        "done" => {
            place(40, Then::Ends).await.expect("it ends");
        }
        "serves" => {
            let (saved, seven) = oneshot::channel();
            let reindexed = tokio::spawn(store.scope(reindex(saved)));
            seven.await.expect("it saves");
            let placed = place(41, Then::Waits).await;
            println!("@ order-41 {}", placed.map_or_else(|error| error.to_string(), |_| "ended".into()));
            reindexed.abort();
        }
        "waits" => {
            let _ = place(42, Then::Waits).await;
        }
        "fails" => {
            place(43, Then::Fails).await.expect_err("it fails");
            // Answered behind what was enqueued before: giving the run back.
            store.runs(Filter::default()).await.expect("a list");
        }
        "dies" => {
            let _ = place(17, Then::Aborts).await;
        }
        "recovers" => {
            hangs(Checkpoint::new().run("recovers").named("reindex").recover(Inputs::new())).await;
        }
        "requests" => hangs(Checkpoint::new().run("http-requests").named(HTTP_FUNCTION)).await,
        "refuses" => {
            let request = Checkpoint::new().run("http-refuses").named(HTTP_FUNCTION).calls::<Out<u32>>();
            request.run(async { Err(Error::Failed("no answer to keep".into())) }).await.expect_err("it fails");
            store.runs(Filter::default()).await.expect("a list");
        }
        "large" => {
            let run = Checkpoint::new().run("large").named("large").calls::<Out<String>>();
            run.run(async { step("blob", None, async { Ok("x".repeat(300_000)) }).await }).await.expect("it ends");
        }
        other => panic!("no such part: {other}"),
    }
}

async fn place(order: u64, then: Then) -> Out<Receipt> {
    let run = Checkpoint::new().max_recoveries(2).run(format!("order-{order}")).named("place_order");
    run.calls::<Out<Receipt>>()
        .run(async move {
            let cents = step("reserve", None, async { Ok(order * 100) }).await?;
            if let Then::Aborts = then {
                std::process::abort();
            }
            let receipt = format!("r-{order}");
            let charged = async { Ok(Receipt { cents, receipt, rate: f64::INFINITY }) };
            let charged = step("charge", Some(order), charged).await?;
            match then {
                Then::Ends => Ok(charged),
                Then::Fails => Err(Error::Failed("no parcel left".into())),
                Then::Aborts | Then::Waits => {
                    println!("{READY}");
                    wait_for_parent().await;
                    step("ship", None, async { Ok(true) }).await?;
                    Ok(charged)
                }
            }
        })
        .await
}

/// A run without a step, that waits.
async fn hangs(run: RunCall) {
    let hung = run.calls::<Out<u32>>().run(async {
        println!("{READY}");
        wait_for_parent().await;
        Ok(0)
    });
    hung.await.expect("it ends");
}

fn step<T>(name: &'static str, key: Option<u64>, body: impl Future<Output = Out<T>>) -> impl Future<Output = Out<T>>
where
    T: Serialize + for<'de> Deserialize<'de>,
{
    let step = Checkpoint::new().step(name);
    let step = if let Some(key) = key { step.key(&key) } else { step };
    step.at(site!().enter()).calls::<Out<T>>().run(body)
}

/// A run with a saved state, at 3 and then at 7.
async fn reindex(saved: oneshot::Sender<()>) -> Out<u32> {
    let run = Checkpoint::new().run("reindex").named("reindex").calls::<Out<u32>>();
    run.run(async {
        let mut cursor = Saved::<u32>::load("cursor").await?;
        for at in [3, 7] {
            *cursor = at;
            cursor.commit().await?;
        }
        let _ = saved.send(());
        std::future::pending().await
    })
    .await
}

async fn wait_for_parent() {
    let line = tokio::task::spawn_blocking(|| std::io::stdin().lock().lines().next());
    let _ = line.await;
}
