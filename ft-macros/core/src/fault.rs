//! `#[derive(Fault)]`: an error says, variant by variant, whether its call may be made again.

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{Attribute, Data, DeriveInput, Fields, Generics, Member, Path, parse_quote_spanned};

use crate::errors::Errors;
use crate::tokens::mentions;
use words::{Kind, Place, Words};

mod words;

/// The implementation, or all errors.
pub(crate) fn derive(item: TokenStream) -> TokenStream {
    let input: DeriveInput = match syn::parse2(item) {
        Ok(input) => input,
        Err(error) => return error.into_compile_error(),
    };
    let mut errors = Errors::default();
    let (default, cases) = match read(&input, &mut errors) {
        Some(read) => read,
        None => return errors.into_tokens(),
    };
    // With mistakes too, or every use of the error would be one more.
    let implementation = implement(&input, &default, &cases);
    let errors = errors.into_tokens();
    quote!(#implementation #errors)
}

/// A struct, or one variant.
struct Case<'a> {
    /// `Self`, or `Self::Variant`.
    pattern: TokenStream,
    /// `Type`, or `Type::Variant`: what a report may show.
    name: String,
    fields: &'a Fields,
    words: Words,
    /// The field that `transparent` forwards to.
    source: Option<&'a syn::Field>,
    /// The field that `retry_after` names.
    patience: Option<Member>,
}

fn read<'a>(input: &'a DeriveInput, errors: &mut Errors) -> Option<(Words, Vec<Case<'a>>)> {
    let ty = input.ident.unraw().to_string();
    let here = Span::mixed_site();
    match &input.data {
        Data::Struct(data) => {
            let words = Words::read(&input.attrs, Place::Struct, errors);
            let case = Case::new(
                quote_spanned!(here=> Self),
                ty,
                &data.fields,
                words,
                &Words::default(),
                input.ident.span(),
                errors,
            );
            Some((Words::default(), vec![case]))
        }
        Data::Enum(data) => {
            let default = Words::read(&input.attrs, Place::Enum, errors);
            let mut cases = Vec::new();
            for variant in &data.variants {
                let words = Words::read(&variant.attrs, Place::Variant, errors);
                let ident = &variant.ident;
                let name = format!("{ty}::{}", ident.unraw());
                let pattern = quote_spanned!(here=> Self::#ident);
                cases.push(Case::new(pattern, name, &variant.fields, words, &default, ident.span(), errors));
            }
            Some((default, cases))
        }
        Data::Union(data) => {
            errors.at(
                data.union_token.span,
                "`Fault` cannot be derived for a union: nothing says which field is the error",
            );
            None
        }
    }
}

impl<'a> Case<'a> {
    fn new(
        pattern: TokenStream,
        name: String,
        fields: &'a Fields,
        mut words: Words,
        default: &Words,
        span: Span,
        errors: &mut Errors,
    ) -> Self {
        if words.kind.is_none() && words.transparent.is_none() && words.readable {
            if let Some(rejected) = carries_rejected(fields) {
                words.transparent = Some(rejected);
            } else if default.kind.is_some() {
                words.kind = default.kind;
            } else if default.readable {
                let (subject, everywhere) = if name.contains("::") {
                    ("this variant", ", or a kind for all others on the enum")
                } else {
                    ("this error", "")
                };
                errors.at(
                    span,
                    format!(
                        "{subject} does not say whether its call may be made again: write `#[fault(permanent)]`, `#[fault(transient)]`, \
                         `#[fault(unsent)]` or `#[fault(throttled)]` on it{everywhere}"
                    ),
                );
            }
        }
        let mut case = Self { pattern, name, fields, words, source: None, patience: None };
        if let Some(span) = case.words.transparent {
            if case.fields.len() == 1 {
                case.source = case.fields.iter().next();
            } else {
                errors
                    .at(span, format!("`transparent` forwards to the only field, and here are {}", case.fields.len()));
            }
        }
        if let Some(member) = case.words.retry_after.clone() {
            if case.fields.members().any(|field| field == member) {
                case.patience = Some(member);
            } else {
                let fields: Vec<String> =
                    case.fields.members().map(|field| format!("`{}`", field.to_token_stream())).collect();
                let known =
                    if fields.is_empty() { "it has none".to_owned() } else { format!("it has {}", fields.join(", ")) };
                errors
                    .at(member.span(), format!("`{}` has no field `{}`; {known}", case.name, member.to_token_stream()));
            }
        }
        case
    }

    /// An arm that binds nothing.
    fn arm(&self, value: &TokenStream) -> TokenStream {
        let here = Span::mixed_site();
        let pattern = &self.pattern;
        quote_spanned!(here=> #pattern { .. } => #value,)
    }

    /// An arm that calls `method` on the only field.
    fn forward(&self, root: &TokenStream, method: &str, more: &TokenStream) -> Option<TokenStream> {
        self.source?;
        let here = Span::mixed_site();
        let (pattern, method) = (&self.pattern, Ident::new(method, here));
        let member = self.fields.members().next()?;
        Some(quote_spanned!(here=> #pattern { #member: source, .. } => #root::Fault::#method(source #more),))
    }

    /// An arm that reads the field of `retry_after`: a `Duration`, or an `Option` of one.
    fn patience(&self, value: impl FnOnce(TokenStream) -> TokenStream) -> Option<TokenStream> {
        let here = Span::mixed_site();
        let (pattern, member) = (&self.pattern, self.patience.as_ref()?);
        let span = here.located_at(member.span());
        let value = value(
            quote_spanned!(span=> ::core::convert::Into::<::core::option::Option<::core::time::Duration>>::into(*patience)),
        );
        Some(quote_spanned!(here=> #pattern { #member: patience, .. } => #value,))
    }
}

fn implement(input: &DeriveInput, default: &Words, cases: &[Case]) -> TokenStream {
    let here = Span::mixed_site();
    let root = cases.iter().map(|case| &case.words).chain([default]).find_map(|words| words.krate.as_ref());
    let root = root.map_or_else(|| quote_spanned!(here=> ::ft_runtime), |root: &Path| root.to_token_stream());
    let none = TokenStream::new();

    let kind = |case: &Case| {
        if let Some(arm) = case.forward(&root, "kind", &none) {
            return arm;
        }
        match case.words.kind {
            Some(Kind::Throttled) => case
                .patience(|after| quote_spanned!(here=> #root::FaultKind::Throttled { retry_after: #after }))
                .unwrap_or_else(|| case.arm(&quote_spanned!(here=> #root::FaultKind::Throttled { retry_after: ::core::option::Option::None }))),
            Some(Kind::Unsent) => case.arm(&quote_spanned!(here=> #root::FaultKind::Unsent)),
            Some(Kind::Transient) => case.arm(&quote_spanned!(here=> #root::FaultKind::Transient)),
            Some(Kind::Permanent) | None => case.arm(&quote_spanned!(here=> #root::FaultKind::Permanent)),
        }
    };
    let kinds =
        method(cases, quote_spanned!(here=> fn kind(&self) -> #root::FaultKind), &none, |case| Some(kind(case)));
    let mut methods = vec![kinds];
    let nothing = quote_spanned!(here=> ::core::option::Option::None);
    if cases.iter().any(|case| case.source.is_some() || case.patience.is_some()) {
        let signature = quote_spanned!(here=> fn retry_after(&self) -> ::core::option::Option<::core::time::Duration>);
        methods.push(method(cases, signature, &nothing, |case| {
            case.forward(&root, "retry_after", &none).or_else(|| case.patience(|after| after))
        }));
    }
    if cases.iter().any(|case| case.source.is_some()) {
        let signature = quote_spanned!(here=> fn rejected(&self) -> ::core::option::Option<&#root::Rejected>);
        methods.push(method(cases, signature, &nothing, |case| case.forward(&root, "rejected", &none)));
    }
    let display = |case: &Case| default.display || case.words.display;
    let signature =
        quote_spanned!(here=> fn describe(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result);
    methods.push(method(cases, signature, &none, |case| {
        if display(case) {
            return Some(case.arm(&quote_spanned!(here=> ::core::fmt::Display::fmt(self, f))));
        }
        let name = Literal::string(&case.name);
        let forward = case.forward(&root, "describe", &quote_spanned!(here=> , f));
        forward.or_else(|| Some(case.arm(&quote_spanned!(here=> f.write_str(#name)))))
    }));

    let generics = bounds(&input.generics, cases, &root, cases.iter().any(display));
    let (impl_generics, ty_generics, where_clause) = generics.split_for_impl();
    let ident = &input.ident;
    quote_spanned! {here=>
        #[automatically_derived]
        impl #impl_generics #root::Fault for #ident #ty_generics #where_clause {
            #(#methods)*
        }
    }
}

/// A method that looks at the variant. Those without an arm of their own get the default.
fn method<'c, 'i: 'c>(
    cases: &'c [Case<'i>],
    signature: TokenStream,
    default: &TokenStream,
    arm: impl Fn(&'c Case<'i>) -> Option<TokenStream>,
) -> TokenStream {
    let here = Span::mixed_site();
    let arms: Vec<TokenStream> = cases.iter().filter_map(arm).collect();
    let others = (arms.len() < cases.len()).then(|| quote_spanned!(here=> _ => #default,));
    // An enum without variants has no value to look at.
    let value = if cases.is_empty() { quote_spanned!(here=> *self) } else { quote_spanned!(here=> self) };
    quote_spanned!(here=> #signature { match #value { #(#arms)* #others } })
}

/// What a generic error needs: a forwarded field that is itself generic has to be a `Fault`.
fn bounds(generics: &Generics, cases: &[Case], root: &TokenStream, display: bool) -> Generics {
    let mut generics = generics.clone();
    if generics.type_params().next().is_none() {
        return generics;
    }
    let here = Span::mixed_site();
    let names: Vec<String> = generics.type_params().map(|param| param.ident.to_string()).collect();
    let mut predicates: Vec<syn::WherePredicate> = Vec::new();
    for field in cases.iter().filter_map(|case| case.source) {
        let ty = &field.ty;
        if mentions(ty.to_token_stream(), &names) {
            predicates.push(parse_quote_spanned!(here=> #ty: #root::Fault));
        }
    }
    if display {
        predicates.push(parse_quote_spanned!(here=> Self: ::core::fmt::Display));
    }
    if !predicates.is_empty() {
        generics.make_where_clause().predicates.extend(predicates);
    }
    generics
}

/// `#[from] Rejected`, as thiserror writes it: our own refusal, which knows its kind.
fn carries_rejected(fields: &Fields) -> Option<Span> {
    let mut fields_ = fields.iter();
    let (Some(field), None) = (fields_.next(), fields_.next()) else {
        return None;
    };
    let from = |attr: &Attribute| attr.path().is_ident("from");
    let syn::Type::Path(path) = &field.ty else {
        return None;
    };
    let last = path.path.segments.last()?;
    (last.ident == "Rejected" && field.attrs.iter().any(from)).then(|| quote!(#last).span())
}
