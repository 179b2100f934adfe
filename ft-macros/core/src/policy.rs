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
    #[cfg_attr(not(test), expect(dead_code, reason = "the policies of this shape follow"))]
    Once,
    /// A run or a step of one.
    Checkpoint,
    /// The body for one target after the other.
    Candidates,
}

/// To add an attribute: a line here, a line in `ft-macros/src/lib.rs`.
static POLICIES: &[Policy] = &[
    Policy::new("retry", "Retry", Shape::Loop)
        .words(&[("hint", "clamp", "Hint::Clamp"), ("hint", "stop", "Hint::Stop")]),
    Policy::new("failover", "Failover", Shape::Candidates)
        .words(&[("prefer", "order", "Prefer::Order"), ("prefer", "sticky", "Prefer::Sticky")]),
    Policy::new("checkpoint", "Checkpoint", Shape::Checkpoint)
        .runtime_keys(&["every"])
        .words(&[("again", "always", "Again::Always"), ("again", "after_keep", "Again::AfterKeep")]),
    #[cfg(test)]
    Policy::new("timeout", "Timeout", Shape::Once).needs("2s"),
];

impl Policy {
    const fn new(attribute: &'static str, ty: &'static str, shape: Shape) -> Self {
        Self { attribute, ty, shape, needs: None, runtime_keys: &[], words: &[] }
    }

    const fn runtime_keys(mut self, keys: &'static [&'static str]) -> Self {
        self.runtime_keys = keys;
        self
    }

    const fn words(mut self, words: &'static [(&'static str, &'static str, &'static str)]) -> Self {
        self.words = words;
        self
    }

    #[cfg(test)]
    const fn needs(mut self, example: &'static str) -> Self {
        self.needs = Some(example);
        self
    }

    /// The policy behind an attribute of this name.
    pub(crate) fn find(attribute: &str) -> Option<&'static Self> {
        POLICIES.iter().find(|policy| policy.attribute == attribute)
    }

    /// The name of the constant that holds it. Items are not hygienic, so the name must be one that users do not write.
    pub(crate) fn item(&self) -> String {
        format!("FT_{}", self.attribute.to_uppercase())
    }

    /// Whether outcomes are judged, so that `on`, `unless`, `when`, `until` and `retry_after` mean something.
    pub(crate) fn judges(&self) -> bool {
        self.shape != Shape::Checkpoint
    }
}
