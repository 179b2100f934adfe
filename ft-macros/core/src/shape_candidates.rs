//! Candidates: the body for one target after the other. `#[failover]`.

use proc_macro2::{Literal, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote_spanned};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{Expr, ExprPath, Ident};

use crate::args::Args;
use crate::call::{Body, Call, judgement};
use crate::errors::Errors;
use crate::tokens::braced;

pub(crate) fn wrap(args: &Args, call: &Call, bind: TokenStream, body: Body, errors: &mut Errors) -> TokenStream {
    match (&args.pool, args.reserved("to")) {
        (Some((target, pool)), None) => over(target, pool, args, call, bind, body),
        (None, Some((_, to))) => match targets(to, errors) {
            Some(targets) => among(&targets, args, call, bind, body, errors),
            None => TokenStream::new(),
        },
        (Some(_), Some((to, _))) => {
            errors.at(to.span(), "targets come from `to = [..]` or from `x in pool`, not from both");
            TokenStream::new()
        }
        (None, None) => {
            errors.at(
                Span::call_site(),
                "`#[failover]` needs somewhere to go: `#[failover(to = [other_function])]` or `#[failover(replica in &self.replicas)]`",
            );
            TokenStream::new()
        }
    }
}

// Output:
//     let failover = ..;
//     let pool = EXPR;
//     let mut candidates = failover.over::<R, _>(pool).at(site).start();
//     loop {
//         let Some(target) = candidates.current() else { break candidates.refused() };
//         let outcome: R = candidates.run(async { let replica = &*target; .. }).await;
//         if !candidates.again(&outcome) { break outcome; }
//     }
fn over(target: &Ident, pool: &Expr, args: &Args, call: &Call, bind: TokenStream, mut body: Body) -> TokenStream {
    let here = Span::mixed_site();
    let outcome = &call.outcome;
    let open = call.session("over", Some(TokenTree::Ident(Ident::new("_", here))));
    let judgement = judgement(args);
    let head = body.head;
    body.head = quote_spanned!(here=> let #target = &*target; #head);
    let again = quote_spanned!(call.blamed()=> candidates.again(&outcome));
    let run = call.run(&quote_spanned!(here=> candidates), &args.clone, body);
    quote_spanned! {here=>
        #bind
        let pool = #pool;
        let mut candidates = failover #open(pool).at(site) #judgement.start();
        loop {
            let ::core::option::Option::Some(target) = candidates.current() else {
                break candidates.refused()
            };
            let outcome: #outcome = #run;
            if !#again {
                break outcome;
            }
        }
    }
}

// Output:
//     let failover = ..;
//     let targets = { static FT_TARGETS: Targets<2> = Targets::new(["from_primary", "from_replica"]); &FT_TARGETS };
//     let mut candidates = failover.among::<R, 2>(targets).at(site).start();
//     loop {
//         let target = candidates.index();
//         let outcome: R = candidates.run(async { match target { 1 => from_replica(id).await, _ => { BODY } } }).await;
//         if !candidates.again(&outcome) { break outcome; }
//     }
fn among(
    targets: &[ExprPath],
    args: &Args,
    call: &Call,
    bind: TokenStream,
    body: Body,
    errors: &mut Errors,
) -> TokenStream {
    let here = Span::mixed_site();
    let (root, outcome) = (&call.root, &call.outcome);
    let count = Literal::usize_unsuffixed(targets.len() + 1);
    let open = call.session("among", Some(TokenTree::Literal(count.clone())));
    let judgement = judgement(args);
    let own = call.name.unraw().to_string();
    let names =
        std::iter::once(own).chain(targets.iter().map(|target| target.to_token_stream().to_string().replace(' ', "")));

    call.named_arguments("the other targets get the same arguments: give this one a plain name", errors);
    let others = targets.iter().enumerate().map(|(index, target)| {
        let index = Literal::usize_unsuffixed(index + 1);
        let other = call.other(target);
        quote_spanned!(here.located_at(target.span())=> #index => #other,)
    });
    let own = braced(body.code.clone(), here);
    let code = quote_spanned! {here=>
        match target {
            #(#others)*
            _ => #own
        }
    };
    let run =
        call.run(&quote_spanned!(here=> candidates), &args.clone, Body { head: body.head, code, diverges: false });
    let again = quote_spanned!(call.blamed()=> candidates.again(&outcome));
    quote_spanned! {here=>
        #bind
        let targets = {
            static FT_TARGETS: #root::Targets<#count> = #root::Targets::new([#(#names),*]);
            &FT_TARGETS
        };
        let mut candidates = failover #open(targets).at(site) #judgement.start();
        loop {
            let target = candidates.index();
            let outcome: #outcome = #run;
            if !#again {
                break outcome;
            }
        }
    }
}

/// `[from_replica, Self::from_cache]`
fn targets(to: &Expr, errors: &mut Errors) -> Option<Vec<ExprPath>> {
    let Expr::Array(list) = to else {
        errors.at(to.span(), "write the targets as a list: `to = [from_replica, from_cache]`");
        return None;
    };
    if list.elems.is_empty() {
        errors.at(list.bracket_token.span.join(), "`to = []` names no target");
        return None;
    }
    let mut targets = Vec::new();
    for target in &list.elems {
        match target {
            Expr::Path(path) => targets.push(path.clone()),
            other => errors.at(other.span(), "a target is the path of a function that takes the same arguments"),
        }
    }
    (targets.len() == list.elems.len()).then_some(targets)
}
