//! The one grammar of all attributes: `[value,] key = expr, .., name = "..", crate = path, clone(a, b), skip(x)`.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::parse::{End, Parse as _, ParseStream, Parser as _};
use syn::spanned::Spanned as _;
use syn::{BinOp, Expr, ExprPath, Ident, LitStr, Pat, Path, Token};

use crate::bind::constant;
use crate::duration;
use crate::errors::Errors;
use crate::policy::{Policy, Shape};
use crate::tokens::respan;

/// What an attribute says.
#[derive(Default)]
pub(crate) struct Args {
    /// The leading value: an existing policy, or what `new` takes.
    pub(crate) value: Option<Expr>,
    /// `replica in &self.replicas`
    pub(crate) pool: Option<(Ident, Expr)>,
    pub(crate) name: Option<LitStr>,
    pub(crate) krate: Option<Path>,
    pub(crate) clone: Vec<Ident>,
    pub(crate) skip: Vec<Ident>,
    /// `on`, `unless`, `when`, `until`, `classify`, `retry_after`: methods of the session, with their argument.
    pub(crate) judgement: Vec<(Ident, TokenStream)>,
    /// Everything that no attribute reserves: methods of the policy.
    pub(crate) setters: Vec<(Ident, Expr)>,
    /// `run`, `key`, `state`, `tx`, `to`, ..: words that this attribute reserves.
    reserved: Vec<(Ident, Expr)>,
}

impl Args {
    /// Reads the arguments; what cannot be read is reported and left out.
    pub(crate) fn parse(tokens: TokenStream, policy: &Policy, root: &TokenStream, errors: &mut Errors) -> Self {
        let tokens = duration::rewrite(tokens, errors);
        let mut reader = Reader { args: Self::default(), policy, root, errors, seen: Vec::new() };
        let parsed = (|input: ParseStream| {
            reader.entries(input);
            Ok(())
        })
        .parse2(tokens);
        let args = reader.args;
        if let Err(error) = parsed {
            errors.add(error);
        }
        args
    }

    /// The value of a reserved word, with the word itself for its span.
    pub(crate) fn reserved(&self, word: &str) -> Option<(&Ident, &Expr)> {
        self.reserved.iter().find(|(key, _)| key == word).map(|(key, value)| (key, value))
    }

    /// The parameter that is the transaction of a step: `tx`, `tx = parameter`.
    pub(crate) fn tx(&self) -> Option<&Ident> {
        self.reserved("tx").and_then(|(_, value)| lone_ident(value))
    }
}

/// `crate = path` alone, read before the attribute itself is: an attribute that moves needs to know where to.
pub(crate) fn krate(tokens: TokenStream) -> Option<Path> {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        if matches!(&token, TokenTree::Ident(ident) if ident == "crate")
            && matches!(tokens.peek(), Some(TokenTree::Punct(punct)) if punct.as_char() == '=')
        {
            tokens.next();
            let path = tokens
                .take_while(|token| !matches!(token, TokenTree::Punct(punct) if matches!(punct.as_char(), ',' | ';')));
            return Path::parse_mod_style.parse2(path.collect()).ok();
        }
    }
    None
}

struct Reader<'a> {
    args: Args,
    policy: &'a Policy,
    root: &'a TokenStream,
    errors: &'a mut Errors,
    seen: Vec<String>,
}

impl Reader<'_> {
    fn entries(&mut self, input: ParseStream) {
        let mut first = true;
        while !input.is_empty() {
            let read = self.entry(input, first).and_then(|()| {
                if !input.is_empty() {
                    input.parse::<Token![,]>()?;
                }
                Ok(())
            });
            if let Err(error) = read {
                self.errors.add(error);
                skip_entry(input);
            }
            first = false;
        }
    }

    fn entry(&mut self, input: ParseStream, first: bool) -> syn::Result<()> {
        if input.peek(Ident::peek_any) && input.peek2(Token![=]) && !input.peek2(Token![==]) && !input.peek2(Token![=>])
        {
            return self.key(input);
        }
        if input.peek(Ident) && input.peek2(Token![in]) {
            return self.pool(input);
        }
        if input.peek(Ident) && input.peek2(syn::token::Paren) {
            let word = input.fork().parse::<Ident>()?;
            if word == "clone" || word == "skip" {
                return self.names(input);
            }
        }
        if input.peek(Ident) && (input.peek2(Token![,]) || input.peek2(End)) {
            let word = input.fork().parse::<Ident>()?;
            if self.policy.stands_alone(&word.to_string()) {
                input.parse::<Ident>()?;
                self.once(&word);
                let value = Expr::Path(ExprPath { attrs: Vec::new(), qself: None, path: word.clone().into() });
                self.args.reserved.push((word, value));
                return Ok(());
            }
        }
        let start = input.span();
        let value: Expr = input.parse()?;
        match lone_ident(&value) {
            Some(ident) if first && (input.is_empty() || input.peek(Token![,])) && !reserves(ident) => {}
            Some(ident) if constant(&ident.to_string()) => {
                return Err(syn::Error::new(
                    ident.span(),
                    format!("an existing policy comes first: `#[{}({ident}, ..)]`", self.policy.attribute),
                ));
            }
            Some(ident) if ident == "recover" && self.policy.reserves("recover") => {
                self.once(&ident.clone());
                self.args.reserved.push((ident.clone(), value));
                return Ok(());
            }
            Some(ident) => {
                return Err(syn::Error::new(ident.span(), format!("expected a value: `{ident} = ..`")));
            }
            None if first => {
                if let Expr::Binary(binary) = &value
                    && let (BinOp::Eq(operator), Some(ident)) = (&binary.op, lone_ident(&binary.left))
                {
                    return Err(syn::Error::new(operator.span(), format!("write `{ident} = ..`, with one `=`")));
                }
            }
            None => {
                return Err(syn::Error::new(start, "expected `key = value`; an existing policy can only come first"));
            }
        }
        self.args.value = Some(value);
        Ok(())
    }

    fn key(&mut self, input: ParseStream) -> syn::Result<()> {
        let keyword = !input.peek(Ident);
        let key = input.call(Ident::parse_any)?;
        let equals: Token![=] = input.parse()?;
        if input.is_empty() || input.peek(Token![,]) {
            return Err(syn::Error::new(equals.span, format!("expected a value: `{key} = ..`")));
        }
        self.once(&key);
        let word = key.to_string();
        match word.as_str() {
            "crate" => self.args.krate = Some(input.call(Path::parse_mod_style)?),
            _ if keyword => {
                return Err(syn::Error::new(
                    key.span(),
                    format!("`{key}` is a keyword, and no policy has such an option"),
                ));
            }
            "name" => {
                let name: LitStr = input.parse()?;
                if name.value().trim().is_empty() {
                    return Err(syn::Error::new(name.span(), "a site needs a name that is not empty"));
                }
                self.args.name = Some(name);
            }
            "on" | "unless" => {
                let pattern = pattern(input)?;
                self.judge(key, pattern);
            }
            "when" | "until" | "classify" | "retry_after" => {
                let value: Expr = input.parse()?;
                self.judge(key, quote!(#value));
            }
            "clone" | "skip" => {
                return Err(syn::Error::new(key.span(), format!("write `{key}(argument, ..)`")));
            }
            _ => {
                let value = self.value(&word, input.parse()?);
                if self.policy.reserves(&word) {
                    self.args.reserved.push((key, value));
                } else if self.policy.sets(&word) {
                    self.args.setters.push((key, value));
                } else {
                    match Policy::owners(&word) {
                        Some(owners) => self.foreign(&key, &owners),
                        None => self.args.setters.push((key, value)),
                    }
                }
            }
        }
        Ok(())
    }

    fn pool(&mut self, input: ParseStream) -> syn::Result<()> {
        let target: Ident = input.parse()?;
        let within: Token![in] = input.parse()?;
        let pool: Expr = input.parse()?;
        if self.policy.shape != Shape::Candidates {
            return Err(syn::Error::new(
                within.span,
                format!("`x in pool` belongs to `#[failover]`, not to `#[{}]`", self.policy.attribute),
            ));
        }
        if self.args.pool.is_some() {
            return Err(syn::Error::new(
                within.span,
                "one `#[failover]` has one pool; stack a second `#[failover]` for a second one",
            ));
        }
        self.args.pool = Some((target, pool));
        Ok(())
    }

    /// `clone(a, b)`, `skip(x)`
    fn names(&mut self, input: ParseStream) -> syn::Result<()> {
        let word: Ident = input.parse()?;
        let content;
        let parens = syn::parenthesized!(content in input);
        self.once(&word);
        let names = content.parse_terminated(Ident::parse, Token![,])?;
        if names.is_empty() {
            return Err(syn::Error::new(parens.span.join(), format!("`{word}(..)` names no argument")));
        }
        if word == "clone" {
            self.args.clone = names.into_iter().collect();
        } else if self.policy.shape == Shape::Checkpoint {
            self.args.skip = names.into_iter().collect();
        } else {
            self.foreign(&word, "`#[checkpoint]`");
        }
        Ok(())
    }

    fn judge(&mut self, key: Ident, argument: TokenStream) {
        if self.policy.judges {
            self.args.judgement.push((key, argument));
        } else {
            let attribute = self.policy.attribute;
            self.errors.at(
                key.span(),
                format!(
                    "`#[{attribute}]` judges no outcomes; `{key}` belongs to a policy that does, such as `#[retry]`"
                ),
            );
        }
    }

    /// A bare word of the table is spelled out: `hint = clamp` -> `hint = ::ft_runtime::Hint::Clamp`.
    fn value(&self, key: &str, value: Expr) -> Expr {
        let Some(word) = lone_ident(&value) else {
            return value;
        };
        let Some((_, _, path)) = self.policy.words.iter().find(|(of, name, _)| *of == key && word == name) else {
            return value;
        };
        let mut spelled = respan(self.root.clone(), word.span());
        for segment in path.split("::") {
            let segment = Ident::new(segment, word.span());
            spelled = quote_spanned!(word.span()=> #spelled::#segment);
        }
        // Cannot fail: the table holds paths.
        syn::parse2(spelled).unwrap_or(value)
    }

    fn once(&mut self, key: &Ident) {
        let word = key.to_string();
        if self.seen.contains(&word) {
            self.errors.at(key.span(), format!("`{word}` is given twice"));
        }
        self.seen.push(word);
    }

    fn foreign(&mut self, key: &Ident, owners: &str) {
        self.errors
            .at(key.span(), format!("`{key}` belongs to {owners}; `#[{}]` has no such option", self.policy.attribute));
    }
}

/// Words that are never an existing policy, however alone they stand.
fn reserves(ident: &Ident) -> bool {
    let common = ["name", "clone", "skip", "on", "unless", "when", "until", "classify", "retry_after"];
    Policy::is_reserved(&ident.to_string()) || common.iter().any(|word| ident == word)
}

/// `PAT`, with `|` and an `if` guard -> the predicate that it means.
fn pattern(input: ParseStream) -> syn::Result<TokenStream> {
    let pattern = Pat::parse_multi_with_leading_vert(input)?;
    let guard = if input.peek(Token![if]) {
        let guard: Token![if] = input.parse()?;
        let condition: Expr = input.parse()?;
        Some(quote!(#guard #condition))
    } else {
        None
    };
    let here = Span::mixed_site();
    Ok(quote_spanned!(here=> |error| ::core::matches!(error, #pattern #guard)))
}

fn lone_ident(expr: &Expr) -> Option<&Ident> {
    match expr {
        Expr::Path(path) if path.qself.is_none() => path.path.get_ident(),
        _ => None,
    }
}

/// Goes on behind the comma that ends a broken entry: one that a new entry seems to follow.
fn skip_entry(input: ParseStream) {
    while !input.is_empty() {
        let comma = input.peek(Token![,]);
        // Cannot fail: there is a token.
        if input.parse::<TokenTree>().is_err() {
            return;
        }
        if comma && input.peek(Ident::peek_any) && (input.peek2(Token![=]) || input.peek2(syn::token::Paren)) {
            return;
        }
    }
}
