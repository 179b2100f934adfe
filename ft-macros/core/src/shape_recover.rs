//! A run that goes on by itself: `#[checkpoint(run = .., recover)]`.

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{FnArg, GenericParam, PatType, Signature, Type};

use crate::args::Args;
use crate::bind;
use crate::call::Call;
use crate::errors::Errors;
use crate::func::Kind;
use crate::policy::Policy;
use crate::supplied;
use crate::tokens::{braced, lifetimes};

const FACTORY: &str = "start its runs with a factory: `Recovery::new().factory(..)`, and leave out `recover`";

/// The statement that registers the function, and the call that records its arguments.
#[derive(Default)]
pub(crate) struct Recover {
    pub(crate) register: TokenStream,
    pub(crate) record: TokenStream,
}

// Output:
//     {
//         fn ft_start(inputs: &Inputs) -> Result<Start, CheckpointError> {
//             let order: Order = inputs.get("order")?;
//             Ok(Start::new(async move { place_order(&order).await }))
//         }
//         ::ft_runtime::recoverable!("place_order", 2, ft_start);
//     }
// and in the call of the run:
//     .recover(::ft_runtime::checkpoint::Inputs::new().with("order", &order))
pub(crate) fn wrap(
    policy: &Policy,
    args: &Args,
    call: &Call,
    kind: Kind,
    sig: &Signature,
    root: &TokenStream,
    errors: &mut Errors,
) -> Recover {
    let Some((word, value)) = args.reserved("recover") else { return Recover::default() };
    let here = Span::mixed_site();
    if !matches!(value, syn::Expr::Path(path) if path.path.is_ident("recover")) {
        errors.at(word.span(), "`recover` stands alone: `#[checkpoint(run = .., recover)]`");
    }
    check(word, args, sig, errors);

    let (mut reads, mut passed, mut record) = (TokenStream::new(), Vec::new(), TokenStream::new());
    for parameter in typed(sig) {
        let Some(name) = supplied::name(&parameter.pat) else {
            errors.at(
                parameter.pat.span(),
                "the arguments of a run that goes on by itself are recorded by their names: give this one a plain name",
            );
            continue;
        };
        let Some((owned, by_reference)) = owned(&parameter.ty, errors) else { continue };
        let text = Literal::string(&syn::ext::IdentExt::unraw(name).to_string());
        // A type that cannot be read is blamed on itself.
        let late = here.located_at(parameter.ty.span());
        reads.extend(quote_spanned!(late=> let #name: #owned = inputs.get(#text)?;));
        passed.push(if by_reference { quote_spanned!(here=> &#name) } else { name.to_token_stream() });
        record.extend(quote_spanned!(late=> .with(#text, &#name)));
    }
    let (function, name) = (&call.name, Literal::string(&call.recorded_as));
    let start = match kind {
        Kind::Sync => quote_spanned!(here=> blocking(move || #function(#(#passed),*))),
        _ => quote_spanned!(here=> new(async move { #function(#(#passed),*).await })),
    };
    let (version, upgrades) = (version(policy, args, root), upgrades(policy, args, root));
    let inputs = if reads.is_empty() { quote_spanned!(here=> _) } else { quote_spanned!(here=> inputs) };
    let checkpoint = quote_spanned!(here=> #root::checkpoint);
    let register = quote_spanned! {here=>
        fn ft_start(#inputs: &#checkpoint::Inputs) -> ::core::result::Result<#checkpoint::Start, #root::CheckpointError> {
            #reads
            ::core::result::Result::Ok(#checkpoint::Start::#start)
        }
        #root::recoverable!(#name, #version, #upgrades ft_start);
    };
    Recover {
        register: braced(register, here).into(),
        record: quote_spanned!(here=> .recover(#checkpoint::Inputs::new() #record)),
    }
}

/// The version of the code, where no call is.
fn version(policy: &Policy, args: &Args, root: &TokenStream) -> TokenStream {
    let here = Span::mixed_site();
    if let Some((_, version)) = args.setters.iter().find(|(key, _)| key == "version") {
        return version.to_token_stream();
    }
    if args.value.is_none() {
        return quote_spanned!(here=> 0);
    }
    // What is wrong with it, the run itself says.
    let policy = bind::reference(policy, args, root, &mut Errors::default());
    quote_spanned!(here=> (#policy).recorded_version())
}

/// Whether it goes on with runs of older versions, and a comma; nothing if it does not.
fn upgrades(policy: &Policy, args: &Args, root: &TokenStream) -> TokenStream {
    let here = Span::mixed_site();
    if args.setters.iter().any(|(key, _)| key == "migrate") {
        return quote_spanned!(here=> true,);
    }
    if args.value.is_none() {
        return TokenStream::new();
    }
    let policy = bind::reference(policy, args, root, &mut Errors::default());
    quote_spanned!(here=> (#policy).recorded_upgrades(),)
}

/// What only a caller, or a factory, can give.
fn check(word: &Ident, args: &Args, sig: &Signature, errors: &mut Errors) {
    if let Some(receiver) = sig.receiver() {
        errors.at(receiver.span(), format!("nobody keeps the `self` that this run was started with; {FACTORY}"));
    }
    for param in &sig.generics.params {
        if !matches!(param, GenericParam::Lifetime(_)) {
            errors.at(param.span(), format!("nobody knows which types this run was started with; {FACTORY}"));
        }
    }
    for skipped in &args.skip {
        errors.at(skipped.span(), format!("an argument that is left out cannot be recorded; {FACTORY}"));
    }
    if args.value.is_some() && matches!(args.value, Some(syn::Expr::Field(_))) {
        errors.at(word.span(), format!("the policy of this run is not known without its caller; {FACTORY}"));
    }
}

fn typed(sig: &Signature) -> impl Iterator<Item = &PatType> {
    sig.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(parameter) => Some(parameter),
        FnArg::Receiver(_) => None,
    })
}

/// The type that an argument is read as, and whether it is passed by reference.
fn owned(ty: &Type, errors: &mut Errors) -> Option<(TokenStream, bool)> {
    let here = Span::mixed_site().located_at(ty.span());
    match ty {
        Type::Paren(inner) => return owned(&inner.elem, errors),
        Type::Group(inner) => return owned(&inner.elem, errors),
        Type::ImplTrait(_) => {
            errors.at(ty.span(), format!("nobody knows which type this run was started with; {FACTORY}"));
            return None;
        }
        _ => {}
    }
    let (inner, by_reference) = match ty {
        Type::Reference(reference) if reference.mutability.is_some() => {
            errors.at(ty.span(), format!("what is changed for its caller has none after a crash; {FACTORY}"));
            return None;
        }
        Type::Reference(reference) => (&*reference.elem, true),
        ty => (ty, false),
    };
    let borrowed = lifetimes(quote!(#inner)).iter().any(|lifetime| lifetime != "static") || borrows(inner);
    if borrowed || matches!(inner, Type::TraitObject(_)) {
        errors.at(
            ty.span(),
            format!("an argument is recorded as an owned value or as the `T` of a `&T`, and this one borrows more; {FACTORY}"),
        );
        return None;
    }
    let ty = match inner {
        Type::Path(path) if by_reference && path.path.is_ident("str") => quote_spanned!(here=> ::std::string::String),
        Type::Path(path) if by_reference && path.path.segments.last().is_some_and(|last| last.ident == "Path") => {
            quote_spanned!(here=> ::std::path::PathBuf)
        }
        Type::Slice(slice) => {
            let element = &slice.elem;
            quote_spanned!(here=> ::std::vec::Vec<#element>)
        }
        inner => inner.to_token_stream(),
    };
    Some((ty, by_reference))
}

/// Whether it contains a reference or a trait object.
fn borrows(ty: &Type) -> bool {
    quote!(#ty).into_iter().any(|token| contains(&token))
}

fn contains(token: &proc_macro2::TokenTree) -> bool {
    match token {
        proc_macro2::TokenTree::Punct(punct) => punct.as_char() == '&',
        proc_macro2::TokenTree::Group(group) => group.stream().into_iter().any(|token| contains(&token)),
        _ => false,
    }
}
