//! What all shapes share: how one attempt of a function is written.

use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};
use quote::{quote, quote_spanned};

use syn::ExprPath;
use syn::spanned::Spanned as _;

use crate::args::Args;
use crate::bind::method;
use crate::errors::Errors;
use crate::tokens::{braced, group};

/// Code that yields the function's outcome, on its way from the user's block to the whole function.
pub(crate) struct Body {
    /// Statements that belong to the attempt, before the outcome is bound.
    pub(crate) head: TokenStream,
    /// Statements and a tail; or the user's block.
    pub(crate) code: TokenStream,
    /// Nothing after the code may ever be reached, which is no news to the user.
    pub(crate) diverges: bool,
}

impl From<TokenStream> for Body {
    fn from(code: TokenStream) -> Self {
        Self { head: TokenStream::new(), code, diverges: false }
    }
}

/// The function, as far as the shapes need to know it.
pub(crate) struct Call {
    /// `::ft_runtime`, or what `crate = path` says.
    pub(crate) root: TokenStream,
    pub(crate) is_async: bool,
    /// R, as a `let` can write it.
    pub(crate) outcome: TokenStream,
    /// The user's `async` or `fn`.
    pub(crate) keyword: Span,
    /// The function's own name.
    pub(crate) name: Ident,
    /// What its run or step is recorded as: `name = ".."`, which survives a renaming, or the function's own name.
    pub(crate) recorded_as: String,
    /// `self`, or what `#[async_trait]` calls it; `None` for a function without.
    pub(crate) receiver: Option<&'static str>,
    /// The names of the arguments that a caller passes; `None` where a pattern has no name.
    pub(crate) arguments: Vec<(Option<Ident>, Span)>,
    /// `let attempt: Attempt`, if the function asks for it and this is the loop that answers.
    pub(crate) attempt: Option<TokenStream>,
}

impl Call {
    /// `SESSION.run(async { let outcome: R = { .. }; outcome }).await`, and in a sync function
    /// `SESSION.run_blocking(|| -> R { .. })`.
    pub(crate) fn run(&self, session: &TokenStream, clones: &[Ident], body: Body) -> TokenStream {
        let here = Span::mixed_site();
        let keyword = here.located_at(self.keyword);
        let outcome = &self.outcome;
        let Body { head, code, diverges } = body;
        let allow = diverges.then(|| quote_spanned!(here=> #[allow(unreachable_code)]));
        let clones = clones.iter().map(|name| quote_spanned!(here=> let #name = ::core::clone::Clone::clone(&#name);));
        let head = quote!(#(#clones)* #head);
        let block = braced(code, here);
        if self.is_async {
            quote_spanned! {keyword=>
                #session.run(async { #head let outcome: #outcome = #block; #allow outcome }).await
            }
        } else {
            // Nothing that the head owns may be dropped before the temporaries of the tail are.
            let block = if head.is_empty() {
                block
            } else {
                group(
                    Delimiter::Brace,
                    quote_spanned!(here=> #head let outcome: #outcome = #block; #allow outcome),
                    here,
                )
            };
            quote_spanned!(keyword=> #session.run_blocking(|| -> #outcome #block))
        }
    }

    /// `from_replica(id, name).await`: another function with the same arguments; `Self::method` gets the receiver too.
    pub(crate) fn other(&self, target: &ExprPath) -> TokenStream {
        let method =
            target.path.segments.len() > 1 && target.path.segments.first().is_some_and(|first| first.ident == "Self");
        let receiver = self.receiver.filter(|_| method).map(|receiver| {
            let receiver = Ident::new(receiver, target.span());
            quote!(#receiver,)
        });
        // An outcome that does not fit, and an argument that does not, is the target's fault.
        let near = Span::mixed_site().located_at(target.span());
        let wait = self.wait(near);
        let arguments = self.arguments.iter().filter_map(|(argument, _)| argument.clone()).map(|mut argument| {
            argument.set_span(argument.span().located_at(target.span()));
            argument
        });
        quote_spanned!(near=> #target(#receiver #(#arguments),*) #wait)
    }

    /// Arguments that are passed on need a name.
    pub(crate) fn named_arguments(&self, why: &str, errors: &mut Errors) {
        for (argument, span) in &self.arguments {
            if argument.is_none() {
                errors.at(*span, why);
            }
        }
    }

    /// `.await`, where there is something to wait for.
    pub(crate) fn wait(&self, span: Span) -> Option<TokenStream> {
        self.is_async.then(|| quote_spanned!(span=> .await))
    }

    /// Where a bound on R fails: the return type, whatever calls for the bound.
    pub(crate) fn blamed(&self) -> Span {
        let first = self.outcome.clone().into_iter().next();
        Span::mixed_site().located_at(first.map_or(self.keyword, |token| token.span()))
    }

    /// `.attempts::<R>()`, `.calls::<R>()`: blamed on the type, since its bound is what can fail.
    pub(crate) fn session(&self, opener: &str, more: Option<TokenTree>) -> TokenStream {
        let outcome = &self.outcome;
        let here = self.blamed();
        let opener = Ident::new(opener, here);
        let more = more.map(|more| quote_spanned!(here=> , #more));
        quote_spanned!(here=> .#opener::<#outcome #more>)
    }
}

/// `.on(..).when(..)`, in the order of the attribute.
pub(crate) fn judgement(args: &Args) -> TokenStream {
    args.judgement.iter().map(|(key, argument)| method(key, argument.clone())).collect()
}
