//! Byte pair encoding of one piece of text, in time linear in its length.
//!
//! Takes the longest token that may stand after the one before, or the next shorter; where none may, takes the last
//! token back. A place that was left is not tried again: what leads to it is determined, see [`stay_apart`].
//!
//! A long piece goes through a window: the tokens at its start are settled, and the rest stays for the next one. What
//! follows reaches back over a few tokens only, [`MARGIN`] is many; should it ever reach further, then one token boundary
//! stands where it would not, and the count is one or two too high.

use crate::Counts;
use crate::tables::{LONGEST, longest, stay_apart};

/// The most that is encoded at once.
pub(crate) const WINDOW: usize = 4_096;
/// Bytes before the end of a window whose tokens are not settled yet.
const MARGIN: usize = 512;
const _: () = assert!(MARGIN >= 2 * LONGEST, "a window settles at least one token");

/// The piece under way, as far as it was handed over, and room to work in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Merge {
    window: Vec<u8>,
    /// The last settled token of the piece, which the window goes on after.
    before: Option<u32>,
    /// Tokens of the window and where each ends.
    path: Vec<(u32, usize)>,
    /// A bit for each place that leads nowhere.
    dead: Vec<u64>,
}

impl Merge {
    /// Whether a piece was begun by [`Self::push`] and not ended.
    pub(crate) fn has_begun(&self) -> bool {
        !self.window.is_empty()
    }

    /// A part of a piece, more than nothing.
    pub(crate) fn push(&mut self, part: &[u8], counts: &mut Counts) {
        let mut rest = part;
        while !rest.is_empty() {
            if self.window.len() >= WINDOW {
                self.settle(WINDOW.saturating_sub(MARGIN), counts);
            }
            let room = WINDOW.saturating_sub(self.window.len()).min(rest.len());
            let (now, later) = rest.split_at_checked(room).unwrap_or((rest, &[]));
            self.window.extend_from_slice(now);
            rest = later;
        }
    }

    /// The piece ends here.
    pub(crate) fn end(&mut self, counts: &mut Counts) {
        self.settle(usize::MAX, counts);
        self.window.clear();
        self.before = None;
    }

    /// Counts a piece of no more than [`WINDOW`] that is there as a whole.
    pub(crate) fn whole(&mut self, piece: &[u8], counts: &mut Counts) {
        self.encode(piece, None);
        self.count(piece, usize::MAX, counts);
        self.before = None;
    }

    /// Counts the tokens of the window that end before `limit`.
    fn settle(&mut self, limit: usize, counts: &mut Counts) {
        let window = std::mem::take(&mut self.window);
        self.encode(&window, self.before);
        let settled = self.count(&window, limit, counts);
        self.window = window;
        self.window.drain(..settled);
    }

    /// Counts the tokens of the path that end before `limit`, and says where they end.
    fn count(&mut self, text: &[u8], limit: usize, counts: &mut Counts) -> usize {
        let mut start = 0;
        for (token, end) in self.path.iter().take_while(|(_, end)| *end <= limit) {
            counts.token(text.get(start..*end).unwrap_or_default().is_ascii());
            (start, self.before) = (*end, Some(*token));
        }
        start
    }

    /// Fills the path with the tokens of `text`, as it follows on `before`.
    fn encode(&mut self, text: &[u8], before: Option<u32>) {
        self.path.clear();
        self.dead.clear();
        self.dead.resize((text.len() >> 6).saturating_add(1), 0);
        let (mut at, mut longer, mut before) = (0, usize::MAX, before);
        while at < text.len() {
            if let Some((token, end)) = self.next(text, at, longer, before) {
                self.path.push((token, end));
                (at, longer) = (end, usize::MAX);
                continue;
            }
            if let Some(word) = self.dead.get_mut(at >> 6) {
                *word |= 1 << (at & 63);
            }
            match (self.path.pop(), before) {
                (Some((_, end)), _) => {
                    at = self.path.last().map_or(0, |(_, end)| *end);
                    longer = end.saturating_sub(at);
                }
                // Nothing may follow on what was settled: the margin was too small.
                (None, Some(_)) => {
                    self.dead.fill(0);
                    (at, longer, before) = (0, usize::MAX, None);
                }
                // Every byte is a token.
                (None, None) => return,
            }
        }
    }

    /// The longest token at `at` that is shorter than `longer`, may stand here, and does not end at a dead place.
    fn next(&self, text: &[u8], at: usize, longer: usize, before: Option<u32>) -> Option<(u32, usize)> {
        let last = self.path.last().map(|(token, _)| *token).or(before);
        let rest = text.get(at..)?;
        let mut longer = longer;
        loop {
            let (token, length) = longest(rest, 1..longer)?;
            let end = at.saturating_add(length);
            let dead = self.dead.get(end >> 6).is_some_and(|word| word >> (end & 63) & 1 == 1);
            if !dead && last.is_none_or(|last| stay_apart(last, token)) {
                return Some((token, end));
            }
            longer = length;
        }
    }
}
