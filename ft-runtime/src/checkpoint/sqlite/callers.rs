//! Those who wait for room in the queue.

use std::collections::VecDeque;

use crate::checkpoint::ticket::{Reply, Ticket, ticket};

/// Callers in the order in which they came. One that has left takes no place: a loop that gives up again and again does
/// not fill the memory.
#[derive(Debug, Default)]
pub(in crate::checkpoint) struct Callers {
    waiting: VecDeque<Reply<()>>,
    /// Those who have left are looked for when there are more than this.
    looked: usize,
}

/// Below this nobody looks for those who have left.
const FEW: usize = 64;

impl Callers {
    /// One more waits.
    pub(in crate::checkpoint) fn join(&mut self) -> Ticket<()> {
        if self.waiting.len() >= self.looked.max(FEW) {
            self.waiting.retain(|caller| !caller.is_deserted());
            self.looked = 2 * self.waiting.len();
        }
        let (reply, ticket) = ticket();
        self.waiting.push_back(reply);
        ticket
    }

    /// The next ones, for whom there is room now.
    pub(in crate::checkpoint) fn next(&mut self, room: usize) -> Vec<Reply<()>> {
        let mut next = Vec::new();
        while next.len() < room {
            match self.waiting.pop_front() {
                Some(caller) if caller.is_deserted() => {}
                Some(caller) => next.push(caller),
                None => break,
            }
        }
        next
    }

    /// All of them.
    pub(in crate::checkpoint) fn all(&mut self) -> Vec<Reply<()>> {
        std::mem::take(&mut self.waiting).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_go_in_their_order_and_those_who_left_take_no_place() {
        let mut callers = Callers::default();
        let mut tickets: Vec<_> = (0..4).map(|_| callers.join()).collect();
        drop(tickets.remove(0));
        callers.next(2).into_iter().for_each(|caller| caller.send(Ok(())));
        let last = tickets.pop();
        for ticket in tickets {
            assert_eq!(ticket.wait(), Ok(()));
        }
        assert_eq!(callers.all().len(), 1);
        drop(last);
    }

    #[test]
    fn a_loop_that_gives_up_for_ever_does_not_fill_the_memory() {
        let mut callers = Callers::default();
        let _stays = callers.join();
        for _ in 0..100 * FEW {
            drop(callers.join());
        }
        assert!(callers.waiting.len() <= FEW + 1, "{} wait", callers.waiting.len());
    }
}
