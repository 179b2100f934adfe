//! Once: a policy that lets the body run one time, or not at all.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote_spanned;

use crate::args::Args;
use crate::call::{Body, Call, judgement};
use crate::policy::Policy;

// Output:
//     let timeout = ..;
//     timeout.calls::<R>().at(site).when(..).run(async { .. }).await
pub(crate) fn wrap(policy: &Policy, args: &Args, call: &Call, bind: TokenStream, body: Body) -> TokenStream {
    let here = Span::mixed_site();
    let local = Ident::new(policy.attribute, here);
    let open = call.session("calls", None);
    let judgement = judgement(args);
    let run = call.run(&quote_spanned!(here=> #local #open().at(site) #judgement), &args.clone, body);
    quote_spanned!(here=> #bind #run)
}
