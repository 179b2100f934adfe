//! The shared execution: the body once for all who ask the same. `#[coalesce]`.

use proc_macro2::{Delimiter, Span, TokenStream};
use quote::{ToTokens, quote_spanned};

use crate::args::Args;
use crate::call::{Body, Call};
use crate::errors::Errors;
use crate::tokens::group;

// Output:
//     let coalesce = ..;
//     coalesce.calls::<R>().at(site).key(&(EXPR)).run(async { .. }).await
pub(crate) fn wrap(args: &Args, call: &Call, bind: TokenStream, body: Body, errors: &mut Errors) -> TokenStream {
    let here = Span::mixed_site();
    let open = call.session("calls", None);
    let key = args.reserved("key").map(|(word, key)| {
        let late = here.located_at(word.span());
        let key = group(Delimiter::Parenthesis, key.to_token_stream(), late);
        quote_spanned!(late=> .key(&#key))
    });
    if key.is_none() && (call.receiver.is_some() || !call.arguments.is_empty()) {
        let example =
            call.arguments.iter().find_map(|(name, _)| name.as_ref()).map_or("..".into(), ToString::to_string);
        errors.at(
            Span::call_site(),
            format!("`#[coalesce]` lets equal calls share one execution: say what makes them equal, as in `#[coalesce(key = {example})]`"),
        );
    }
    let run = call.run(&quote_spanned!(here=> coalesce #open().at(site) #key), &args.clone, body);
    quote_spanned!(here=> #bind #run)
}
