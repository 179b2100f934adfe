#[derive(Debug)]
enum DbError {
    Timeout,
    Refused { port: u16 },
    Bad(String),
    Busy { wait: Option<Duration>, queue: usize },
    Slow(Duration),
    Often,
    Io(#[from] io::Error),
    Rejected(#[from] ft_runtime::Rejected),
}
#[automatically_derived]
impl ::ft_runtime::Fault for DbError {
    fn kind(&self) -> ::ft_runtime::FaultKind {
        match self {
            Self::Timeout { .. } => ::ft_runtime::FaultKind::Transient,
            Self::Refused { .. } => ::ft_runtime::FaultKind::Unsent,
            Self::Bad { .. } => ::ft_runtime::FaultKind::Permanent,
            Self::Busy { wait: patience, .. } => {
                ::ft_runtime::FaultKind::Throttled {
                    retry_after: ::core::convert::Into::<
                        ::core::option::Option<::core::time::Duration>,
                    >::into(*patience),
                }
            }
            Self::Slow { .. } => ::ft_runtime::FaultKind::Transient,
            Self::Often { .. } => {
                ::ft_runtime::FaultKind::Throttled {
                    retry_after: ::core::option::Option::None,
                }
            }
            Self::Io { 0: source, .. } => ::ft_runtime::Fault::kind(source),
            Self::Rejected { 0: source, .. } => ::ft_runtime::Fault::kind(source),
        }
    }
    fn retry_after(&self) -> ::core::option::Option<::core::time::Duration> {
        match self {
            Self::Busy { wait: patience, .. } => {
                ::core::convert::Into::<
                    ::core::option::Option<::core::time::Duration>,
                >::into(*patience)
            }
            Self::Slow { 0: patience, .. } => {
                ::core::convert::Into::<
                    ::core::option::Option<::core::time::Duration>,
                >::into(*patience)
            }
            Self::Io { 0: source, .. } => ::ft_runtime::Fault::retry_after(source),
            Self::Rejected { 0: source, .. } => ::ft_runtime::Fault::retry_after(source),
            _ => ::core::option::Option::None,
        }
    }
    fn rejected(&self) -> ::core::option::Option<&::ft_runtime::Rejected> {
        match self {
            Self::Io { 0: source, .. } => ::ft_runtime::Fault::rejected(source),
            Self::Rejected { 0: source, .. } => ::ft_runtime::Fault::rejected(source),
            _ => ::core::option::Option::None,
        }
    }
    fn describe(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        match self {
            Self::Timeout { .. } => f.write_str("DbError::Timeout"),
            Self::Refused { .. } => f.write_str("DbError::Refused"),
            Self::Bad { .. } => ::core::fmt::Display::fmt(self, f),
            Self::Busy { .. } => f.write_str("DbError::Busy"),
            Self::Slow { .. } => f.write_str("DbError::Slow"),
            Self::Often { .. } => f.write_str("DbError::Often"),
            Self::Io { 0: source, .. } => ::ft_runtime::Fault::describe(source, f),
            Self::Rejected { 0: source, .. } => ::ft_runtime::Fault::describe(source, f),
        }
    }
}
enum Wrapped<'a, E, const N: usize>
where
    E: Debug,
{
    Inner(Box<E>),
    Other(&'a [u8; N]),
}
#[automatically_derived]
impl<'a, E, const N: usize> facade::ft::Fault for Wrapped<'a, E, N>
where
    E: Debug,
    Box<E>: facade::ft::Fault,
    Self: ::core::fmt::Display,
{
    fn kind(&self) -> facade::ft::FaultKind {
        match self {
            Self::Inner { 0: source, .. } => facade::ft::Fault::kind(source),
            Self::Other { .. } => facade::ft::FaultKind::Transient,
        }
    }
    fn retry_after(&self) -> ::core::option::Option<::core::time::Duration> {
        match self {
            Self::Inner { 0: source, .. } => facade::ft::Fault::retry_after(source),
            _ => ::core::option::Option::None,
        }
    }
    fn rejected(&self) -> ::core::option::Option<&facade::ft::Rejected> {
        match self {
            Self::Inner { 0: source, .. } => facade::ft::Fault::rejected(source),
            _ => ::core::option::Option::None,
        }
    }
    fn describe(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        match self {
            Self::Inner { .. } => ::core::fmt::Display::fmt(self, f),
            Self::Other { .. } => ::core::fmt::Display::fmt(self, f),
        }
    }
}
#[derive(Clone)]
struct Declined {
    code: u32,
}
#[automatically_derived]
impl ::ft_runtime::Fault for Declined {
    fn kind(&self) -> ::ft_runtime::FaultKind {
        match self {
            Self { .. } => ::ft_runtime::FaultKind::Permanent,
        }
    }
    fn describe(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        match self {
            Self { .. } => f.write_str("Declined"),
        }
    }
}
enum Never {}
#[automatically_derived]
impl ::ft_runtime::Fault for Never {
    fn kind(&self) -> ::ft_runtime::FaultKind {
        match *self {}
    }
    fn describe(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
        match *self {}
    }
}
