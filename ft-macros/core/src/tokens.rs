//! Small things done to tokens before, or instead of, parsing them.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};

/// How deep brackets may nest. rustc itself stops at 128 by default.
const MAX_DEPTH: usize = 128;

/// How many tokens may follow each other without a comma. An unoptimised parser on a compiler's stack lasts a little longer.
const MAX_PATH: usize = 256;

/// Whether brackets nest deeper than any parser should be asked to follow.
pub(crate) fn too_deep(tokens: &TokenStream) -> bool {
    let mut levels = vec![tokens.clone().into_iter()];
    while let Some(level) = levels.last_mut() {
        match level.next() {
            Some(TokenTree::Group(group)) if levels.len() >= MAX_DEPTH => {
                if !group.stream().is_empty() {
                    return true;
                }
            }
            Some(TokenTree::Group(group)) => levels.push(group.stream().into_iter()),
            Some(_) => {}
            None => {
                levels.pop();
            }
        }
    }
    false
}

/// Whether an expression or a type goes on for longer than a parser, which recurses on `!!!!x` and `A<A<A<A<..`, should
/// be asked to follow: too many tokens on one path through the brackets, counted from the last `,` or `;`.
pub(crate) fn too_long(tokens: &TokenStream) -> bool {
    let mut path = 0;
    let mut levels = vec![(tokens.clone().into_iter(), 0)];
    while let Some((level, run)) = levels.last_mut() {
        match level.next() {
            Some(TokenTree::Group(group)) => levels.push((group.stream().into_iter(), 0)),
            Some(TokenTree::Punct(punct)) if matches!(punct.as_char(), ',' | ';') => {
                path -= *run;
                *run = 0;
            }
            Some(_) => {
                *run += 1;
                path += 1;
                if path > MAX_PATH {
                    return true;
                }
            }
            None => {
                path -= *run;
                levels.pop();
                // What stands before a group ends with it, as far as recursion goes.
                if let Some((_, run)) = levels.last_mut() {
                    path -= *run;
                    *run = 0;
                }
            }
        }
    }
    false
}

/// An item without the block that ends it, which nobody parses.
pub(crate) fn without_body(item: &TokenStream) -> TokenStream {
    let mut tokens: Vec<TokenTree> = item.clone().into_iter().collect();
    if matches!(tokens.last(), Some(TokenTree::Group(body)) if body.delimiter() == Delimiter::Brace) {
        tokens.pop();
    }
    tokens.into_iter().collect()
}

/// Renames an identifier at every depth; each one keeps its place in the source.
pub(crate) fn rename(tokens: TokenStream, from: &str, to: &str) -> TokenStream {
    tokens
        .into_iter()
        .map(|token| match token {
            TokenTree::Group(group) => {
                let mut renamed = Group::new(group.delimiter(), rename(group.stream(), from, to));
                renamed.set_span(group.span());
                TokenTree::Group(renamed)
            }
            TokenTree::Ident(ident) if ident == from => TokenTree::Ident(Ident::new(to, ident.span())),
            other => other,
        })
        .collect()
}

/// Whether one of these identifiers occurs, at any depth.
pub(crate) fn mentions<N: AsRef<str>>(tokens: TokenStream, names: &[N]) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => names.iter().any(|name| ident == name.as_ref()),
        TokenTree::Group(group) => mentions(group.stream(), names),
        _ => false,
    })
}

/// Gives every token the same span.
pub(crate) fn respan(tokens: TokenStream, span: Span) -> TokenStream {
    tokens
        .into_iter()
        .map(|mut token| {
            if let TokenTree::Group(group) = &token {
                token = TokenTree::Group(Group::new(group.delimiter(), respan(group.stream(), span)));
            }
            token.set_span(span);
            token
        })
        .collect()
}

/// `{ .. }` around statements, unless they are one such block already.
pub(crate) fn braced(statements: TokenStream, span: Span) -> TokenTree {
    let mut tokens = statements.clone().into_iter();
    if let (Some(TokenTree::Group(block)), None) = (tokens.next(), tokens.next())
        && block.delimiter() == Delimiter::Brace
    {
        return TokenTree::Group(block);
    }
    group(Delimiter::Brace, statements, span)
}

/// A group with a span of its own.
pub(crate) fn group(delimiter: Delimiter, tokens: TokenStream, span: Span) -> TokenTree {
    let mut group = Group::new(delimiter, tokens);
    group.set_span(span);
    TokenTree::Group(group)
}

/// The names of all lifetimes in these tokens, without their quotes.
pub(crate) fn lifetimes(tokens: TokenStream) -> Vec<String> {
    let mut found = Vec::new();
    let mut quoted = false;
    for token in tokens {
        match token {
            TokenTree::Group(group) => found.extend(lifetimes(group.stream())),
            TokenTree::Ident(ident) if quoted => found.push(ident.to_string()),
            _ => {
                quoted = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '\'');
                continue;
            }
        }
        quoted = false;
    }
    found
}

/// Renames a lifetime at every depth.
pub(crate) fn rename_lifetime(tokens: TokenStream, from: &str, to: &str) -> TokenStream {
    let mut quoted = false;
    tokens
        .into_iter()
        .map(|token| {
            let renamed = match token {
                TokenTree::Group(group) => {
                    let mut renamed = Group::new(group.delimiter(), rename_lifetime(group.stream(), from, to));
                    renamed.set_span(group.span());
                    TokenTree::Group(renamed)
                }
                TokenTree::Ident(ident) if quoted && ident == from => TokenTree::Ident(Ident::new(to, ident.span())),
                other => other,
            };
            quoted = matches!(&renamed, TokenTree::Punct(punct) if punct.as_char() == '\'');
            renamed
        })
        .collect()
}
