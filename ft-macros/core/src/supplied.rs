//! Parameters that no caller passes: `state: &mut Saved<..>` and `attempt: Attempt`.

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{Expr, FnArg, GenericParam, Pat, PatType, PathArguments, Signature, Type, WherePredicate};

use crate::args::Args;
use crate::errors::Errors;
use crate::tokens::lifetimes;

/// What was taken out of a signature.
#[derive(Default)]
pub(crate) struct Supplied {
    /// The saved state of a run.
    pub(crate) saved: Option<PatType>,
    /// The number of the attempt.
    pub(crate) attempt: Option<PatType>,
}

impl Supplied {
    /// Takes the parameters that the attributes of this function supply out of its signature.
    pub(crate) fn take(sig: &mut Signature, checkpoint: Option<&Args>, retried: bool, errors: &mut Errors) -> Self {
        let alias = checkpoint.and_then(|args| args.reserved("state")).and_then(|(word, name)| match name {
            Expr::Path(path) if path.path.get_ident().is_some() => path.path.get_ident().cloned(),
            _ => {
                errors.at(word.span(), "`state` names a parameter: `state = progress`");
                None
            }
        });
        let mut supplied = Self::default();
        let mut kept = syn::punctuated::Punctuated::new();
        let mut taken = TokenStream::new();
        for argument in std::mem::take(&mut sig.inputs) {
            match argument {
                FnArg::Typed(parameter) if checkpoint.is_some() && is_state(&parameter, alias.as_ref()) => {
                    parameter.to_tokens(&mut taken);
                    supplied.state(parameter, errors);
                }
                FnArg::Typed(parameter)
                    if retried && last_segment(&parameter.ty).is_some_and(|last| last.ident == "Attempt") =>
                {
                    parameter.to_tokens(&mut taken);
                    if supplied.attempt.is_some() {
                        errors.at(parameter.span(), "the number of the attempt is supplied once");
                    }
                    supplied.attempt = Some(parameter);
                }
                argument => kept.push(argument),
            }
        }
        sig.inputs = kept;
        if let (Some(name), None) = (&alias, &supplied.saved) {
            errors.at(name.span(), format!("`{}` has no parameter `{name}`", sig.ident));
        }
        forget_lifetimes(sig, taken);
        supplied
    }

    fn state(&mut self, parameter: PatType, errors: &mut Errors) {
        if !matches!(&*parameter.ty, Type::Reference(reference) if reference.mutability.is_some()) {
            errors.at(parameter.ty.span(), "a saved state is supplied as `&mut Saved<..>`: it exists to be changed, and the store keeps the original");
        }
        if self.saved.is_some() {
            errors.at(parameter.span(), "a run has one saved state; put both values into one type");
        }
        if name(&parameter.pat).is_none() {
            errors.at(
                parameter.pat.span(),
                "a saved state is stored under the name of its parameter: give it a plain name",
            );
        }
        self.saved = Some(parameter);
    }

    /// The names that are gone from the signature.
    pub(crate) fn names(&self) -> Vec<String> {
        [&self.saved, &self.attempt]
            .into_iter()
            .flatten()
            .filter_map(|parameter| name(&parameter.pat))
            .map(Ident::to_string)
            .collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.saved.is_none() && self.attempt.is_none()
    }

    // Output:
    //     let mut saved = ::ft_runtime::Saved::<T>::load("state").await?;
    //     let state: &mut Saved<T> = &mut saved;
    pub(crate) fn load(&self, root: &TokenStream, is_async: bool) -> TokenStream {
        let Some(parameter) = &self.saved else {
            return TokenStream::new();
        };
        let (Type::Reference(reference), Some(name)) = (&*parameter.ty, name(&parameter.pat)) else {
            return TokenStream::new();
        };
        let here = Span::mixed_site();
        let (pattern, ty) = (&parameter.pat, anonymous(&reference.elem));
        let name = Literal::string(&name.unraw().to_string());
        let owner = match last_segment(&reference.elem) {
            Some(last) if last.ident == "Saved" => match &last.arguments {
                PathArguments::AngleBracketed(arguments) => {
                    let arguments = anonymous(&arguments.args);
                    quote_spanned!(here=> #root::Saved::<#arguments>)
                }
                _ => quote_spanned!(here=> #root::Saved),
            },
            _ => quote_spanned!(here=> <#ty>),
        };
        let load = if is_async {
            quote_spanned!(here=> load(#name).await?)
        } else {
            quote_spanned!(here=> load_blocking(#name)?)
        };
        quote_spanned! {here=>
            let mut saved = #owner::#load;
            let #pattern: &mut #ty = &mut saved;
        }
    }

    /// `let attempt: Attempt`
    pub(crate) fn attempt(&self) -> Option<TokenStream> {
        self.attempt.as_ref().map(|parameter| {
            let (pattern, ty) = (&parameter.pat, &parameter.ty);
            quote!(let #pattern: #ty)
        })
    }
}

/// Written `Saved<..>`, behind whatever reference, or named by `state = ..`.
fn is_state(parameter: &PatType, alias: Option<&Ident>) -> bool {
    if alias.is_some() && name(&parameter.pat) == alias {
        return true;
    }
    let ty = match &*parameter.ty {
        Type::Reference(reference) => &*reference.elem,
        ty => ty,
    };
    last_segment(ty).is_some_and(|last| last.ident == "Saved")
}

/// The name of a parameter, if its pattern is one.
pub(crate) fn name(pattern: &Pat) -> Option<&Ident> {
    match pattern {
        Pat::Ident(pattern) if pattern.subpat.is_none() => Some(&pattern.ident),
        _ => None,
    }
}

fn last_segment(ty: &Type) -> Option<&syn::PathSegment> {
    match ty {
        Type::Path(path) => path.path.segments.last(),
        Type::Group(group) => last_segment(&group.elem),
        Type::Paren(paren) => last_segment(&paren.elem),
        _ => None,
    }
}

/// In the body, the lifetimes of a signature that is gone are for the compiler to find.
fn anonymous(ty: &impl ToTokens) -> TokenStream {
    let mut ty = ty.to_token_stream();
    for lifetime in lifetimes(ty.clone()) {
        if lifetime != "static" {
            ty = crate::tokens::rename_lifetime(ty, &lifetime, "_");
        }
    }
    ty
}

/// `#[async_trait]` names every elided lifetime; those of a parameter that is gone have to go too, or the method would
/// no longer match its trait.
fn forget_lifetimes(sig: &mut Signature, taken: TokenStream) {
    let used = {
        let (inputs, output) = (&sig.inputs, &sig.output);
        lifetimes(quote!(#inputs #output))
    };
    let generated = |lifetime: &str| lifetime.strip_prefix("life").is_some_and(|number| number.parse::<u32>().is_ok());
    let gone: Vec<String> =
        lifetimes(taken).into_iter().filter(|lifetime| generated(lifetime) && !used.contains(lifetime)).collect();
    if gone.is_empty() {
        return;
    }
    let is_gone = |lifetime: &syn::Lifetime| gone.iter().any(|gone| lifetime.ident == gone);
    let params = std::mem::take(&mut sig.generics.params);
    sig.generics.params = params
        .into_iter()
        .filter(|param| !matches!(param, GenericParam::Lifetime(param) if is_gone(&param.lifetime)))
        .collect();
    if let Some(clause) = &mut sig.generics.where_clause {
        let predicates = std::mem::take(&mut clause.predicates);
        clause.predicates = predicates
            .into_iter()
            .filter(
                |predicate| !matches!(predicate, WherePredicate::Lifetime(predicate) if is_gone(&predicate.lifetime)),
            )
            .collect();
    }
}
