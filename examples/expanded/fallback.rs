//! The fallback: another function, a value, or whatever can be made of the error.

use ft_runtime::{Fault, fallback};

#[derive(Debug, Fault)]
pub enum StoreError {
    #[fault(transient)]
    Down,
    #[fault(permanent)]
    NoSuchItem,
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
    #[fallback(to = Self::price_of_yesterday)]
    pub async fn price(&self, item: u32) -> Result<u32, StoreError> {
        self.ask(item)
    }

    async fn price_of_yesterday(&self, item: u32) -> Result<u32, StoreError> {
        Ok(item * 90)
    }

    /// A value, made when it is needed; the caller learns of no error but the permanent one.
    #[fallback(value = String::from("sold out"), unless = StoreError::NoSuchItem)]
    pub fn label(&self, item: u32) -> Result<String, StoreError> {
        self.ask(item).map(|price| format!("{price} cents"))
    }
}

/// Whatever can be made of the error: the closure stands in the function, and may wait.
#[fallback(with = |error| match error {
    StoreError::Down => second.price(item).await,
    StoreError::NoSuchItem => Ok(0),
}, on = _)]
pub async fn from_either(first: &Shop, second: &Shop, item: u32) -> Result<u32, StoreError> {
    first.ask(item)
}

pub async fn story() -> Vec<String> {
    let (open, down) = (Shop { down: false }, Shop { down: true });
    let mut told = Vec::new();
    for item in [0, 7] {
        for shop in [&open, &down] {
            told.push(format!("{:?} {:?}", shop.price(item).await, shop.label(item)));
            told.push(format!("{:?}", from_either(shop, &open, item).await));
        }
    }
    told
}
