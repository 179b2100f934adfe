//! The words of `#[fault(..)]`.

use proc_macro2::Span;
use syn::ext::IdentExt as _;
use syn::parse::{Parse as _, ParseStream};
use syn::{Attribute, Ident, Member, Meta, Path, Token};

use crate::errors::Errors;

/// Where a `#[fault(..)]` stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Enum,
    Variant,
    Struct,
}

/// A word that names a kind.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Permanent,
    Transient,
    Unsent,
    Throttled,
}

/// What the attributes of one type or variant say.
pub(super) struct Words {
    pub(super) kind: Option<Kind>,
    pub(super) transparent: Option<Span>,
    pub(super) retry_after: Option<Member>,
    pub(super) display: bool,
    pub(super) krate: Option<Path>,
    /// Nothing was wrong with them, so that what is missing is really missing.
    pub(super) readable: bool,
    seen: Vec<String>,
}

impl Default for Words {
    fn default() -> Self {
        Self {
            kind: None,
            transparent: None,
            retry_after: None,
            display: false,
            krate: None,
            readable: true,
            seen: Vec::new(),
        }
    }
}

impl Words {
    /// Reads all `#[fault(..)]` among the attributes.
    pub(super) fn read(attrs: &[Attribute], place: Place, errors: &mut Errors) -> Self {
        let mut words = Self::default();
        for attr in attrs.iter().filter(|attr| attr.path().is_ident("fault")) {
            let read = match &attr.meta {
                Meta::List(list) if !list.tokens.is_empty() => {
                    attr.parse_args_with(|input: ParseStream| words.list(input, place, errors))
                }
                meta => {
                    Err(syn::Error::new_spanned(meta, format!("write `#[fault(..)]` with one of {}", place.words())))
                }
            };
            if let Err(error) = read {
                words.readable = false;
                errors.add(error);
            }
        }
        words
    }

    fn list(&mut self, input: ParseStream, place: Place, errors: &mut Errors) -> syn::Result<()> {
        loop {
            let word = input.call(Ident::parse_any)?;
            if let Err(error) = self.word(&word, input, place) {
                self.readable = false;
                errors.add(error);
            }
            if input.is_empty() {
                return Ok(());
            }
            input.parse::<Token![,]>()?;
            if input.is_empty() {
                return Ok(());
            }
        }
    }

    fn word(&mut self, word: &Ident, input: ParseStream, place: Place) -> syn::Result<()> {
        let name = word.to_string();
        let error = |message: String| Err(syn::Error::new(word.span(), message));
        let known = match name.as_str() {
            "permanent" => return self.kind(word, Kind::Permanent),
            "transient" => return self.kind(word, Kind::Transient),
            "unsent" => return self.kind(word, Kind::Unsent),
            "throttled" => return self.kind(word, Kind::Throttled),
            "transparent" => {
                self.transparent = Some(word.span());
                place != Place::Enum
            }
            "retry_after" => {
                input.parse::<Token![=]>()?;
                self.retry_after = Some(input.parse()?);
                place != Place::Enum
            }
            "display" => {
                self.display = true;
                true
            }
            "crate" => {
                input.parse::<Token![=]>()?;
                self.krate = Some(Path::parse(input)?);
                place != Place::Variant
            }
            _ => {
                return error(format!("`{name}` is not a word of `#[fault(..)]` here; it knows {}", place.words()));
            }
        };
        if !known {
            return error(format!(
                "`{name}` does not go {}; there, `#[fault(..)]` knows {}",
                place.on(),
                place.words()
            ));
        }
        self.note(word)?;
        if self.transparent.is_some() && self.retry_after.is_some() {
            return error("`transparent` forwards `retry_after` too".to_owned());
        }
        self.one_kind(word)
    }

    fn kind(&mut self, word: &Ident, kind: Kind) -> syn::Result<()> {
        self.note(word)?;
        if self.kind.is_some() {
            return Err(syn::Error::new(
                word.span(),
                format!("`{word}`: an error has one kind, and this one has another already"),
            ));
        }
        self.kind = Some(kind);
        self.one_kind(word)
    }

    /// `transparent` takes the kind from the field.
    fn one_kind(&self, word: &Ident) -> syn::Result<()> {
        if self.transparent.is_some() && self.kind.is_some() {
            return Err(syn::Error::new(
                word.span(),
                "`transparent` takes the kind from the field, so no kind can be given here",
            ));
        }
        Ok(())
    }

    fn note(&mut self, word: &Ident) -> syn::Result<()> {
        let name = word.to_string();
        if self.seen.contains(&name) {
            return Err(syn::Error::new(word.span(), format!("`{name}` is given twice")));
        }
        self.seen.push(name);
        Ok(())
    }
}

impl Place {
    fn words(self) -> &'static str {
        match self {
            Self::Enum => "permanent, transient, unsent, throttled, display, crate = path",
            Self::Variant => "permanent, transient, unsent, throttled, transparent, display, retry_after = field",
            Self::Struct => {
                "permanent, transient, unsent, throttled, transparent, display, retry_after = field, crate = path"
            }
        }
    }

    fn on(self) -> &'static str {
        match self {
            Self::Enum => "on an enum",
            Self::Variant => "on a variant",
            Self::Struct => "on a struct",
        }
    }
}
