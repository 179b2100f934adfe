use ft_runtime::Fault;

#[derive(Debug, Fault)]
enum PayError {
    #[fault(transient)]
    Unreachable,
    Declined,
    #[fault(transiet)]
    Busy,
}

fn main() {}
