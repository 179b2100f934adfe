//! A whole file, expanded as the compiler would: for those who want to read, print or fuzz what attributes become.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::parse::{ParseStream, Parser as _};
use syn::punctuated::Punctuated;
use syn::{Attribute, File, ImplItem, Item, Meta, Path, Token, TraitItem};

use crate::policy::Policy;

/// Expands until no attribute of ours is left, in functions, methods, traits and inline modules.
pub(crate) fn expand(source: TokenStream) -> TokenStream {
    let file: File = match syn::parse2(source.clone()) {
        Ok(file) => file,
        Err(error) => {
            let error = error.into_compile_error();
            return quote!(#source #error);
        }
    };
    let (attrs, items) = (file.attrs, file.items.into_iter().flat_map(item));
    quote!(#(#attrs)* #(#items)*)
}

/// One item; what it becomes may be several, and may have attributes to expand again.
fn item(item: Item) -> Vec<Item> {
    match item {
        Item::Fn(mut function) => match take(&mut function.attrs) {
            Some((name, args)) => again(&name, args, function.to_token_stream(), self::item),
            None => vec![Item::Fn(function)],
        },
        Item::Impl(mut block) => {
            block.items = block.items.into_iter().flat_map(impl_item).collect();
            vec![Item::Impl(block)]
        }
        Item::Trait(mut definition) => {
            definition.items = definition.items.into_iter().flat_map(trait_item).collect();
            vec![Item::Trait(definition)]
        }
        Item::Mod(mut module) => {
            if let Some((braces, items)) = module.content.take() {
                module.content = Some((braces, items.into_iter().flat_map(self::item).collect()));
            }
            vec![Item::Mod(module)]
        }
        Item::Enum(mut definition) => match take_derive(&mut definition.attrs) {
            true => {
                let input = definition.to_token_stream();
                forget_fault(&mut definition.attrs);
                for variant in &mut definition.variants {
                    forget_fault(&mut variant.attrs);
                }
                derived(Item::Enum(definition), input)
            }
            false => vec![Item::Enum(definition)],
        },
        Item::Struct(mut definition) => match take_derive(&mut definition.attrs) {
            true => {
                let input = definition.to_token_stream();
                forget_fault(&mut definition.attrs);
                derived(Item::Struct(definition), input)
            }
            false => vec![Item::Struct(definition)],
        },
        other => vec![other],
    }
}

fn impl_item(item: ImplItem) -> Vec<ImplItem> {
    match item {
        ImplItem::Fn(mut function) => match take(&mut function.attrs) {
            Some((name, args)) => again(&name, args, function.to_token_stream(), impl_item),
            None => vec![ImplItem::Fn(function)],
        },
        other => vec![other],
    }
}

fn trait_item(item: TraitItem) -> Vec<TraitItem> {
    match item {
        TraitItem::Fn(mut function) => match take(&mut function.attrs) {
            Some((name, args)) => again(&name, args, function.to_token_stream(), trait_item),
            None => vec![TraitItem::Fn(function)],
        },
        other => vec![other],
    }
}

/// Expands one attribute, and then what came of it. Ends, since an attribute can move only once.
fn again<I: syn::parse::Parse + Verbatim>(
    name: &str,
    args: TokenStream,
    item: TokenStream,
    next: fn(I) -> Vec<I>,
) -> Vec<I> {
    let expanded = crate::expand(name, args, item);
    let items = |input: ParseStream| {
        let mut items = Vec::new();
        while !input.is_empty() {
            items.push(input.parse::<I>()?);
        }
        Ok(items)
    };
    match items.parse2(expanded.clone()) {
        Ok(items) => items.into_iter().flat_map(next).collect(),
        Err(_) => vec![I::verbatim(expanded)],
    }
}

/// Items that can hold tokens which are none.
trait Verbatim {
    fn verbatim(tokens: TokenStream) -> Self;
}

impl Verbatim for Item {
    fn verbatim(tokens: TokenStream) -> Self {
        Self::Verbatim(tokens)
    }
}

impl Verbatim for ImplItem {
    fn verbatim(tokens: TokenStream) -> Self {
        Self::Verbatim(tokens)
    }
}

impl Verbatim for TraitItem {
    fn verbatim(tokens: TokenStream) -> Self {
        Self::Verbatim(tokens)
    }
}

/// Takes the first attribute of ours off an item.
fn take(attrs: &mut Vec<Attribute>) -> Option<(String, TokenStream)> {
    let name = |attr: &Attribute| attr.path().segments.last().map(|last: &syn::PathSegment| last.ident.to_string());
    let position = attrs.iter().position(|attr| {
        name(attr).is_some_and(|name| Policy::find(&name).is_some()) && !matches!(attr.meta, Meta::NameValue(_))
    })?;
    let attr = attrs.remove(position);
    let name = name(&attr)?;
    match attr.meta {
        Meta::List(list) => Some((name, list.tokens)),
        _ => Some((name, TokenStream::new())),
    }
}

/// Takes `Fault` out of `#[derive(..)]`, if it is there.
fn take_derive(attrs: &mut Vec<Attribute>) -> bool {
    let mut found = false;
    for attr in attrs.iter_mut().filter(|attr| attr.path().is_ident("derive")) {
        let Meta::List(list) = &mut attr.meta else {
            continue;
        };
        let Ok(paths) = Punctuated::<Path, Token![,]>::parse_terminated.parse2(list.tokens.clone()) else {
            continue;
        };
        let is_ours = |path: &&Path| path.segments.last().is_some_and(|last| last.ident == "Fault");
        if paths.iter().any(|path| is_ours(&path)) {
            found = true;
            let others = paths.iter().filter(|path| !is_ours(path));
            list.tokens = quote!(#(#others),*);
        }
    }
    attrs.retain(
        |attr| !matches!(&attr.meta, Meta::List(list) if attr.path().is_ident("derive") && list.tokens.is_empty()),
    );
    found
}

fn forget_fault(attrs: &mut Vec<Attribute>) {
    attrs.retain(|attr| attr.path().get_ident().is_none_or(|name: &Ident| name != "fault"));
}

fn derived(definition: Item, input: TokenStream) -> Vec<Item> {
    vec![definition, Item::Verbatim(crate::derive_fault(input))]
}
