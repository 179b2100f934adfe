//! The numbers of steps that have no key.

use std::collections::HashMap;

use super::fingerprint::InputHash;

/// Failed calls whose number waits for another try, for each name. Beyond it the oldest is not waited for any more.
const WAITING: usize = 1024;

/// Numbers the calls of each name: 1, 2, 3, ..
///
/// A call that failed gives its number back, so that trying it again records under the number that a replay asks for.
/// Only a call with equal arguments gets it: another one would record its own result under a number that the replay
/// asks for on behalf of the call that failed.
#[derive(Debug, Default)]
pub(super) struct Numbers(HashMap<&'static str, OfName>);

#[derive(Debug, Default)]
struct OfName {
    last: u64,
    freed: Vec<(u64, InputHash)>,
}

impl Numbers {
    /// The number of a call: the lowest one that a failed call with these arguments gave back, or the next one.
    pub(super) fn take(&mut self, name: &'static str, input: InputHash) -> u64 {
        let of_name = self.0.entry(name).or_default();
        let waiting = of_name.freed.iter().enumerate().filter(|(_, (_, freed))| *freed == input);
        if let Some((at, _)) = waiting.min_by_key(|(_, (number, _))| *number) {
            return of_name.freed.remove(at).0;
        }
        of_name.last += 1;
        of_name.last
    }

    /// Keeps the number of a call that failed for the next one with the same arguments.
    pub(super) fn give_back(&mut self, name: &'static str, number: u64, input: InputHash) {
        let of_name = self.0.entry(name).or_default();
        if of_name.freed.len() == WAITING {
            of_name.freed.remove(0);
        }
        of_name.freed.push((number, input));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: InputHash = InputHash::from_bytes([1; 16]);
    const B: InputHash = InputHash::from_bytes([2; 16]);

    #[test]
    fn a_number_given_back_goes_to_equal_arguments_only_the_lowest_first() {
        let mut numbers = Numbers::default();
        assert_eq!([numbers.take("send", A), numbers.take("send", A), numbers.take("send", A)], [1, 2, 3]);
        numbers.give_back("send", 3, A);
        numbers.give_back("send", 1, A);
        assert_eq!(numbers.take("other", A), 1);
        assert_eq!(numbers.take("send", B), 4);
        assert_eq!([numbers.take("send", A), numbers.take("send", A), numbers.take("send", A)], [1, 3, 5]);
    }

    #[test]
    fn a_loop_that_fails_for_ever_with_new_arguments_does_not_fill_the_memory() {
        let mut numbers = Numbers::default();
        for round in 0..2 * WAITING as u64 {
            let input = InputHash::default().then(InputHash::from_bytes(u128::from(round).to_le_bytes()));
            let number = numbers.take("send", input);
            numbers.give_back("send", number, input);
        }
        assert_eq!(numbers.0["send"].freed.len(), WAITING);
        assert_eq!(numbers.take("send", A), 2 * WAITING as u64 + 1);
    }
}
