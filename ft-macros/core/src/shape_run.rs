//! A run: a named execution that is resumed where it was left. `#[checkpoint(run = ..)]`.

use proc_macro2::{Delimiter, Literal, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::Expr;

use crate::args::Args;
use crate::call::{Body, Call};
use crate::tokens::group;

// Output:
//     let checkpoint = ..;
//     checkpoint.run(EXPR).named("place_order").calls::<R>().at(site).run(async { .. }).await
pub(crate) fn wrap(run: &Expr, args: &Args, call: &Call, bind: TokenStream, body: Body) -> TokenStream {
    let here = Span::mixed_site();
    let open = call.session("calls", None);
    let name = Literal::string(&call.recorded_as);
    let run = group(Delimiter::Parenthesis, run.to_token_stream(), here);
    let run = call.run(&quote_spanned!(here=> checkpoint.run #run.named(#name) #open().at(site)), &args.clone, body);
    quote_spanned!(here=> #bind #run)
}
