// Generated from bulkhead.rs: `FT_EXPAND=write cargo test --test expanded` writes it anew.

//! `#[bulkhead]`: once, or not at all.

use ft_runtime::{Bulkhead, Error, bulkhead};

pub type Outcome = Result<u32, Error<std::io::Error>>;

/// The bulkhead lives in the function: all its calls share it. A number that only makes sense with others is checked when
/// it is compiled.
pub async fn report(id: u32) -> Outcome {
    let site = ::ft_runtime::site!().enter();
    let bulkhead = {
        static FT_BULKHEAD: ::ft_runtime::Bulkhead = ::ft_runtime::Bulkhead::new(2)
            .queue(1)
            .max_wait(::core::time::Duration::from_millis(20));
        &FT_BULKHEAD
    };
    bulkhead
        .calls::<Outcome>()
        .at(site)
        .run(async {
            let outcome: Outcome = {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                Ok(id)
            };
            outcome
        })
        .await
}

static DB: Bulkhead = Bulkhead::new(1);

/// A policy value is borrowed; two functions can share it. `?` leaves the function and gives the permit back.
pub fn load(id: u32, inside: &dyn Fn() -> Outcome) -> Outcome {
    let site = ::ft_runtime::site!().enter();
    let bulkhead: &'static ::ft_runtime::Bulkhead = &DB;
    bulkhead
        .calls::<Outcome>()
        .at(site)
        .run_blocking(|| -> Outcome {
            let nested = inside()?;
            Ok(id + nested)
        })
}

/// A bulkhead for each tenant.
pub fn export(tenant: &str, inside: &dyn Fn() -> Outcome) -> Outcome {
    let site = ::ft_runtime::site!().enter();
    let bulkhead = {
        static FT_BULKHEAD: ::ft_runtime::Keyed<::ft_runtime::Bulkhead> = ::ft_runtime::Keyed::new(
                ::ft_runtime::Bulkhead::new(1),
            )
            .max_keys(100);
        FT_BULKHEAD.of(&(tenant))
    };
    bulkhead
        .calls::<Outcome>()
        .at(site)
        .run_blocking(|| -> Outcome {
            let _ = tenant.len();
            inside()
        })
}

pub async fn story() -> Vec<String> {
    let (a, b, c, d) = tokio::join!(report(1), report(2), report(3), report(4));
    let taken = load(1, &|| load(2, &|| Ok(0)));
    let free = load(1, &|| Ok(2));
    let own = export("acme", &|| export("acme", &|| Ok(1)));
    let other = export("acme", &|| export("zeta", &|| Ok(1)));
    vec![
        format!("{a:?} {b:?} {c:?} {d:?}"), format!("{taken:?} {free:?}"),
        format!("{own:?} {other:?}"),
    ]
}
