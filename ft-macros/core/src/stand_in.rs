//! A function that only has to keep its callers compiling, because something else is wrong already.

use proc_macro2::{Delimiter, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::Type;

use crate::args::Args;
use crate::errors::Errors;
use crate::func::{Func, Kind};
use crate::policy::{Policy, Shape};
use crate::stack::{self, Sibling};
use crate::supplied::Supplied;
use crate::tokens::group;

/// The function with its own body; or, when parameters that the body needs are gone, with one that never returns.
pub(crate) fn of(mut func: Func, flow: Option<&(Kind, Type)>, supplied: &Supplied) -> TokenStream {
    if supplied.is_empty() {
        return func.into_token_stream();
    }
    let here = Span::mixed_site();
    let body = match flow {
        Some((Kind::Future, outcome)) => {
            quote_spanned!(here=> async move { let outcome: #outcome = ::core::todo!(); outcome })
        }
        Some((Kind::Boxed | Kind::AsyncTrait, outcome)) => {
            quote_spanned!(here=> ::std::boxed::Box::pin(async move { let outcome: #outcome = ::core::todo!(); outcome }))
        }
        _ => quote_spanned!(here=> ::core::todo!()),
    };
    let span = func.body.span();
    if let proc_macro2::TokenTree::Group(body) = group(Delimiter::Brace, body, span) {
        func.body = body;
    }
    quote_spanned!(here=> #[allow(unreachable_code, unused_variables, unused_mut)] #func)
}

/// `#[checkpoint]` where the runtime was built without it: says so, and keeps everything else green.
pub(crate) fn without_feature(policy: &Policy, args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    errors.at(
        Span::call_site(),
        "`#[checkpoint]` needs the feature \"checkpoint\": cargo add ft-runtime --features checkpoint",
    );
    let Ok(mut func) = Func::parse(item.clone(), policy.attribute) else {
        let errors = errors.into_tokens();
        return quote_spanned!(Span::call_site()=> #item #errors);
    };
    // What else is wrong with it is said once the feature is there.
    let mut later = Errors::default();
    let args = Args::parse(args, policy, &stack::root(None), &mut later);
    let mut retried = false;
    func.attrs.retain(|attr| match stack::sibling(attr) {
        Some(Sibling::Moved(policy)) => {
            retried |= policy.shape == Shape::Loop;
            false
        }
        _ => true,
    });
    let flow = func.flow(policy.attribute, &mut later);
    let supplied = Supplied::take(&mut func.sig, Some(&args), retried, &mut later);
    failed(func, flow.as_ref(), &supplied, errors)
}

/// The function unchanged, as far as its callers can tell, and all errors.
pub(crate) fn failed(func: Func, flow: Option<&(Kind, Type)>, supplied: &Supplied, errors: Errors) -> TokenStream {
    let func = of(func, flow, supplied);
    let errors = errors.into_tokens();
    quote_spanned!(Span::call_site()=> #func #errors)
}
