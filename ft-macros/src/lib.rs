//! Attributes of ft. Use them through `ft-runtime`, which exports and documents them.
#![allow(missing_docs, reason = "documented where they are exported")]

use proc_macro::TokenStream;

#[proc_macro_attribute]
pub fn retry(args: TokenStream, item: TokenStream) -> TokenStream {
    ft_macros_core::expand("retry", args.into(), item.into()).into()
}

#[proc_macro_attribute]
pub fn failover(args: TokenStream, item: TokenStream) -> TokenStream {
    ft_macros_core::expand("failover", args.into(), item.into()).into()
}

#[proc_macro_attribute]
pub fn timeout(args: TokenStream, item: TokenStream) -> TokenStream {
    ft_macros_core::expand("timeout", args.into(), item.into()).into()
}

#[proc_macro_attribute]
pub fn circuit_breaker(args: TokenStream, item: TokenStream) -> TokenStream {
    ft_macros_core::expand("circuit_breaker", args.into(), item.into()).into()
}

#[proc_macro_attribute]
pub fn bulkhead(args: TokenStream, item: TokenStream) -> TokenStream {
    ft_macros_core::expand("bulkhead", args.into(), item.into()).into()
}

#[proc_macro_attribute]
pub fn rate_limiter(args: TokenStream, item: TokenStream) -> TokenStream {
    ft_macros_core::expand("rate_limiter", args.into(), item.into()).into()
}

#[proc_macro_attribute]
pub fn fallback(args: TokenStream, item: TokenStream) -> TokenStream {
    ft_macros_core::expand("fallback", args.into(), item.into()).into()
}

#[proc_macro_attribute]
pub fn hedge(args: TokenStream, item: TokenStream) -> TokenStream {
    ft_macros_core::expand("hedge", args.into(), item.into()).into()
}

#[proc_macro_attribute]
pub fn coalesce(args: TokenStream, item: TokenStream) -> TokenStream {
    ft_macros_core::expand("coalesce", args.into(), item.into()).into()
}

#[proc_macro_attribute]
pub fn chaos(args: TokenStream, item: TokenStream) -> TokenStream {
    ft_macros_core::expand("chaos", args.into(), item.into()).into()
}

#[proc_macro_attribute]
pub fn checkpoint(args: TokenStream, item: TokenStream) -> TokenStream {
    ft_macros_core::expand("checkpoint", args.into(), item.into()).into()
}

#[proc_macro_attribute]
pub fn checkpoint_without_feature(args: TokenStream, item: TokenStream) -> TokenStream {
    ft_macros_core::expand("checkpoint_without_feature", args.into(), item.into()).into()
}

#[proc_macro_derive(Fault, attributes(fault))]
pub fn derive_fault(item: TokenStream) -> TokenStream {
    ft_macros_core::derive_fault(item.into()).into()
}
