//! Whatever stands in an attribute or below it, the answer is tokens, never a panic.

use std::fs;
use std::path::Path;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use super::parsed;

/// A small generator (xorshift): the same garbage in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit.max(1) as u64).unwrap()
    }

    /// Drops, doubles, swaps and replaces a few tokens, at any depth.
    fn garble(&mut self, tokens: TokenStream, words: &[TokenTree]) -> TokenStream {
        let mut garbled: Vec<TokenTree> = Vec::new();
        for token in tokens {
            match self.below(40) {
                0 => {}
                1 => garbled.extend([token.clone(), token]),
                2 => garbled.push(words[self.below(words.len())].clone()),
                3 => {
                    let place = self.below(garbled.len() + 1);
                    garbled.insert(place, token);
                }
                _ => garbled.push(match token {
                    TokenTree::Group(group) => {
                        let inside = self.garble(group.stream(), words);
                        let delimiter = if self.below(30) == 0 { Delimiter::None } else { group.delimiter() };
                        TokenTree::Group(Group::new(delimiter, inside))
                    }
                    other => other,
                }),
            }
        }
        garbled.into_iter().collect()
    }
}

#[test]
fn no_garbage_makes_an_expansion_panic() {
    let shapes = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shapes");
    let words: Vec<TokenTree> =
        parsed("retry failover checkpoint fault Saved Attempt , ; = == in moved crate name 5sec 2s 0x5s \"\" | # self __ret 'a _ r#type {} () [] <").into_iter().collect();
    let mut dice = Dice(0x5eed);
    for entry in fs::read_dir(shapes).unwrap() {
        let path = entry.unwrap().path();
        let source = parsed(&fs::read_to_string(&path).unwrap());
        for _ in 0..150 {
            let garbled = dice.garble(source.clone(), &words);
            crate::expand_all(garbled.clone());
            // What does not parse as a file may still reach a single attribute.
            let mut items = garbled.into_iter();
            let args: TokenStream = items.by_ref().take(2).collect();
            let item: TokenStream = items.collect();
            let attribute = ["retry", "failover", "checkpoint", "checkpoint_without_feature", "timeout"][dice.below(5)];
            crate::expand(attribute, arguments(args), first_function(item.clone()));
            crate::derive_fault(item);
        }
    }
}

/// `#[retry(args)]` -> `args`
fn arguments(attribute: TokenStream) -> TokenStream {
    let group = |tokens: TokenStream| {
        tokens
            .into_iter()
            .find_map(|token| if let TokenTree::Group(group) = token { Some(group.stream()) } else { None })
    };
    group(attribute).and_then(group).unwrap_or_default()
}

/// Up to the first body.
fn first_function(item: TokenStream) -> TokenStream {
    let mut ended = false;
    let until = |token: &TokenTree| {
        let go_on = !ended;
        ended |= matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
        go_on
    };
    item.into_iter().take_while(until).collect()
}

#[test]
fn what_never_ends_is_refused_and_not_followed() {
    // The stack that a compiler's thread has; a test's has a quarter of it.
    const STACK: usize = 8 << 20;
    std::thread::Builder::new().stack_size(STACK).spawn(never_ends).unwrap().join().unwrap();
}

fn never_ends() {
    for n in [125, 250, 5_000] {
        let never = [
            ("!".repeat(n), String::new()),
            ("|| ".repeat(n), String::new()),
            (format!("{}x{}", "(!!!!!!!!!!".repeat(n / 40), ")".repeat(n / 40)), String::new()),
            (String::new(), "& ".repeat(n)),
            (String::new(), "A<".repeat(n)),
        ];
        for (value, ty) in never {
            crate::expand("retry", parsed(&format!("a = {value}x")), parsed(&format!("fn f() -> {ty} R {{ x }}")));
            crate::expand_all(parsed(&format!("#[retry(a = {value}x)] fn f() -> {ty} R {{ {value}x }}")));
        }
    }
}
