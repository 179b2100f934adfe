//! Any tokens, in any attribute and below it: the answer is tokens, and either Rust or an error that says what is wrong.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use proc_macro2::TokenStream;

/// What a byte stands for. Random text hardly ever gets past the lexer; these words get to the grammar.
const WORDS: &[&str] = &[
    "retry",
    "timeout",
    "circuit_breaker",
    "bulkhead",
    "rate_limiter",
    "fallback",
    "hedge",
    "failover",
    "coalesce",
    "chaos",
    "checkpoint",
    "on",
    "unless",
    "when",
    "until",
    "retry_after",
    "clone",
    "skip",
    "name",
    "crate",
    "key",
    "max_keys",
    "run",
    "state",
    "to",
    "with",
    "value",
    "in",
    "moved",
    "max_attempts",
    "backoff",
    "deadline",
    "rate",
    "after",
    "burst",
    "per",
    "fn",
    "async",
    "impl",
    "trait",
    "for",
    "where",
    "pub",
    "self",
    "Self",
    "&self",
    "&mut self",
    "mut",
    "&",
    "'a",
    "dyn",
    "Result",
    "Future",
    "Output",
    "Send",
    "Box",
    "Pin",
    "Saved",
    "Attempt",
    "Term",
    "E",
    "T",
    "x",
    "id",
    "host",
    "return",
    "break",
    "loop",
    "await",
    "?",
    "move",
    "|",
    "||",
    "|error|",
    "_",
    "=",
    "==",
    "=>",
    "->",
    ",",
    ";",
    ":",
    "::",
    ".",
    "..",
    "<",
    ">",
    "#",
    "!",
    "-",
    "+",
    "*",
    "@",
    "2s",
    "50ms",
    "1.5s",
    "5min",
    "0x5s",
    "7parsecs",
    "0",
    "1",
    "16",
    "0.5",
    "\"text\"",
    "\"\"",
    "'c'",
    "r#type",
    "Backoff::exponential(50ms)",
    "&POLICY",
    "POLICY",
    "self.breaker",
    "self.breaker()",
    "Bulkhead::adaptive(4, 64).queue(8)",
    "Keyed::new",
    "Arc::new",
    "CircuitBreaker::new",
    "HOSTS[0]",
    "errors",
    "queue",
    "max_extra",
    "if",
    "match",
    "as",
    "DbError::Gone | DbError::Busy(502..=504)",
    "-> Result<T, E>",
    "-> impl Future<Output = Result<T, E>>",
    "x: u32",
    "async fn f(x: u32) -> Result<T, E> { g(x).await? }",
];
const OPEN: [&str; 3] = ["(", "{", "["];
const CLOSE: [&str; 3] = [")", "}", "]"];

/// The tokens that the bytes spell; brackets are balanced, since nothing else would lex.
fn spelled(bytes: &[u8]) -> Option<TokenStream> {
    let mut source = String::new();
    let mut open = Vec::new();
    for byte in bytes {
        let byte = usize::from(*byte);
        if byte >= 250 {
            if let Some(kind) = open.pop() {
                source.push_str(CLOSE[kind]);
            }
        } else if byte >= 235 {
            open.push(byte % 3);
            source.push_str(OPEN[byte % 3]);
        } else {
            source.push_str(WORDS[byte % WORDS.len()]);
        }
        source.push(' ');
    }
    while let Some(kind) = open.pop() {
        source.push_str(CLOSE[kind]);
    }
    source.parse().ok()
}

const ATTRIBUTES: [&str; 12] = [
    "retry",
    "timeout",
    "circuit_breaker",
    "bulkhead",
    "rate_limiter",
    "fallback",
    "hedge",
    "failover",
    "coalesce",
    "chaos",
    "checkpoint",
    "checkpoint_without_feature",
];

/// Functions to annotate; the bytes garble what stands above them, and now and then spell the function as well.
const FUNCTIONS: &[&str] = &[
    "async fn f(id: u32, host: &str) -> Result<Row, E> { get(id, host).await }",
    "fn f<'a, T: Row>(&self, id: T, row: &'a T) -> io::Result<&'a T> where T: Clone { if x { return self.get(id)?; } self.get(row) }",
    "pub(crate) async fn f(&mut self, mut state: &mut Saved<P>, attempt: Attempt) -> Result<(), E> { loop { state.mark().await?; } }",
    "fn f(self: Pin<&mut Self>, (a, b): (u8, u8), _: u8) -> impl Future<Output = Result<u8, E>> + Send { async move { Ok(a) } }",
    "fn f<'l>(&'l self, id: u8) -> Pin<Box<dyn Future<Output = Result<u8, E>> + Send + 'l>> { Box::pin(async move { let __self = self; let __ret: Result<u8, E> = { Ok(id) }; __ret }) }",
    "async unsafe fn f() -> Option<u8> { None }",
    "const fn f() {}",
    "struct NotAFunction;",
];

/// `#[attribute(args)]`s, the first one apart, since it is the one that the compiler would expand.
struct Annotated {
    attribute: &'static str,
    args: TokenStream,
    item: TokenStream,
}

/// `function attribute args (234 attribute args)* [233 spelled function]`
fn annotated(bytes: &[u8]) -> Option<Annotated> {
    let (function, bytes) = bytes.split_first()?;
    let mut parts = bytes.splitn(2, |byte| *byte == 233);
    let stack = parts.next()?;
    let function = match parts.next() {
        None => FUNCTIONS[usize::from(*function) % FUNCTIONS.len()].parse().ok()?,
        Some(function) => spelled(function)?,
    };
    let mut layers = stack.split(|byte| *byte == 234).map(|layer| {
        let (which, args) = layer.split_first()?;
        Some((ATTRIBUTES[usize::from(*which) % ATTRIBUTES.len()], spelled(args)?))
    });
    let (attribute, args) = layers.next()??;
    let mut item = String::new();
    for layer in layers {
        let (attribute, args) = layer?;
        item.push_str(&format!("#[{attribute}({args})] "));
    }
    let mut item: TokenStream = item.parse().ok()?;
    item.extend(function);
    Some(Annotated { attribute, args, item })
}

fn is_rust(tokens: &TokenStream) -> bool {
    syn::parse2::<syn::File>(tokens.clone()).is_ok()
}

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let Some(Annotated { attribute, args, item }) = annotated(bytes) else { return Corpus::Reject };
    let was_rust = is_rust(&item);
    let mut expanded = ft_macros_core::expand(attribute, args.clone(), item.clone());
    let explained = expanded.to_string().contains("compile_error");
    // Tokens that the user wrote and that are no Rust are rustc's to report; those that are must stay so, or be explained.
    assert!(explained || !was_rust || is_rust(&expanded), "#[{attribute}({args})] {item}\nbecame\n{expanded}");
    // The attributes below it are expanded in their turn.
    expanded = ft_macros_core::expand_all(expanded);
    let explained = expanded.to_string().contains("compile_error");
    assert!(explained || !was_rust || is_rust(&expanded), "#[{attribute}({args})] {item}\nbecame at last\n{expanded}");
    ft_macros_core::derive_fault(item);
    Corpus::Keep
});
