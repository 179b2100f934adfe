//! Where a sealed value stands.

use super::fingerprint::InputHash;

/// Where a sealed value stands: what identifies it in the store, and makes it that value and no other.
///
/// The checksum covers it. It is fed as one byte of kind, then each field its numbers first and then the others in the order below: a number or a
/// fingerprint as its little-endian bytes, a text behind its length as a `u64`. An authenticated cipher takes the same bytes as its
/// associated data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// The result of a step (kind 1).
    Step {
        /// The token of the claim that started the run.
        incarnation: u64,
        /// The run.
        run: &'a str,
        /// Name and key of the step.
        key: &'a str,
        /// Fingerprint of its arguments.
        input: InputHash,
    },
    /// A version of a saved state, without its number (kind 2): what the first schema of the SQLite store held.
    Unnumbered {
        /// The token of the claim that started the run.
        incarnation: u64,
        /// The run.
        run: &'a str,
        /// Name of the state.
        name: &'a str,
        /// Name of its type.
        type_name: &'a str,
    },
    /// A version of a saved state (kind 4).
    State {
        /// The token of the claim that started the run.
        incarnation: u64,
        /// The run.
        run: &'a str,
        /// Name of the state.
        name: &'a str,
        /// Name of its type.
        type_name: &'a str,
        /// The number of the version.
        generation: u64,
    },
    /// The arguments of a run (kind 5).
    Input {
        /// The run.
        run: &'a str,
    },
    /// The result of a run (kind 3).
    Output {
        /// The run.
        run: &'a str,
    },
}

impl Place<'_> {
    /// Feeds the bytes that stand for the place. No two places have the same.
    pub(super) fn feed(&self, mut sink: impl FnMut(&[u8])) {
        let mut head = |kind: u8, incarnation: u64| {
            sink(&[kind]);
            sink(&incarnation.to_le_bytes());
        };
        match *self {
            Self::Step { incarnation, .. } => head(1, incarnation),
            Self::Unnumbered { incarnation, .. } => head(2, incarnation),
            Self::State { incarnation, .. } => head(4, incarnation),
            Self::Output { .. } => sink(&[3]),
            Self::Input { .. } => sink(&[5]),
        }
        if let Self::State { generation, .. } = self {
            sink(&generation.to_le_bytes());
        }
        let mut text = |text: &str| {
            sink(&(text.len() as u64).to_le_bytes());
            sink(text.as_bytes());
        };
        match *self {
            Self::Step { run, key, input, .. } => {
                text(run);
                text(key);
                sink(input.as_bytes());
            }
            Self::Unnumbered { run, name, type_name, .. } | Self::State { run, name, type_name, .. } => {
                [run, name, type_name].into_iter().for_each(text);
            }
            Self::Output { run } | Self::Input { run } => text(run),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_places_have_the_same_bytes() {
        let (one, two) = (InputHash::default(), InputHash::from_bytes([1; 16]));
        let places = [
            Place::Step { incarnation: 0, run: "ab", key: "c", input: one },
            Place::Step { incarnation: 0, run: "a", key: "bc", input: one },
            Place::Step { incarnation: 0, run: "ab", key: "c", input: two },
            Place::Step { incarnation: 1, run: "ab", key: "c", input: one },
            Place::Unnumbered { incarnation: 0, run: "ab", name: "c", type_name: "d" },
            Place::State { incarnation: 0, run: "ab", name: "c", type_name: "d", generation: 0 },
            Place::State { incarnation: 0, run: "ab", name: "c", type_name: "d", generation: 1 },
            Place::State { incarnation: 0, run: "ab", name: "cd", type_name: "", generation: 0 },
            Place::State { incarnation: 1, run: "ab", name: "c", type_name: "d", generation: 0 },
            Place::Output { run: "ab" },
            Place::Output { run: "a" },
            Place::Input { run: "a" },
        ];
        let bytes: std::collections::HashSet<Vec<u8>> = places
            .iter()
            .map(|place| {
                let mut bytes = Vec::new();
                place.feed(|more| bytes.extend_from_slice(more));
                bytes
            })
            .collect();
        assert_eq!(bytes.len(), places.len());
    }
}
