//! The leading value of a policy with state: what it is decides who keeps the state.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;
use syn::{BinOp, Expr, ExprCall, UnOp};

use crate::bind::{constant, first_span, literal};
use crate::policy::Policy;

/// What stands first in the attribute of a policy with state.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leading {
    /// What `new` takes: `16`, `2 * CORES`.
    Number,
    /// A policy that is made on the spot, `Bulkhead::adaptive(4, 64).queue(8)`: a `static`, or each call would have its own.
    Made,
    /// One for each key that is made on the spot, `Keyed::new(..)`.
    MadeForKeys,
    /// Something else that is made on the spot, `Arc::new(..)`: nothing that a `static` could hold.
    MadeAnew,
    /// A place named like a constant, `PAYMENTS`, `Self::PAYMENTS`. A constant has no place: each call would have its own.
    Item,
    /// Another place, `self.breaker`.
    Place,
    /// What code answers with, `self.breaker()`, which must be a reference or a pointer.
    Answer,
}

pub(crate) fn of(value: &Expr, policy: &Policy) -> Leading {
    let value = bare(value);
    if let Some(owner) = maker(value) {
        if owner == policy.ty {
            return Leading::Made;
        }
        if owner == "Keyed" && policy.keyed {
            return Leading::MadeForKeys;
        }
    }
    match value {
        value if literal(value) => Leading::Number,
        Expr::Unary(unary) if !matches!(unary.op, UnOp::Deref(_)) => Leading::Number,
        Expr::Binary(binary) if !matches!(binary.op, BinOp::And(_) | BinOp::Or(_)) => Leading::Number,
        Expr::Cast(_) => Leading::Number,
        Expr::Path(_) | Expr::Field(_) | Expr::Index(_) if is_item(value) => Leading::Item,
        Expr::Path(_) | Expr::Field(_) | Expr::Index(_) | Expr::Unary(_) => Leading::Place,
        value => match first_call(value) {
            Some(call) if is_new(call) => Leading::MadeAnew,
            _ => Leading::Answer,
        },
    }
}

/// Whether the value is made by a call of this type's own: `Retry::new().max_attempts(5)`.
pub(crate) fn is_made(value: &Expr, ty: &str) -> bool {
    maker(value).is_some_and(|owner| owner == ty)
}

/// How to refer to a policy that exists.
pub(crate) fn reference(value: &Expr) -> TokenStream {
    let value = bare(value);
    let near = Span::mixed_site().located_at(first_span(value));
    match value {
        // Of a constant no reference is `'static`, and rustc says so.
        Expr::Path(_) | Expr::Field(_) | Expr::Index(_) | Expr::Unary(_) => quote_spanned!(near=> &#value),
        // Through the pointer: a policy by value, which only this call would have, cannot be dereferenced.
        Expr::Call(_) | Expr::MethodCall(_) | Expr::Await(_) | Expr::Macro(_) | Expr::Try(_) => {
            quote_spanned!(near=> &*#value)
        }
        _ => quote_spanned!(near=> &*(#value)),
    }
}

/// Without parentheses and `&` around it.
pub(crate) fn bare(value: &Expr) -> &Expr {
    match value {
        Expr::Reference(reference) if reference.mutability.is_none() => bare(&reference.expr),
        Expr::Paren(paren) => bare(&paren.expr),
        Expr::Group(group) => bare(&group.expr),
        value => value,
    }
}

/// `Bulkhead` of `Bulkhead::new(4).queue(8)`.
fn maker(value: &Expr) -> Option<String> {
    match bare(value) {
        Expr::MethodCall(call) => maker(&call.receiver),
        Expr::Call(call) => owner(call),
        _ => None,
    }
}

/// `Arc` of `Arc::new(..)`.
fn owner(call: &ExprCall) -> Option<String> {
    let Expr::Path(path) = &*call.func else { return None };
    path.path.segments.iter().rev().nth(1).map(|owner| owner.ident.to_string())
}

/// `Arc::new(..)`; other functions of a type may answer with what exists, as `Arc::clone(..)` does.
fn is_new(call: &ExprCall) -> bool {
    let Expr::Path(path) = &*call.func else { return false };
    owner(call).is_some_and(|owner| owner.starts_with(char::is_uppercase))
        && path.path.segments.last().is_some_and(|last| last.ident == "new" || last.ident == "default")
}

/// The call that a chain of methods begins with.
fn first_call(value: &Expr) -> Option<&ExprCall> {
    match bare(value) {
        Expr::MethodCall(call) => first_call(&call.receiver),
        Expr::Call(call) => Some(call),
        _ => None,
    }
}

/// Whether a place begins with a name as constants and statics have it.
fn is_item(place: &Expr) -> bool {
    match bare(place) {
        Expr::Path(path) => path.path.segments.last().is_some_and(|last| constant(&last.ident.to_string())),
        Expr::Field(field) => is_item(&field.base),
        Expr::Index(index) => is_item(&index.expr),
        _ => false,
    }
}
