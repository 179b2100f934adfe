//! The real command beside real processes that execute runs.

/// Runs each of these tests with a store of each kind.
macro_rules! on_every_store {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[test]
                fn $test() {
                    super::$test(crate::stage::Kind::Sqlite);
                }
            )+
        }

        mod postgres {
            $(
                #[test]
                fn $test() {
                    if let Some(kind) = crate::stage::Kind::postgres(stringify!($test)) {
                        super::$test(kind);
                    }
                }
            )+
        }
    };
}

mod carry;
mod command;
mod keys;
mod look;
mod operate;
mod program;
mod readme;
mod retention;
mod server;
mod stage;
mod verify;
