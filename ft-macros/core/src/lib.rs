//! The engine behind ft's attributes: tokens in, tokens out.
//!
//! A plain library, so that generators, tests and fuzzers can call what the compiler calls. The attributes themselves
//! are documented where they are exported, in `ft-runtime`.
//!
//! ```
//! let expanded = ft_macros_core::expand(
//!     "retry",
//!     "max_attempts = 5".parse()?,
//!     "async fn fetch(url: &str) -> Result<Page, FetchError> { get(url).await }".parse()?,
//! );
//! assert!(expanded.to_string().contains("attempts . again"));
//! # Ok::<(), proc_macro2::LexError>(())
//! ```

use proc_macro2::{Span, TokenStream};
use quote::quote;

use crate::policy::Policy;

mod args;
mod async_trait;
mod bind;
mod call;
mod duration;
mod errors;
mod fault;
mod file;
mod func;
mod leading;
mod policy;
mod shape_candidates;
mod shape_instead;
mod shape_loop;
mod shape_once;
mod shape_race;
mod shape_recover;
mod shape_run;
mod shape_share;
mod shape_step;
mod stack;
mod stand_in;
mod supplied;
#[cfg(test)]
mod tests;
mod tokens;

/// Expands one attribute, `#[attribute(args)] item`.
///
/// What is wrong is part of the answer: the item, and a `compile_error!` for each mistake. `attribute` is the name of an
/// attribute, or `checkpoint_without_feature`, which only says what is missing.
pub fn expand(attribute: &str, args: TokenStream, item: TokenStream) -> TokenStream {
    let error = if tokens::too_deep(&args) || tokens::too_deep(&item) {
        "brackets nest too deeply here".to_owned()
    } else if tokens::too_long(&args) || tokens::too_long(&tokens::without_body(&item)) {
        "this goes on for too long without a comma: give a part of it a name of its own".to_owned()
    } else if attribute == "checkpoint_without_feature"
        && let Some(policy) = Policy::find("checkpoint")
    {
        return stand_in::without_feature(policy, args, item);
    } else if let Some(policy) = Policy::find(attribute) {
        return stack::expand(policy, args, item);
    } else {
        format!("there is no attribute `{attribute}`")
    };
    let error = syn::Error::new(Span::call_site(), error).into_compile_error();
    quote!(#item #error)
}

/// Expands every attribute and `#[derive(Fault)]` of a whole file, however they stack, until none is left.
///
/// Functions inside of function bodies stay as they are. A file that does not parse comes back with a `compile_error!`.
pub fn expand_all(file: TokenStream) -> TokenStream {
    if tokens::too_deep(&file) || tokens::too_long(&file) {
        let error = syn::Error::new(Span::call_site(), "this nests too deeply to be expanded").into_compile_error();
        return quote!(#file #error);
    }
    file::expand(file)
}

/// Expands `#[derive(Fault)]`: the implementation, or a `compile_error!` for each mistake.
pub fn derive_fault(item: TokenStream) -> TokenStream {
    if tokens::too_deep(&item) || tokens::too_long(&item) {
        return syn::Error::new(Span::call_site(), "this nests too deeply to be a type").into_compile_error();
    }
    fault::derive(item)
}
