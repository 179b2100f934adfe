//! The stack: all attributes of one function, folded in one expansion, the top one outermost.
//!
//! Attributes expand from the top, so each one that sees others below it moves itself under the last of them, marked
//! `; moved`. The lowest one expands last, finds the others moved, and folds them all. The user's imports are used on
//! the way, and code between two attributes is none of our business.

use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{Attribute, Expr, FnArg, LitStr, Meta, Path, ReturnType, Type};

use crate::args::{self, Args};
use crate::call::{Body, Call};
use crate::errors::Errors;
use crate::func::{self, Func, Kind};
use crate::policy::{Policy, Shape};
use crate::supplied::{self, Supplied};
use crate::tokens::{group, mentions, rename};
use crate::{
    async_trait, bind, shape_candidates, shape_instead, shape_loop, shape_once, shape_race, shape_recover, shape_run,
    shape_share, shape_step, stand_in,
};

/// One of our attributes below another one.
pub(crate) enum Sibling {
    /// It has not been expanded.
    Waiting,
    /// It was, and waits to be folded.
    Moved(&'static Policy),
}

/// One attribute of the stack, read.
struct Layer {
    policy: &'static Policy,
    args: Args,
    /// The attribute itself, for errors about where it stands.
    span: Span,
}

/// Expands one attribute.
pub(crate) fn expand(policy: &'static Policy, args: TokenStream, item: TokenStream) -> TokenStream {
    let mut func = match Func::parse(item.clone(), policy.attribute) {
        Ok(func) => func,
        Err(error) => {
            let error = error.into_compile_error();
            return quote!(#item #error);
        }
    };
    let (args, _) = unmark(args);
    let last_waiting = func.attrs.iter().rposition(|attr| matches!(sibling(attr), Some(Sibling::Waiting)));
    if let Some(last) = last_waiting {
        func.attrs.insert(last + 1, moved(policy, args, &func.attrs));
        return func.into_token_stream();
    }
    fold(policy, args, func)
}

/// What this attribute is to us.
pub(crate) fn sibling(attr: &Attribute) -> Option<Sibling> {
    let of = |path: &Path| Policy::find(&path.segments.last()?.ident.to_string());
    match &attr.meta {
        Meta::Path(path) => of(path).map(|_| Sibling::Waiting),
        Meta::List(list) if list.path.is_ident("cfg_attr") => {
            // Not decided yet when the attribute above it expands. If it turns out to be absent, the moved ones manage.
            let tokens = list.tokens.clone().into_iter();
            let mut attrs =
                tokens.skip_while(|token| !matches!(token, TokenTree::Punct(comma) if comma.as_char() == ','));
            attrs.find_map(|token| match token {
                TokenTree::Ident(ident) => Policy::find(&ident.to_string()).map(|_| Sibling::Waiting),
                _ => None,
            })
        }
        Meta::List(list) => {
            let policy = of(&list.path)?;
            Some(if unmark(list.tokens.clone()).1 { Sibling::Moved(policy) } else { Sibling::Waiting })
        }
        Meta::NameValue(_) => None,
    }
}

/// The path of the runtime.
pub(crate) fn root(krate: Option<&Path>) -> TokenStream {
    krate.map_or_else(|| quote_spanned!(Span::mixed_site()=> ::ft_runtime), ToTokens::to_token_stream)
}

/// `args ; moved` -> `args`, and whether it was so.
fn unmark(args: TokenStream) -> (TokenStream, bool) {
    let mut tokens: Vec<TokenTree> = args.into_iter().collect();
    let marked = matches!(
        tokens.as_slice(),
        [.., TokenTree::Punct(semicolon), TokenTree::Ident(moved)] if semicolon.as_char() == ';' && moved == "moved"
    );
    if marked {
        tokens.truncate(tokens.len() - 2);
    }
    (tokens.into_iter().collect(), marked)
}

fn arguments(attr: &Attribute) -> TokenStream {
    match &attr.meta {
        Meta::List(list) => unmark(list.tokens.clone()).0,
        _ => TokenStream::new(),
    }
}

/// `#[::ft_runtime::retry(args ; moved)]`
fn moved(policy: &Policy, args: TokenStream, attrs: &[Attribute]) -> Attribute {
    let here = Span::call_site();
    let krate = krate(&args, attrs);
    let krate = krate.map_or_else(|| quote_spanned!(here=> ::ft_runtime), ToTokens::into_token_stream);
    let name = Ident::new(policy.attribute, here);
    // Cannot panic: any tokens may stand between the parentheses of an attribute.
    syn::parse_quote_spanned!(here=> #[#krate::#name(#args ; moved)])
}

/// One `crate = path` speaks for the whole stack.
fn krate(args: &TokenStream, attrs: &[Attribute]) -> Option<Path> {
    let ours = attrs.iter().filter(|attr| sibling(attr).is_some());
    args::krate(args.clone())
        .or_else(|| ours.filter(|attr| !attr.path().is_ident("cfg_attr")).find_map(|attr| args::krate(arguments(attr))))
}

fn fold(policy: &'static Policy, args: TokenStream, mut func: Func) -> TokenStream {
    let mut errors = Errors::default();
    let krate = krate(&args, &func.attrs);
    let root = root(krate.as_ref());
    let flow = func.flow(policy.attribute, &mut errors);
    let in_async_trait = matches!(flow, Some((Kind::AsyncTrait, _)));

    let read = |policy: &'static Policy, args: TokenStream, span, errors: &mut Errors| {
        // Where the body stands, `#[async_trait]` calls it `__self`, and so must the attribute.
        let args = if in_async_trait { rename(args, "self", "__self") } else { args };
        Layer { policy, args: Args::parse(args, policy, &root, errors), span }
    };
    // The moved ones stand in the order from the inside to the outside.
    let mut layers = vec![read(policy, args, Span::call_site(), &mut errors)];
    for attr in &func.attrs {
        if let Some(Sibling::Moved(policy)) = sibling(attr) {
            layers.push(read(policy, arguments(attr), attr.span(), &mut errors));
        }
    }
    func.attrs.retain(|attr| !matches!(sibling(attr), Some(Sibling::Moved(_))));

    let checkpoint = layers.iter().find(|layer| layer.policy.shape == Shape::Checkpoint).map(|layer| &layer.args);
    let retried = layers.iter().any(|layer| layer.policy.shape == Shape::Loop);
    let supplied = Supplied::take(&mut func.sig, checkpoint, retried, &mut errors);
    check(&layers, &supplied, &mut errors);
    if let Some(tx) = checkpoint.and_then(Args::tx) {
        shape_step::check_transaction(tx, &func.sig, &mut errors);
    }
    if let Some((Kind::Sync, _)) = flow {
        for Layer { policy, span, .. } in &layers {
            if let Some(instead) = policy.blocking {
                errors.at(*span, format!("`#[{}]` needs an `async fn`; {instead}", policy.attribute));
            }
        }
    }

    if layers.iter().any(|layer| layer.policy.shape == Shape::Race) {
        shape_race::check(&func.sig, &mut errors);
    }

    let Some((kind, outcome)) = &flow else {
        return stand_in::failed(func, None, &supplied, errors);
    };
    let folded = Fold { layers: &layers, supplied: &supplied, root, kind: *kind, outcome }.function(&func, &mut errors);
    if errors.is_empty() {
        folded.into_token_stream()
    } else {
        stand_in::failed(func, flow.as_ref(), &supplied, errors)
    }
}

/// What no single attribute can see.
fn check(layers: &[Layer], supplied: &Supplied, errors: &mut Errors) {
    let mut names = layers.iter().filter_map(|layer| layer.args.name.as_ref());
    names.next();
    for name in names {
        errors.at(name.span(), "one function is one site: give its name once");
    }
    let mut checkpoints = layers.iter().enumerate().filter(|(_, layer)| layer.policy.shape == Shape::Checkpoint);
    let Some((place, Layer { args, .. })) = checkpoints.next() else {
        return;
    };
    for (_, second) in checkpoints {
        errors.at(
            second.span,
            "one function is one run or one step: a second `#[checkpoint]` goes on a function of its own",
        );
    }
    if let Some((word, name)) = args.reserved("tx") {
        check_tx(word, name, args, layers, errors);
        return;
    }
    match (args.reserved("run"), &supplied.saved) {
        (Some(_), _) => {
            if let Some((key, _)) = args.reserved("key") {
                errors.at(key.span(), "a run is named by `run`; `key` names a step, which has no `run`");
            }
            if let Some((word, _)) = args.reserved("record_err") {
                errors.at(word.span(), "`record_err` belongs to a step: a run that failed stays resumable");
            }
        }
        (None, _) if args.reserved("recover").is_some() => {
            if let Some((word, _)) = args.reserved("recover") {
                errors.at(
                    word.span(),
                    "`recover` belongs to a run: name it, as in `#[checkpoint(run = \"import\", recover)]`",
                );
            }
        }
        (None, Some(state)) => {
            if let Some((key, _)) = args.reserved("key") {
                errors.at(
                    key.span(),
                    "a saved state belongs to a run: write `run = ..`; `key` names a step, which has no state",
                );
            } else {
                errors.at(
                    state.ty.span(),
                    "a saved state belongs to a run: name it, as in `#[checkpoint(run = \"reindex\")]`",
                );
            }
        }
        (None, None) => {
            for above in &layers[place + 1..] {
                if matches!(above.policy.shape, Shape::Loop | Shape::Candidates | Shape::Race) {
                    errors.at(
                        above.span,
                        format!("put `#[checkpoint]` on top, above `#[{}]`: all attempts of a step belong inside its one record", above.policy.attribute),
                    );
                }
                if above.policy.shape == Shape::Share {
                    errors.at(
                        above.span,
                        format!("put `#[checkpoint]` on top, above `#[{}]`: each run records the step, also where it shares an execution", above.policy.attribute),
                    );
                }
            }
        }
    }
}

/// What does not go with a step in a transaction.
fn check_tx(word: &Ident, name: &Expr, args: &Args, layers: &[Layer], errors: &mut Errors) {
    if args.tx().is_none() {
        errors.at(name.span(), "`tx` names a parameter: `tx = transaction`");
    }
    if args.reserved("run").is_some() {
        errors.at(word.span(), "`tx` belongs to a step: put what writes in the transaction into a function of its own");
    } else if args.reserved("key").is_none() {
        errors.at(
            word.span(),
            "a step in a transaction needs `key = ..`, what is done once in a run: counting its calls would take a second try, after its transaction was rolled back, for another step",
        );
    }
    if let Some((word, _)) = args.reserved("record_err") {
        errors.at(
            word.span(),
            "an `Err` rolls its transaction back, and its record with it: `record_err` does not go with `tx`",
        );
    }
    if let Some((word, _)) = args.reserved("state") {
        errors.at(word.span(), "a saved state belongs to a run, and `tx` to a step");
    }
    for layer in layers {
        let name = layer.policy.attribute;
        match layer.policy.shape {
            Shape::Loop | Shape::Candidates | Shape::Race | Shape::Instead => errors.at(
                layer.span,
                format!("what a failed attempt wrote is still in the transaction: put `#[{name}]` on the function that begins it, so that each attempt has one of its own"),
            ),
            Shape::Share => errors.at(
                layer.span,
                format!("each caller has a transaction of its own: put `#[{name}]` on the function that begins it"),
            ),
            Shape::Once | Shape::Checkpoint => {}
        }
    }
}

struct Fold<'a> {
    /// From the inside to the outside.
    layers: &'a [Layer],
    supplied: &'a Supplied,
    root: TokenStream,
    kind: Kind,
    outcome: &'a Type,
}

impl Fold<'_> {
    fn function(&self, func: &Func, errors: &mut Errors) -> TokenStream {
        let here = Span::mixed_site();
        let mut call = self.call(func);
        let site = self.site();
        let mut hoisted = None;
        let own = self.attempt(func);
        let diverges = may_diverge(own.clone());
        let mut body = Body { head: self.supplied.load(&self.root, call.is_async), code: own, diverges };
        for Layer { policy, args, .. } in self.layers {
            let bind = bind::policy(policy, args, &self.root, errors);
            body = match policy.shape {
                Shape::Loop => {
                    let wrapped = shape_loop::wrap(policy, args, &call, bind, body);
                    // The innermost loop answers; those around it have numbers of their own.
                    call.attempt = None;
                    wrapped
                }
                Shape::Once => shape_once::wrap(policy, args, &call, bind, body),
                Shape::Candidates => shape_candidates::wrap(args, &call, bind, body, errors),
                Shape::Instead => shape_instead::wrap(args, &call, bind, body, errors),
                Shape::Race => shape_race::wrap(args, &call, bind, body),
                Shape::Share => shape_share::wrap(args, &call, bind, body, errors),
                Shape::Checkpoint => match args.reserved("run") {
                    Some((_, run)) => {
                        let recover =
                            shape_recover::wrap(policy, args, &call, self.kind, &func.sig, &self.root, errors);
                        shape_run::wrap(run, args, &call, recover, bind, body, errors)
                    }
                    None => {
                        hoisted = Some(shape_step::open(args, &call, &bind, errors));
                        shape_step::wrap(args, &call, body, errors)
                    }
                },
            }
            .into();
        }
        let Body { code, .. } = body;

        let mut func = func.clone();
        let span = func.body.span();
        let all = match (self.kind, hoisted) {
            (Kind::Sync | Kind::Async, None) => quote_spanned!(here=> #site #code),
            (Kind::Sync, Some(step)) => quote_spanned!(here=> #site #step #code),
            (Kind::Async, Some(step)) => {
                let outcome = self.outcome;
                func.sig.asyncness = None;
                func.sig.output = ReturnType::Type(
                    syn::Token![->](here),
                    // The span decides that the future captures every lifetime, in whichever edition the user writes.
                    Box::new(Type::Verbatim(quote_spanned!(here=> impl ::core::future::Future<Output = #outcome>))),
                );
                quote_spanned!(here=> #site #step async move { #code })
            }
            (Kind::Future, None) => quote_spanned!(here=> async move { #site #code }),
            (Kind::Future, Some(step)) => quote_spanned!(here=> #site #step async move { #code }),
            (Kind::Boxed, None) => {
                quote_spanned!(here=> ::std::boxed::Box::pin(async move { #site #code }))
            }
            (Kind::Boxed, Some(step)) => {
                quote_spanned!(here=> #site #step ::std::boxed::Box::pin(async move { #code }))
            }
            (Kind::AsyncTrait, hoisted) => {
                let (outside, inside) = match hoisted {
                    // Outside of the future, `self` still has its name.
                    Some(step) => (Some(rename(quote_spanned!(here=> #site #step), "__self", "self")), None),
                    None => (None, Some(site)),
                };
                let gone = self.supplied.names();
                let replaced = async_trait::replace(func.body.stream(), &gone, &mut |_| {
                    group(Delimiter::Brace, quote_spanned!(here=> #inside #code), here)
                });
                quote_spanned!(here=> #outside #replaced)
            }
        };
        if let TokenTree::Group(body) = group(Delimiter::Brace, all, span) {
            func.body = body;
        }
        func.into_token_stream()
    }

    /// The user's code, as an expression that makes one attempt.
    fn attempt(&self, func: &Func) -> TokenStream {
        let here = Span::mixed_site();
        match self.kind {
            Kind::Sync | Kind::Async => TokenTree::Group(func.body.clone()).into(),
            Kind::Future | Kind::Boxed => {
                let block = &func.body;
                quote_spanned!(here=> #block.await)
            }
            Kind::AsyncTrait => {
                let mut own = TokenStream::new();
                async_trait::replace(func.body.stream(), &[], &mut |block| {
                    own = TokenTree::Group(block.clone()).into();
                    TokenTree::Group(block.clone())
                });
                own
            }
        }
    }

    fn call(&self, func: &Func) -> Call {
        let arguments = func.sig.inputs.iter().filter_map(|input| match input {
            FnArg::Typed(parameter) => Some((supplied::name(&parameter.pat).cloned(), parameter.pat.span())),
            FnArg::Receiver(_) => None,
        });
        Call {
            root: self.root.clone(),
            is_async: self.kind != Kind::Sync,
            outcome: func::inferred(self.outcome),
            keyword: func::keyword(&func.sig),
            name: func.sig.ident.clone(),
            recorded_as: self.name().map_or_else(|| func.sig.ident.unraw().to_string(), LitStr::value),
            receiver: func.sig.receiver().map(|_| if self.kind == Kind::AsyncTrait { "__self" } else { "self" }),
            arguments: arguments.collect(),
            attempt: self.supplied.attempt(),
        }
    }

    /// What `name = ".."` says, on any attribute of the stack.
    fn name(&self) -> Option<&LitStr> {
        self.layers.iter().find_map(|layer| layer.args.name.as_ref())
    }

    /// `let site = ::ft_runtime::site!().enter();`
    fn site(&self) -> TokenStream {
        let here = Span::mixed_site();
        let root = &self.root;
        let name = self.name();
        quote_spanned!(here=> let site = #root::site!(#name).enter();)
    }
}

/// Whether a block may end without a value, as in `{ return x; }` or `{ todo!() }`. Wrong guesses cost a lint, or an
/// attribute that is not needed.
fn may_diverge(block: TokenStream) -> bool {
    let Some(TokenTree::Group(block)) = block.into_iter().next() else { return false };
    let tokens: Vec<TokenTree> = block.stream().into_iter().collect();
    let is_end = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ';');
    // What we wrap has a value, so a block that ends in a statement does not get there.
    tokens.last().is_some_and(is_end)
        || tokens.rsplit(is_end).next().is_some_and(|tail| mentions(tail.iter().cloned().collect(), &DIVERGING))
}

const DIVERGING: [&str; 8] = ["return", "loop", "panic", "todo", "unimplemented", "unreachable", "exit", "abort"];
