//! A function as an attribute sees it: the signature is understood, the body is only carried along.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::parse::{ParseStream, Parser as _};
use syn::spanned::Spanned as _;
use syn::{Attribute, GenericArgument, PathArguments, ReturnType, Signature, Token, Type, TypeParamBound, Visibility};

use crate::async_trait;
use crate::errors::Errors;

/// A function with a body.
#[derive(Clone)]
pub(crate) struct Func {
    pub(crate) attrs: Vec<Attribute>,
    vis: Visibility,
    default: Option<Token![default]>,
    pub(crate) sig: Signature,
    /// The braces and what is between them, untouched: breakpoints and errors stay the user's.
    pub(crate) body: Group,
}

/// How a function runs its body, and so how code around the body has to be written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `fn`
    Sync,
    /// `async fn`
    Async,
    /// `fn .. -> impl Future<Output = R>`: the body makes one future.
    Future,
    /// `fn .. -> Pin<Box<dyn Future<Output = R>>>`, written by hand: the body makes one boxed future.
    Boxed,
    /// The same, written by `#[async_trait]`: the user's body is inside of it.
    AsyncTrait,
}

impl Func {
    /// Reads a function; the error says what `#[attribute]` found instead.
    pub(crate) fn parse(item: TokenStream, attribute: &str) -> syn::Result<Self> {
        (|input: ParseStream| Self::read(input, attribute)).parse2(item)
    }

    fn read(input: ParseStream, attribute: &str) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis: Visibility = input.parse()?;
        let default = if input.peek(Token![default]) { Some(input.parse()?) } else { None };
        let not_a_function = !(input.peek(Token![fn])
            || input.peek(Token![async])
            || input.peek(Token![unsafe])
            || input.peek(Token![extern])
            || input.peek(Token![const]));
        if not_a_function || input.peek(Token![const]) && input.peek2(syn::Ident) {
            return Err(input.error(format!("`#[{attribute}]` goes on a function or a method")));
        }
        let sig: Signature = input.parse()?;
        if input.peek(Token![;]) {
            let end: Token![;] = input.parse()?;
            let name = &sig.ident;
            return Err(syn::Error::new(
                end.span,
                format!(
                    "`#[{attribute}]` has no body to work on: put it on the implementations of `{name}`, or give `{name}` a default body"
                ),
            ));
        }
        match input.parse()? {
            TokenTree::Group(body) if body.delimiter() == Delimiter::Brace => {
                if input.is_empty() {
                    Ok(Self { attrs, vis, default, sig, body })
                } else {
                    Err(input.error("expected nothing after the function"))
                }
            }
            other => Err(syn::Error::new(other.span(), "expected the body of the function")),
        }
    }

    /// What the function returns, and how. Everything that no policy can work with is reported.
    pub(crate) fn flow(&self, attribute: &str, errors: &mut Errors) -> Option<(Kind, Type)> {
        let sig = &self.sig;
        if let Some(constness) = &sig.constness {
            errors.at(
                constness.span,
                format!("a `const fn` cannot wait, count or log, so `#[{attribute}]` does not go on it"),
            );
        }
        if let Some(abi) = &sig.abi {
            errors.at(
                abi.span(),
                format!("`#[{attribute}]` goes on Rust functions; wrap the call of this one in a function of your own"),
            );
        }
        let ReturnType::Type(_, ty) = &sig.output else {
            errors.at(
                sig.ident.span(),
                format!("`#[{attribute}]` needs an outcome to judge: let `{}` return a `Result`", sig.ident),
            );
            return None;
        };
        let (kind, output) = match (future(ty), sig.asyncness.is_some()) {
            (None, true) => (Kind::Async, (**ty).clone()),
            (None, false) => (Kind::Sync, (**ty).clone()),
            (Some(_), true) => {
                errors.at(
                    ty.span(),
                    "an `async fn` that returns a future is two waits; write `async fn` or the future, not both",
                );
                return None;
            }
            (Some((kind, output)), false) => (kind, output?),
        };
        if let Type::ImplTrait(_) = &output {
            errors.at(output.span(), format!("`#[{attribute}]` needs a `Result` or a future of one, written as such"));
            return None;
        }
        if is_plainly_no_result(&output) {
            let output_text = output.to_token_stream().to_string().replace(' ', "");
            errors.at(
                output.span(),
                format!(
                    "`#[{attribute}]` needs an outcome to judge: let `{}` return a `Result`, not `{output_text}`",
                    sig.ident
                ),
            );
            return None;
        }
        let kind = if kind == Kind::Boxed && async_trait::is(self.body.stream()) { Kind::AsyncTrait } else { kind };
        Some((kind, output))
    }
}

impl ToTokens for Func {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Self { attrs, vis, default, sig, body } = self;
        tokens.extend(quote!(#(#attrs)* #vis #default #sig #body));
    }
}

/// Types that are no `Result` whatever is in scope. For all others, aliases among them, the compiler says it: in two errors
/// where this gives one.
fn is_plainly_no_result(ty: &Type) -> bool {
    const NAMES: &[&str] = &[
        "bool", "char", "f32", "f64", "i128", "i16", "i32", "i64", "i8", "isize", "u128", "u16", "u32", "u64", "u8",
        "usize", "Option", "String", "Vec",
    ];
    match ty {
        Type::Array(_) | Type::Never(_) | Type::Reference(_) | Type::Slice(_) | Type::Tuple(_) => true,
        Type::Path(path) => path
            .path
            .segments
            .first()
            .is_some_and(|only| path.path.segments.len() == 1 && NAMES.iter().any(|name| only.ident == name)),
        _ => false,
    }
}

/// `impl Future<Output = R>`, `Pin<Box<dyn Future<Output = R>>>`, `BoxFuture<'_, R>`.
/// The inner `None` is an `impl Trait` of another trait, or a future without `Output`.
fn future(ty: &Type) -> Option<(Kind, Option<Type>)> {
    match ty {
        Type::ImplTrait(opaque) => Some((Kind::Future, output(&opaque.bounds))).filter(|(_, output)| output.is_some()),
        Type::Paren(inner) => future(&inner.elem),
        Type::Group(inner) => future(&inner.elem),
        Type::Path(path) => {
            let last = path.path.segments.last()?;
            match last.ident.to_string().as_str() {
                "Pin" => match types(&last.arguments).next()? {
                    Type::Path(pointer) => {
                        let pointer = pointer.path.segments.last().filter(|last| last.ident == "Box")?;
                        match types(&pointer.arguments).next()? {
                            Type::TraitObject(object) => {
                                output(&object.bounds).map(|output| (Kind::Boxed, Some(output)))
                            }
                            _ => None,
                        }
                    }
                    _ => None,
                },
                "BoxFuture" | "LocalBoxFuture" => {
                    types(&last.arguments).last().map(|output| (Kind::Boxed, Some(output.clone())))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

fn output<'a>(bounds: impl IntoIterator<Item = &'a TypeParamBound>) -> Option<Type> {
    bounds.into_iter().find_map(|bound| {
        let TypeParamBound::Trait(bound) = bound else {
            return None;
        };
        let last = bound.path.segments.last().filter(|last| last.ident == "Future")?;
        arguments(&last.arguments).find_map(|argument| match argument {
            GenericArgument::AssocType(assoc) if assoc.ident == "Output" => Some(assoc.ty.clone()),
            _ => None,
        })
    })
}

fn types(arguments_: &PathArguments) -> impl Iterator<Item = &Type> {
    arguments(arguments_).filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

fn arguments(arguments: &PathArguments) -> impl Iterator<Item = &GenericArgument> {
    match arguments {
        PathArguments::AngleBracketed(arguments) => Some(arguments.args.iter()),
        _ => None,
    }
    .into_iter()
    .flatten()
}

/// The type as a `let` can write it: `Result<impl Display, E>` -> `Result<_, E>`.
pub(crate) fn inferred(ty: &Type) -> TokenStream {
    fn erase(ty: &mut Type) {
        match ty {
            Type::ImplTrait(opaque) => {
                *ty = Type::Infer(syn::TypeInfer { attrs: Vec::new(), underscore_token: Token![_](opaque.span()) });
            }
            Type::Path(path) => {
                for segment in &mut path.path.segments {
                    if let PathArguments::AngleBracketed(arguments) = &mut segment.arguments {
                        for argument in &mut arguments.args {
                            if let GenericArgument::Type(ty) = argument {
                                erase(ty);
                            }
                        }
                    }
                }
            }
            Type::Tuple(tuple) => tuple.elems.iter_mut().for_each(erase),
            Type::Reference(reference) => erase(&mut reference.elem),
            Type::Array(array) => erase(&mut array.elem),
            Type::Slice(slice) => erase(&mut slice.elem),
            Type::Paren(paren) => erase(&mut paren.elem),
            Type::Group(group) => erase(&mut group.elem),
            _ => {}
        }
    }
    let mut ty = ty.clone();
    erase(&mut ty);
    ty.into_token_stream()
}

/// Where generated code of a function should be blamed: its `async`, else its `fn`.
pub(crate) fn keyword(sig: &Signature) -> Span {
    sig.asyncness.map_or(sig.fn_token.span, |asyncness| asyncness.span)
}
