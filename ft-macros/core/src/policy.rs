//! The table of attributes: all that the macro knows about a policy. What its options mean, the runtime knows.

/// One attribute.
pub(crate) struct Policy {
    /// The attribute's name, which is also the name of the local that holds the policy.
    pub(crate) attribute: &'static str,
    /// The type of the policy in the runtime.
    pub(crate) ty: &'static str,
    /// The code that it puts around a body.
    pub(crate) shape: Shape,
    /// An example of the value without which there is no such policy, as in `#[timeout(2s)]`; `new` takes it.
    pub(crate) needs: Option<&'static str>,
    /// It has state, which all calls of the function share: a `static`, where others are constants.
    pub(crate) stateful: bool,
    /// Its state may be one for each key: `key = expr`, `max_keys = n`.
    pub(crate) keyed: bool,
    /// It looks at outcomes, so that `on`, `unless`, `when`, `until` and `retry_after` mean something.
    pub(crate) judges: bool,
    /// What to do instead, where it means nothing on a blocking function.
    pub(crate) blocking: Option<&'static str>,
    /// Keys whose values are functions: constants, although they are not called as those are.
    pub(crate) function_keys: &'static [&'static str],
    /// Keys whose setters cannot be `const`.
    pub(crate) runtime_keys: &'static [&'static str],
    /// Bare words for values: key, word, path below the runtime's root.
    pub(crate) words: &'static [(&'static str, &'static str, &'static str)],
}

/// The shapes of generated code.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The body again and again.
    Loop,
    /// The body at most once.
    Once,
    /// A run or a step of one.
    Checkpoint,
    /// The body for one target after the other.
    Candidates,
    /// The body, and something else when it fails.
    Instead,
    /// The body several times at once.
    Race,
    /// The body once for all who ask the same.
    Share,
}

/// To add an attribute: a line here, a line in `ft-macros/src/lib.rs`.
static POLICIES: &[Policy] = &[
    Policy::new("retry", "Retry", Shape::Loop)
        .judges()
        .words(&[("hint", "clamp", "Hint::Clamp"), ("hint", "stop", "Hint::Stop")]),
    Policy::new("failover", "Failover", Shape::Candidates)
        .judges()
        .words(&[("prefer", "order", "Prefer::Order"), ("prefer", "sticky", "Prefer::Sticky")]),
    Policy::new("checkpoint", "Checkpoint", Shape::Checkpoint)
        .function_keys(&["migrate"])
        .runtime_keys(&["every"])
        .words(&[("again", "always", "Again::Always"), ("again", "after_keep", "Again::AfterKeep")]),
    Policy::new("timeout", "Timeout", Shape::Once)
        .needs("2s")
        .not_blocking("a blocking call cannot be cut off from outside: set the time limit of the client that it uses, or make this an `async fn` around `tokio::task::spawn_blocking`"),
    Policy::new("circuit_breaker", "CircuitBreaker", Shape::Once).stateful().keyed().judges().words(&[
        ("abandoned", "ignore", "Abandoned::Ignore"),
        ("abandoned", "failure", "Abandoned::Failure"),
    ]),
    Policy::new("bulkhead", "Bulkhead", Shape::Once).needs("16").stateful().keyed(),
    Policy::new("rate_limiter", "RateLimiter", Shape::Once).needs("100").stateful().keyed(),
    Policy::new("fallback", "Fallback", Shape::Instead).judges(),
    Policy::new("hedge", "Hedge", Shape::Race)
        .stateful()
        .judges()
        .not_blocking("a blocking call cannot be dropped when another one has won: make this an `async fn` around `tokio::task::spawn_blocking`"),
    Policy::new("coalesce", "Coalesce", Shape::Share)
        .stateful()
        .not_blocking("callers wait for each other without blocking a thread: make this an `async fn` around `tokio::task::spawn_blocking`"),
    Policy::new("chaos", "Chaos", Shape::Once).stateful(),
];

impl Policy {
    const fn new(attribute: &'static str, ty: &'static str, shape: Shape) -> Self {
        Self {
            attribute,
            ty,
            shape,
            needs: None,
            stateful: false,
            keyed: false,
            judges: false,
            blocking: None,
            function_keys: &[],
            runtime_keys: &[],
            words: &[],
        }
    }

    const fn function_keys(mut self, keys: &'static [&'static str]) -> Self {
        self.function_keys = keys;
        self
    }

    const fn runtime_keys(mut self, keys: &'static [&'static str]) -> Self {
        self.runtime_keys = keys;
        self
    }

    const fn words(mut self, words: &'static [(&'static str, &'static str, &'static str)]) -> Self {
        self.words = words;
        self
    }

    const fn needs(mut self, example: &'static str) -> Self {
        self.needs = Some(example);
        self
    }

    const fn stateful(mut self) -> Self {
        self.stateful = true;
        self
    }

    const fn keyed(mut self) -> Self {
        self.keyed = true;
        self
    }

    const fn judges(mut self) -> Self {
        self.judges = true;
        self
    }

    const fn not_blocking(mut self, instead: &'static str) -> Self {
        self.blocking = Some(instead);
        self
    }

    /// The policy behind an attribute of this name.
    pub(crate) fn find(attribute: &str) -> Option<&'static Self> {
        POLICIES.iter().find(|policy| policy.attribute == attribute)
    }

    /// The name of the item that holds it. Items are not hygienic, so the name must be one that users do not write.
    pub(crate) fn item(&self) -> String {
        format!("FT_{}", self.attribute.to_uppercase())
    }

    /// Whether this word is one of the attribute's own, rather than a setter of its policy.
    pub(crate) fn reserves(&self, word: &str) -> bool {
        match word {
            "key" => self.keyed || matches!(self.shape, Shape::Checkpoint | Shape::Share),
            "max_keys" => self.keyed,
            "run" | "state" | "record_err" | "tx" | "recover" => self.shape == Shape::Checkpoint,
            "to" => matches!(self.shape, Shape::Candidates | Shape::Instead),
            "with" | "value" => self.shape == Shape::Instead,
            _ => false,
        }
    }

    /// Whether this word may stand without a value, and means itself then: `tx` is `tx = tx`.
    pub(crate) fn stands_alone(&self, word: &str) -> bool {
        word == "tx" && self.reserves(word)
    }

    /// Whether this word is a setter here, although others reserve it.
    pub(crate) fn sets(&self, word: &str) -> bool {
        word == "max_keys" && self.shape == Shape::Share
    }

    /// The attributes to name when this word stands at one that does not reserve it.
    pub(crate) fn owners(word: &str) -> Option<String> {
        let owners: Vec<String> = POLICIES
            .iter()
            .filter(|policy| policy.reserves(word))
            .map(|policy| format!("`#[{}]`", policy.attribute))
            .collect();
        let (last, others) = owners.split_last()?;
        Some(if others.is_empty() { last.clone() } else { format!("{} and {last}", others.join(", ")) })
    }

    /// Whether any attribute has this word for its own.
    pub(crate) fn is_reserved(word: &str) -> bool {
        POLICIES.iter().any(|policy| policy.reserves(word))
    }
}
