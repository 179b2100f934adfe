// Generated from fallback.rs: `FT_EXPAND=write cargo test --test expanded` writes it anew.

//! The fallback: another function, a value, or whatever can be made of the error.

use ft_runtime::{Fault, fallback};

#[derive(Debug)]
pub enum StoreError {
    Down,
    NoSuchItem,
}

#[automatically_derived]
impl ::ft_runtime::Fault for StoreError {
    fn kind(&self) -> ::ft_runtime::FaultKind {
        match self {
            Self::Down { .. } => ::ft_runtime::FaultKind::Transient,
            Self::NoSuchItem { .. } => ::ft_runtime::FaultKind::Permanent,
        }
    }
    fn describe(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        match self {
            Self::Down { .. } => f.write_str("StoreError::Down"),
            Self::NoSuchItem { .. } => f.write_str("StoreError::NoSuchItem"),
        }
    }
}

pub struct Shop {
    pub down: bool,
}

impl Shop {
    fn ask(&self, item: u32) -> Result<u32, StoreError> {
        match item {
            0 => Err(StoreError::NoSuchItem),
            _ if self.down => Err(StoreError::Down),
            item => Ok(item * 100),
        }
    }
    /// A function with the same arguments.
    pub async fn price(&self, item: u32) -> Result<u32, StoreError> {
        let site = ::ft_runtime::site!().enter();
        let fallback = {
            const FT_FALLBACK: ::ft_runtime::Fallback = ::ft_runtime::Fallback::new();
            &FT_FALLBACK
        };
        let calls = fallback.calls::<Result<u32, StoreError>>().at(site);
        'answer: {
            {
                let outcome: Result<u32, StoreError> = calls
                    .run(async {
                        let outcome: Result<u32, StoreError> = { self.ask(item) };
                        outcome
                    })
                    .await;
                if !calls.stands_in(&outcome) {
                    break 'answer outcome;
                }
            }
            Self::price_of_yesterday(self, item).await
        }
    }
    async fn price_of_yesterday(&self, item: u32) -> Result<u32, StoreError> {
        Ok(item * 90)
    }
    /// A value, made when it is needed; the caller learns of no error but the permanent one.
    pub fn label(&self, item: u32) -> Result<String, StoreError> {
        let site = ::ft_runtime::site!().enter();
        let fallback = {
            const FT_FALLBACK: ::ft_runtime::Fallback = ::ft_runtime::Fallback::new();
            &FT_FALLBACK
        };
        let calls = fallback
            .calls::<Result<String, StoreError>>()
            .at(site)
            .unless(|error| ::core::matches!(error, StoreError::NoSuchItem));
        'answer: {
            {
                let outcome: Result<String, StoreError> = calls
                    .run_blocking(|| -> Result<String, StoreError> {
                        self.ask(item).map(|price| format!("{price} cents"))
                    });
                if !calls.stands_in(&outcome) {
                    break 'answer outcome;
                }
            }
            ::core::result::Result::Ok(String::from("sold out"))
        }
    }
}

/// Whatever can be made of the error: the closure stands in the function, and may wait.
pub async fn from_either(
    first: &Shop,
    second: &Shop,
    item: u32,
) -> Result<u32, StoreError> {
    let site = ::ft_runtime::site!().enter();
    let fallback = {
        const FT_FALLBACK: ::ft_runtime::Fallback = ::ft_runtime::Fallback::new();
        &FT_FALLBACK
    };
    let calls = fallback
        .calls::<Result<u32, StoreError>>()
        .at(site)
        .on(|error| ::core::matches!(error, _));
    'answer: {
        let error = {
            let outcome: Result<u32, StoreError> = calls
                .run(async {
                    let outcome: Result<u32, StoreError> = { first.ask(item) };
                    outcome
                })
                .await;
            if !calls.stands_in(&outcome) {
                break 'answer outcome;
            }
            match outcome {
                ::core::result::Result::Err(error) => error,
                good => break 'answer good,
            }
        };
        let error = error;
        match error {
            StoreError::Down => second.price(item).await,
            StoreError::NoSuchItem => Ok(0),
        }
    }
}

pub async fn story() -> Vec<String> {
    let (open, down) = (Shop { down: false }, Shop { down: true });
    let mut told = Vec::new();
    for item in [0, 7] {
        for shop in [&open, &down] {
            told.push(format!("{:?} {:?}", shop.price(item). await, shop.label(item)));
            told.push(format!("{:?}", from_either(shop, & open, item). await));
        }
    }
    told
}
