//! Instead: the body, and another answer when it fails. `#[fallback]`.

use proc_macro2::{Delimiter, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Expr, ExprClosure};

use crate::args::Args;
use crate::call::{Body, Call, judgement};
use crate::errors::Errors;
use crate::tokens::group;

// Output, for a function or a value:
//     let fallback = ..;
//     let calls = fallback.calls::<R>().at(site).on(..);
//     'answer: {
//         {
//             let outcome: R = calls.run(async { .. }).await;
//             if !calls.stands_in(&outcome) { break 'answer outcome; }
//         }
//         cached(id).await
//     }
//
// The outcome lives in an inner block and is only lent to `stands_in`: an error that is not `Send` is gone before the
// fallback waits.
//
// Output, for what is made of the error:
//     'answer: {
//         let error = {
//             let outcome: R = ..;
//             if !.. { break 'answer outcome; }
//             match outcome { Err(error) => error, good => break 'answer good }
//         };
//         let PATTERN = error;
//         EXPR
//     }
//
// The body of a closure stands in the function itself: it may wait, what it borrows needs no closure that is `Send` for
// every lifetime, and nothing keeps the error longer than the user does. `?` and `return` leave the block around it, whose
// value is the outcome too.
pub(crate) fn wrap(args: &Args, call: &Call, bind: TokenStream, body: Body, errors: &mut Errors) -> TokenStream {
    let here = Span::mixed_site();
    let outcome = &call.outcome;
    let Some((needs_error, answer)) = answer(args, call, errors) else {
        return TokenStream::new();
    };
    let open = call.session("calls", None);
    let judgement = judgement(args);
    let calls = quote_spanned!(here=> calls);
    let run = call.run(&calls, &args.clone, body);
    let stands_in = quote_spanned!(call.blamed()=> calls.stands_in(&outcome));
    let attempt = quote_spanned! {here=>
        let outcome: #outcome = #run;
        if !#stands_in {
            break 'answer outcome;
        }
    };
    let attempt = if needs_error {
        quote_spanned! {here=>
            let error = {
                #attempt
                match outcome {
                    ::core::result::Result::Err(error) => error,
                    good => break 'answer good,
                }
            };
        }
    } else {
        quote_spanned!(here=> { #attempt })
    };
    quote_spanned! {here=>
        #bind
        let calls = fallback #open().at(site) #judgement;
        'answer: {
            #attempt
            #answer
        }
    }
}

/// The code of the fallback, and whether it needs the error.
fn answer(args: &Args, call: &Call, errors: &mut Errors) -> Option<(bool, TokenStream)> {
    let here = Span::mixed_site();
    let mut given = ["to", "with", "value"].into_iter().filter_map(|word| args.reserved(word));
    let Some((word, value)) = given.next() else {
        errors.at(
            Span::call_site(),
            "`#[fallback]` needs another answer: `#[fallback(to = function)]`, `#[fallback(with = |error| ..)]` or `#[fallback(value = ..)]`",
        );
        return None;
    };
    if let Some((second, _)) = given.next() {
        errors.at(
            second.span(),
            format!("one fallback has one answer, which is `{word}`; stack a second `#[fallback]` for a second one"),
        );
        return None;
    }
    let near = here.located_at(value.span());
    match (word.to_string().as_str(), value) {
        ("to", Expr::Path(target)) => {
            call.named_arguments("the fallback gets the same arguments: give this one a plain name", errors);
            Some((false, call.other(target)))
        }
        ("to", other) => {
            errors.at(
                other.span(),
                "`to` is the path of a function that takes the same arguments; for anything else write `with = |error| ..`",
            );
            None
        }
        ("with", Expr::Closure(closure)) => Some((true, inlined(closure, errors)?)),
        ("with", Expr::Path(function)) => {
            let wait = call.wait(near);
            Some((true, quote_spanned!(near=> #function(error) #wait)))
        }
        ("with", other) => {
            errors.at(other.span(), "`with` is a closure or the path of a function: `with = |error| ..`");
            None
        }
        (_, value) => {
            let value = group(Delimiter::Parenthesis, value.to_token_stream(), near);
            Some((false, quote_spanned!(near=> ::core::result::Result::Ok #value)))
        }
    }
}

/// `|PATTERN| EXPR` -> `let PATTERN = error; EXPR`
fn inlined(closure: &ExprClosure, errors: &mut Errors) -> Option<TokenStream> {
    let here = Span::mixed_site();
    let mut inputs = closure.inputs.iter();
    let (Some(pattern), None) = (inputs.next(), inputs.next()) else {
        errors.at(closure.inputs_begin.span(), "`with` takes the error, and nothing else: `with = |error| ..`");
        return None;
    };
    let body = &closure.body;
    Some(quote_spanned!(here=> let #pattern = error; #body))
}
