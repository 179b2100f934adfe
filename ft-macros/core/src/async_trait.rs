//! What `#[async_trait]` makes of a method, and how to reach the user's body inside of it.
//!
//! It runs before the attributes of its methods, and writes
//! `Box::pin(async move { .. let x = x; let __ret: R = { BODY }; __ret })`. Those first lines *move* every argument, so
//! nothing may be repeated around them: only the initialiser of `__ret` is replaced. The name is async-trait's own, and
//! a test holds us to it.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use crate::tokens::group;

/// Whether this body was written by `#[async_trait]`.
pub(crate) fn is(body: TokenStream) -> bool {
    replace(body, &[], &mut |block| TokenTree::Group(block.clone())).is_some()
}

/// Rewrites the user's block, and drops the re-bindings of arguments that are gone. `None` if the body is not of
/// `#[async_trait]`.
pub(crate) fn replace(
    body: TokenStream,
    gone: &[String],
    with: &mut dyn FnMut(&Group) -> TokenTree,
) -> Option<TokenStream> {
    // `Box :: pin ( async move { .. } )`
    let mut outer: Vec<TokenTree> = body.into_iter().collect();
    let Some(TokenTree::Group(call)) = outer.last() else {
        return None;
    };
    if call.delimiter() != Delimiter::Parenthesis
        || !matches!(outer.get(outer.len().checked_sub(2)?), Some(TokenTree::Ident(pin)) if pin == "pin")
    {
        return None;
    }
    let call = call.clone();
    let mut future: Vec<TokenTree> = call.stream().into_iter().collect();
    let Some(TokenTree::Group(inner)) = future.last() else {
        return None;
    };
    if inner.delimiter() != Delimiter::Brace
        || !matches!(future.first(), Some(TokenTree::Ident(first)) if first == "async")
    {
        return None;
    }
    let inner = inner.clone();
    let block = replace_in(inner.stream(), gone, with)?;
    future.pop();
    future.push(group(Delimiter::Brace, block, inner.span()));
    outer.pop();
    outer.push(group(Delimiter::Parenthesis, future.into_iter().collect(), call.span()));
    Some(outer.into_iter().collect())
}

fn replace_in(block: TokenStream, gone: &[String], with: &mut dyn FnMut(&Group) -> TokenTree) -> Option<TokenStream> {
    let tokens: Vec<TokenTree> = block.into_iter().collect();
    let mut output = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let rest = &tokens[at..];
        if is_ident(rest.first(), "let") && is_ident(rest.get(1), "__ret") && is_punct(rest.get(2), ':') {
            // No type holds `= { .. } ;`, so the first one is the initialiser.
            let equals = rest.windows(3).position(|three| {
                is_punct(three.first(), '=')
                    && matches!(three.get(1), Some(TokenTree::Group(block)) if block.delimiter() == Delimiter::Brace)
                    && is_punct(three.get(2), ';')
            })?;
            let Some(TokenTree::Group(block)) = rest.get(equals + 1) else {
                return None;
            };
            output.extend_from_slice(&rest[..=equals]);
            output.push(with(block));
            output.extend_from_slice(&rest[equals + 2..]);
            return Some(output.into_iter().collect());
        }
        if let Some(length) = rebinding(rest, gone) {
            at += length;
            continue;
        }
        output.push(token.clone());
        at += 1;
    }
    None
}

/// The length of `let [mut] name = name;` if that name is gone.
fn rebinding(tokens: &[TokenTree], gone: &[String]) -> Option<usize> {
    if !is_ident(tokens.first(), "let") {
        return None;
    }
    let name = if is_ident(tokens.get(1), "mut") { 2 } else { 1 };
    let matches = matches!(tokens.get(name), Some(TokenTree::Ident(ident)) if gone.iter().any(|gone| ident == gone))
        && is_punct(tokens.get(name + 1), '=');
    let end = tokens.iter().position(|token| is_punct(Some(token), ';'))?;
    matches.then_some(end + 1)
}

fn is_ident(token: Option<&TokenTree>, name: &str) -> bool {
    matches!(token, Some(TokenTree::Ident(ident)) if ident == name)
}

fn is_punct(token: Option<&TokenTree>, character: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == character)
}
