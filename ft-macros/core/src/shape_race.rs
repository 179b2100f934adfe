//! The race: the body several times at once. `#[hedge]`.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{FnArg, ReceiverKind, Signature, Type};

use crate::args::Args;
use crate::call::{Body, Call, judgement};
use crate::errors::Errors;
use crate::tokens::braced;

// Output:
//     let hedge = ..;
//     hedge.calls::<R>().at(site).on(..).run(|| async { let outcome: R = { .. }; outcome }).await
pub(crate) fn wrap(args: &Args, call: &Call, bind: TokenStream, body: Body) -> TokenStream {
    let here = Span::mixed_site();
    let keyword = here.located_at(call.keyword);
    let outcome = &call.outcome;
    let open = call.session("calls", None);
    let judgement = judgement(args);
    let Body { head, code, diverges } = body;
    let allow = diverges.then(|| quote_spanned!(here=> #[allow(unreachable_code)]));
    let clones = args.clone.iter().map(|name| quote_spanned!(here=> let #name = ::core::clone::Clone::clone(&#name);));
    let head = quote!(#(#clones)* #head);
    let block = braced(code, here);
    let run = quote_spanned! {keyword=>
        hedge #open().at(site) #judgement.run(|| async { #head let outcome: #outcome = #block; #allow outcome }).await
    };
    quote_spanned!(here=> #bind #run)
}

/// Calls that run side by side cannot share a `&mut`; rustc would say so of a closure that the user did not write.
pub(crate) fn check(sig: &Signature, errors: &mut Errors) {
    const WHY: &str = "`#[hedge]` runs the body several times at once, so the calls cannot share a `&mut`: take `&`, with a lock inside";
    for input in &sig.inputs {
        match input {
            FnArg::Receiver(receiver) => {
                if let ReceiverKind::Reference(_, _, Some(_)) = receiver.kind {
                    errors.at(receiver.span(), WHY);
                }
            }
            FnArg::Typed(parameter) => match &*parameter.ty {
                Type::Reference(reference) if reference.mutability.is_some() => errors.at(parameter.ty.span(), WHY),
                _ => {}
            },
        }
    }
}
