//! The policy of an attribute as a value: keys become setters, and what can be checked by the compiler is.

use proc_macro2::{Delimiter, Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::Expr;
use syn::spanned::Spanned as _;

use crate::args::Args;
use crate::errors::Errors;
use crate::leading::{self, Leading};
use crate::policy::Policy;
use crate::tokens::{group, respan};

/// When the value of an expression is known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Known {
    /// From its own tokens: literals, durations, calls on our value types.
    Itself,
    /// From constants that it names.
    Constants,
    /// When the function runs.
    Late,
}

/// Types whose functions and methods are all `const`.
const VALUE_TYPES: [&str; 11] =
    ["Backoff", "Jitter", "Duration", "Hint", "Again", "Retry", "Failover", "Timeout", "Fallback", "Some", "None"];

/// `let retry = ..;`: a reference to the policy that the arguments describe.
pub(crate) fn policy(policy: &Policy, args: &Args, root: &TokenStream, errors: &mut Errors) -> TokenStream {
    let here = Span::mixed_site();
    let local = Ident::new(policy.attribute, here);
    if policy.stateful {
        return shared(policy, &local, args, root, errors);
    }
    let value = reference(policy, args, root, errors);
    quote_spanned!(here=> let #local = #value;)
}

pub(crate) fn reference(policy: &Policy, args: &Args, root: &TokenStream, errors: &mut Errors) -> TokenStream {
    let here = Span::mixed_site();
    let setters = setters(args);
    if let (Some(value), None) = (args.value.as_ref().filter(|value| !leading::is_made(value, policy.ty)), policy.needs)
    {
        return match value {
            Expr::Reference(_) if setters.is_empty() => value.to_token_stream(),
            Expr::Reference(_) => quote_spanned!(here=> &(#value) #setters),
            Expr::Path(_) => quote_spanned!(here=> &#value #setters),
            // A copy: a loop must not hold a borrow of `self` that the body needs.
            Expr::Field(_) => quote_spanned!(here=> &{ #value } #setters),
            value if literal(value) => {
                let name = policy.attribute;
                errors.at(
                    first_span(value),
                    format!("`#[{name}]` takes an existing policy here, as in `#[{name}(POLICY)]`; options have a name: `#[{name}(key = value)]`"),
                );
                TokenStream::new()
            }
            value => {
                let ty = ty(policy, root, first_span(value));
                quote_spanned!(here=> &#ty::from(#value) #setters)
            }
        };
    }
    let Some(constructor) = constructor(policy, args, root, errors) else {
        return TokenStream::new();
    };
    let values = args.setters.iter().map(|(key, value)| match value {
        _ if policy.runtime_keys.iter().any(|late| key == late) => Known::Late,
        Expr::Path(_) if policy.function_keys.iter().any(|function| key == function) => Known::Constants,
        value => known(value),
    });
    let value =
        args.value.as_ref().map_or(Known::Itself, |value| if existing(value) { Known::Late } else { known(value) });
    match values.fold(value, Known::max) {
        // A const item is evaluated wherever it stands, even in a generic function that nobody calls; a const block is not.
        Known::Itself => {
            let item = Ident::new(&policy.item(), here);
            let ty = ty(policy, root, here);
            quote_spanned!(here=> { const #item: #ty = #constructor #setters; &#item })
        }
        // An item cannot name `Self` or a type parameter.
        Known::Constants => quote_spanned!(here=> &const { #constructor #setters }),
        Known::Late => quote_spanned!(here=> &#constructor #setters),
    }
}

/// `let circuit_breaker = ..;`: a policy with state, an existing one or a `static` that all calls of the function share.
///
/// With `key = expr`, one for each key: `of` finds it, behind an `Arc` that lives as long as the call.
fn shared(policy: &Policy, local: &Ident, args: &Args, root: &TokenStream, errors: &mut Errors) -> TokenStream {
    let here = Span::mixed_site();
    let key = args.reserved("key").filter(|_| policy.keyed);
    let of = key.map(|(key, value)| {
        let of = Ident::new("of", here.located_at(key.span()));
        method(&of, quote_spanned!(here.located_at(key.span())=> &(#value)))
    });
    let max_keys = args.reserved("max_keys");
    if let (Some((max_keys, _)), None) = (max_keys, key) {
        errors.at(max_keys.span(), "`max_keys` bounds the keys of `key = ..`, which is not given");
    }
    let name = policy.attribute;
    let leading = args.value.as_ref().map(|value| (leading::of(value, policy), value));
    let item = Ident::new(&policy.item(), here);
    let ty = ty(policy, root, here);
    let setters = setters(args);
    let bound = max_keys.map(|(key, value)| method(key, value.to_token_stream()));
    match leading {
        Some((Leading::Place | Leading::Item | Leading::Answer | Leading::MadeForKeys, value)) => {
            let is_made = matches!(leading, Some((Leading::MadeForKeys, _)));
            let bounds = max_keys.map(|(key, _)| key).filter(|_| !is_made);
            if let Some(key) = args.setters.iter().map(|(key, _)| key).chain(bounds).next() {
                errors.at(
                    key.span(),
                    format!("an existing policy has its settings and its state: set `{key}` where it is made"),
                );
            }
            if is_made {
                let Some(of) = of else {
                    errors
                        .at(first_span(value), "`Keyed` has a policy for each key: say which one, as in `key = host`");
                    return TokenStream::new();
                };
                let value = leading::bare(value);
                return quote_spanned!(here=> let #local = { static #item: #root::Keyed<#ty> = #value #bound; #item #of };);
            }
            // Written out, so that another type is an error on the value, and a pointer to the policy is followed.
            let lifetime = (leading::of(value, policy) == Leading::Item).then(|| quote_spanned!(here=> 'static));
            let reference = leading::reference(value);
            match of {
                None => quote_spanned!(here=> let #local: &#lifetime #ty = #reference;),
                Some(of) => quote_spanned! {here=>
                    let #local: &#lifetime #root::Keyed<#ty> = #reference;
                    let #local = #local #of;
                },
            }
        }
        Some((Leading::MadeAnew, value)) => {
            errors.at(
                first_span(value),
                format!("this would be made anew for each call, and its state with it: make it a `static` and name it, as in `#[{name}(POLICY)]`"),
            );
            TokenStream::new()
        }
        Some((Leading::Number, value)) if policy.needs.is_none() => {
            errors.at(
                first_span(value),
                format!("`#[{name}]` takes an existing policy here, as in `#[{name}(POLICY)]`; options have a name: `#[{name}(key = value)]`"),
            );
            TokenStream::new()
        }
        None | Some((Leading::Number | Leading::Made, _)) => {
            let Some(constructor) = constructor(policy, args, root, errors) else {
                return TokenStream::new();
            };
            match of {
                None => quote_spanned!(here=> let #local = { static #item: #ty = #constructor #setters; &#item };),
                Some(of) => {
                    quote_spanned!(here=> let #local = { static #item: #root::Keyed<#ty> = #root::Keyed::new(#constructor #setters) #bound; #item #of };)
                }
            }
        }
    }
}

/// `::ft_runtime::Retry::new()`, `::ft_runtime::Timeout::new(2s)`
fn constructor(policy: &Policy, args: &Args, root: &TokenStream, errors: &mut Errors) -> Option<TokenStream> {
    match (&args.value, policy.needs) {
        (None, Some(example)) => {
            let name = policy.attribute;
            errors.at(Span::call_site(), format!("`#[{name}]` needs its value: `#[{name}({example})]`"));
            None
        }
        // `#[timeout(200)]`: rustc would only say that an integer is no `Duration`.
        (Some(Expr::Lit(literal)), Some(example)) if example.ends_with('s') => {
            let name = policy.attribute;
            errors.at(
                literal.span(),
                format!("a duration needs its unit, and no quotes: `#[{name}({example})]`, `#[{name}(200ms)]`, `#[{name}(1.5s)]`"),
            );
            None
        }
        (Some(value), _) if leading::is_made(value, policy.ty) => Some(leading::bare(value).to_token_stream()),
        (Some(value), _) => {
            let span = first_span(value);
            let ty = ty(policy, root, span);
            let function = Ident::new(if existing(value) { "from" } else { "new" }, span);
            let value = group(Delimiter::Parenthesis, value.to_token_stream(), Span::mixed_site().located_at(span));
            Some(quote_spanned!(span=> #ty::#function #value))
        }
        (None, None) => {
            let blamed = args.setters.first().map_or_else(Span::call_site, |(key, _)| key.span());
            let ty = ty(policy, root, blamed);
            Some(quote_spanned!(blamed=> #ty::new()))
        }
    }
}

/// `.key(value)`, one by one. The key and the value keep the user's span; the parentheses make rustc blame the call on
/// this key, where it would otherwise join all spans from the first key on.
fn setters(args: &Args) -> TokenStream {
    args.setters.iter().map(|(key, value)| method(key, value.to_token_stream())).collect()
}

/// `.key(value)`
pub(crate) fn method(key: &Ident, value: TokenStream) -> TokenStream {
    let late = Span::mixed_site().located_at(key.span());
    let value = group(Delimiter::Parenthesis, value, late);
    quote_spanned!(late=> .#key #value)
}

fn ty(policy: &Policy, root: &TokenStream, span: Span) -> TokenStream {
    let root = respan(root.clone(), span);
    let ty = Ident::new(policy.ty, span);
    quote_spanned!(span=> #root::#ty)
}

/// A leading value that may be a policy already: a path, a field, a reference.
fn existing(value: &Expr) -> bool {
    matches!(value, Expr::Path(_) | Expr::Field(_) | Expr::Reference(_))
}

pub(crate) fn literal(value: &Expr) -> bool {
    match value {
        Expr::Lit(_) => true,
        Expr::Unary(unary) => literal(&unary.expr),
        Expr::Paren(paren) => literal(&paren.expr),
        // A duration was a literal before it was rewritten.
        Expr::Call(call) => {
            matches!(&*call.func, Expr::Path(path) if path.path.segments.iter().rev().nth(1).is_some_and(|ty| ty.ident == "Duration"))
        }
        _ => false,
    }
}

fn known(value: &Expr) -> Known {
    let all = |values: &mut dyn Iterator<Item = &Expr>| values.map(known).max().unwrap_or(Known::Itself);
    match value {
        Expr::Lit(_) => Known::Itself,
        Expr::Unary(unary) if !matches!(unary.op, syn::UnOp::Deref(_)) => known(&unary.expr),
        Expr::Paren(paren) => known(&paren.expr),
        Expr::Group(group) => known(&group.expr),
        Expr::Reference(reference) if reference.mutability.is_none() => known(&reference.expr),
        Expr::Tuple(tuple) => all(&mut tuple.elems.iter()),
        Expr::Array(array) => all(&mut array.elems.iter()),
        Expr::Binary(binary) => known(&binary.left).max(known(&binary.right)),
        Expr::Path(path) => path.path.segments.last().map_or(Known::Late, |last| {
            let name = last.ident.to_string();
            let owner = path.path.segments.iter().rev().nth(1);
            if of_value_type(path) {
                Known::Itself
            } else if constant(&name) || owner.is_some_and(|owner| camel(&owner.ident.to_string())) && camel(&name) {
                Known::Constants
            } else {
                Known::Late
            }
        }),
        Expr::Call(call) if matches!(&*call.func, Expr::Path(path) if of_value_type(path)) => {
            all(&mut call.args.iter())
        }
        Expr::MethodCall(call) if value_call(&call.receiver) => known(&call.receiver).max(all(&mut call.args.iter())),
        _ => Known::Late,
    }
}

/// `Backoff::exponential(..)` and whatever is called on it.
fn value_call(value: &Expr) -> bool {
    match value {
        Expr::Call(call) => matches!(&*call.func, Expr::Path(path) if of_value_type(path)),
        Expr::MethodCall(call) => value_call(&call.receiver),
        _ => false,
    }
}

/// `Backoff::x`, `Some`, `None`: the last type that the path names is one of ours.
fn of_value_type(path: &syn::ExprPath) -> bool {
    let ours = |ident: &Ident| VALUE_TYPES.iter().any(|ty| ident == ty);
    let mut names = path.path.segments.iter().rev().map(|segment| &segment.ident);
    match (names.next(), names.next()) {
        (Some(_), Some(ty)) if ours(ty) => true,
        (Some(name), _) => name == "Some" || name == "None",
        (None, _) => false,
    }
}

pub(crate) fn constant(name: &str) -> bool {
    name.chars().any(char::is_uppercase) && !name.chars().any(char::is_lowercase)
}

fn camel(name: &str) -> bool {
    name.chars().next().is_some_and(char::is_uppercase)
}

pub(crate) fn first_span(value: &Expr) -> Span {
    quote!(#value).into_iter().next().map_or_else(Span::call_site, |token| token.span())
}
