//! A run: a named execution that is resumed where it was left. `#[checkpoint(run = ..)]`.

use proc_macro2::{Delimiter, Literal, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::Expr;

use crate::args::Args;
use crate::call::{Body, Call};
use crate::errors::Errors;
use crate::shape_recover::Recover;
use crate::shape_step::{check_migrate, check_skipped};
use crate::tokens::group;

// Output:
//     let checkpoint = ..;
//     checkpoint.run(EXPR).named("place_order").argument("order", fingerprint_of!(order)).calls::<R>().at(site).run(async { .. }).await
pub(crate) fn wrap(
    run: &Expr,
    args: &Args,
    call: &Call,
    recover: Recover,
    bind: TokenStream,
    body: Body,
    errors: &mut Errors,
) -> TokenStream {
    let here = Span::mixed_site();
    let Recover { register, record } = recover;
    check_skipped(args, call, errors);
    check_migrate(args, errors);
    let open = call.session("calls", None);
    let name = Literal::string(&call.recorded_as);
    let run = group(Delimiter::Parenthesis, run.to_token_stream(), here);
    let arguments = arguments(args, call);
    let session = quote_spanned!(here=> checkpoint.run #run.named(#name) #arguments #record #open().at(site));
    let run = call.run(&session, &args.clone, body);
    quote_spanned!(here=> #register #bind #run)
}

/// Those that have a name and are not skipped; whether one can be compared, its type says.
fn arguments(args: &Args, call: &Call) -> TokenStream {
    let here = Span::mixed_site();
    let root = &call.root;
    let names = call.arguments.iter().filter_map(|(argument, _)| argument.as_ref());
    names
        .filter(|argument| !args.skip.contains(argument))
        .map(|argument| {
            let name = Literal::string(&argument.to_string());
            quote_spanned!(here=> .argument(#name, #root::fingerprint_of!(#argument)))
        })
        .collect()
}
