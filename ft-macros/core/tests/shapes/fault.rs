#[derive(Debug, Fault)]
enum DbError {
    #[fault(transient)]
    Timeout,
    #[fault(unsent)]
    Refused { port: u16 },
    #[fault(permanent, display)]
    Bad(String),
    #[fault(throttled, retry_after = wait)]
    Busy { wait: Option<Duration>, queue: usize },
    #[fault(transient, retry_after = 0)]
    Slow(Duration),
    #[fault(throttled)]
    Often,
    #[fault(transparent)]
    Io(#[from] io::Error),
    Rejected(#[from] ft_runtime::Rejected),
}

#[derive(Fault)]
#[fault(transient, display, crate = facade::ft)]
enum Wrapped<'a, E, const N: usize>
where
    E: Debug,
{
    #[fault(transparent)]
    Inner(Box<E>),
    Other(&'a [u8; N]),
}

#[derive(Clone, Fault)]
#[fault(permanent)]
struct Declined {
    code: u32,
}

#[derive(Fault)]
enum Never {}
