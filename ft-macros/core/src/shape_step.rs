//! A step: a call whose result is recorded once. `#[checkpoint]`, `#[checkpoint(key = ..)]`.

use proc_macro2::{Delimiter, Ident, Literal, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Expr, ExprLit, FnArg, Lit, Signature, Type};

use crate::args::Args;
use crate::call::{Body, Call};
use crate::errors::Errors;
use crate::supplied;
use crate::tokens::group;

// Output, when the function is called (its place in the run must not depend on when it is polled):
//     let checkpoint = ..;
//     let step = checkpoint.step("charge").key(&(order.id)).input(&order).input(&hold).at(site);
pub(crate) fn open(args: &Args, call: &Call, bind: &TokenStream, errors: &mut Errors) -> TokenStream {
    let here = Span::mixed_site();
    let name = Literal::string(&call.recorded_as);
    let key = args.reserved("key").map(|(word, key)| {
        let late = here.located_at(word.span());
        let key = group(Delimiter::Parenthesis, key.to_token_stream(), late);
        quote_spanned!(late=> .key(&#key))
    });
    let mut input = TokenStream::new();
    for (argument, span) in &call.arguments {
        match argument {
            Some(argument) if args.skip.contains(argument) || args.tx() == Some(argument) => {}
            // An argument that cannot be compared is blamed on itself.
            Some(argument) => input.extend(quote_spanned!(here.located_at(argument.span())=> .input(&#argument))),
            None => errors.at(*span, "a step records what it was called with: give this argument a plain name"),
        }
    }
    check_skipped(args, call, errors);
    check_migrate(args, errors);
    quote_spanned!(here=> #bind let step = checkpoint.step(#name) #key #input.at(site);)
}

// Output, inside of what `open` stands before:
//     step.calls::<R>().run(async { .. }).await
// and with `tx`:
//     match step.calls::<R>().look_up(&*tx).await {
//         TxStep::Answered(outcome) => outcome,
//         TxStep::Execute(step) => {
//             let outcome = step.run(async { .. }).await;
//             step.record(&*tx, outcome).await
//         }
//     }
pub(crate) fn wrap(args: &Args, call: &Call, body: Body, errors: &mut Errors) -> TokenStream {
    let here = Span::mixed_site();
    let open = call.session("calls", None);
    if let Some(tx) = args.tx() {
        return in_transaction(tx, &open, args, call, body);
    }
    let record_err = args.reserved("record_err").and_then(|(word, value)| match value {
        // Another type of session, so it must be known while compiling.
        Expr::Lit(ExprLit { lit: Lit::Bool(value), .. }) => {
            let blamed = call.blamed();
            value.value.then(|| quote_spanned!(blamed=> .record_err()))
        }
        _ => {
            errors.at(word.span(), "`record_err` is known while compiling: write `record_err = true`");
            None
        }
    });
    call.run(&quote_spanned!(here=> step #open() #record_err), &args.clone, body)
}

fn in_transaction(tx: &Ident, open: &TokenStream, args: &Args, call: &Call, body: Body) -> TokenStream {
    let here = Span::mixed_site();
    let root = &call.root;
    // A type that is no transaction is blamed on itself.
    let of = call.arguments.iter().find(|(argument, _)| argument.as_ref() == Some(tx)).map_or(tx.span(), |(_, of)| *of);
    let blamed = here.located_at(of);
    let mut name = tx.clone();
    name.set_span(tx.span().located_at(of));
    let lent = quote_spanned!(blamed=> &*#name);
    let wait = call.wait(blamed);
    let (look_up, record) = if call.is_async {
        (Ident::new("look_up", blamed), Ident::new("record", blamed))
    } else {
        (Ident::new("look_up_blocking", blamed), Ident::new("record_blocking", blamed))
    };
    let look_up = quote_spanned!(blamed=> .#look_up(#lent)#wait);
    let record = quote_spanned!(blamed=> .#record(#lent, outcome)#wait);
    let run = call.run(&quote_spanned!(here=> step), &args.clone, body);
    quote_spanned! {here=>
        match step #open() #look_up {
            #root::checkpoint::TxStep::Answered(outcome) => outcome,
            #root::checkpoint::TxStep::Execute(step) => {
                let outcome = #run;
                step #record
            }
        }
    }
}

/// The parameter that `tx` names is there, and is lent.
pub(crate) fn check_transaction(tx: &Ident, sig: &Signature, errors: &mut Errors) {
    let of = sig.inputs.iter().find_map(|input| match input {
        FnArg::Typed(parameter) if supplied::name(&parameter.pat) == Some(tx) => Some(&*parameter.ty),
        _ => None,
    });
    match of {
        None => errors.at(
            tx.span(),
            format!("the transaction is passed to `{}`: give it a parameter `{tx}: &Transaction<'_>`, or name it as in `tx = parameter`", sig.ident),
        ),
        Some(Type::Reference(_)) => {}
        Some(ty) => errors.at(
            ty.span(),
            "the transaction belongs to the caller, who commits it: take `&Transaction<'_>` or `&mut Transaction<'_>`",
        ),
    }
}

/// A migration leads to a version, which an existing policy may have.
pub(crate) fn check_migrate(args: &Args, errors: &mut Errors) {
    let setter = |word: &str| args.setters.iter().map(|(key, _)| key).find(|key| *key == word);
    if let (Some(migrate), None, None) = (setter("migrate"), setter("version"), &args.value) {
        errors.at(
            migrate.span(),
            "`migrate` makes values of older versions into those of this one: say which one this is, as in `version = 1`",
        );
    }
}

/// A name in `skip(..)` is that of an argument.
pub(crate) fn check_skipped(args: &Args, call: &Call, errors: &mut Errors) {
    let names = call.arguments.iter().filter_map(|(argument, _)| argument.as_ref());
    for skipped in &args.skip {
        if !names.clone().any(|name| name == skipped) {
            let known: Vec<String> = names.clone().map(|name| format!("`{name}`")).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            errors.at(skipped.span(), format!("`{}` has no argument `{skipped}` to skip; it has {known}", call.name));
        }
    }
}
