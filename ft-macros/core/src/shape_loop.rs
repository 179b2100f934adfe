//! The loop: the body again and again, until the session is content. `#[retry]`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote_spanned;

use crate::args::Args;
use crate::call::{Body, Call, judgement};
use crate::policy::Policy;

// Output:
//     let retry = ..;
//     let mut attempts = retry.attempts::<R>().at(site).on(..);
//     loop {
//         let wait = {
//             let outcome: R = attempts.run(async { .. }).await;
//             match attempts.again(&outcome) { Some(wait) => wait, None => break outcome }
//         };
//         wait.await;
//     }
//
// The outcome lives in an inner block and is only lent to `again`: an error that is not `Send` is gone before the wait,
// and a large value is never moved.
pub(crate) fn wrap(policy: &Policy, args: &Args, call: &Call, bind: TokenStream, body: Body) -> TokenStream {
    let here = Span::mixed_site();
    let local = Ident::new(policy.attribute, here);
    let outcome = &call.outcome;
    let open = call.session("attempts", None);
    let judgement = judgement(args);
    let attempt = call.attempt.as_ref().map(|parameter| quote_spanned!(here=> #parameter = attempts.attempt();));
    let run = call.run(&quote_spanned!(here=> attempts), &args.clone, body);
    let again = quote_spanned!(call.blamed()=> attempts.again(&outcome));
    let wait = if call.is_async { quote_spanned!(here=> wait.await;) } else { quote_spanned!(here=> wait.block();) };
    quote_spanned! {here=>
        #bind
        let mut attempts = #local #open().at(site) #judgement;
        loop {
            #attempt
            let wait = {
                let outcome: #outcome = #run;
                match #again {
                    ::core::option::Option::Some(wait) => wait,
                    ::core::option::Option::None => break outcome,
                }
            };
            #wait
        }
    }
}
