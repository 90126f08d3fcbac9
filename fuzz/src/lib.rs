//! What the targets share: how a fuzzer's bytes are cut into pieces, and a JSON visitor that writes all down.

use purser_core::wire::json::{Key, Reader, Span, Visitor};

/// The input's first bytes say how the rest is cut: one for the number of cuts, then two for each.
#[must_use]
pub fn cut(input: &[u8]) -> (&[u8], Vec<&[u8]>) {
    let Some((count, rest)) = input.split_first() else { return (input, vec![input]) };
    let count = usize::from(count % 8);
    if rest.len() < 2 * count {
        return (rest, vec![rest]);
    }
    let (places, body) = rest.split_at(2 * count);
    let place = |pair: &[u8]| usize::from(u16::from_le_bytes([pair[0], pair[1]])) % (body.len() + 1);
    let mut cuts: Vec<usize> = places.chunks(2).map(place).collect();
    cuts.extend([0, body.len()]);
    cuts.sort_unstable();
    (body, cuts.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect())
}

/// What a reader told, as text; pieces of strings are joined.
#[derive(Default)]
pub struct Scribe {
    /// A line for each call.
    pub told: Vec<String>,
    text: Vec<u8>,
}

impl Visitor for Scribe {
    fn enter(&mut self, path: &[Key], object: bool, at: usize) {
        self.told.push(format!("enter {path:?} {object} {at}"));
    }
    fn leave(&mut self, path: &[Key], object: bool, span: Span) {
        self.told.push(format!("leave {path:?} {object} {span:?}"));
    }
    fn key(&mut self, path: &[Key], name: &[u8]) {
        self.told.push(format!("key {path:?} {name:?}"));
    }
    fn wants(&mut self, path: &[Key]) -> bool {
        self.text.clear();
        // Some strings are passed over.
        path.len() % 5 != 4
    }
    fn text(&mut self, _: &[Key], piece: &[u8]) {
        self.text.extend_from_slice(piece);
    }
    fn text_end(&mut self, path: &[Key], span: Span) {
        self.told.push(format!("text {path:?} {:?} {span:?}", self.text));
    }
    fn scalar(&mut self, path: &[Key], raw: &[u8], span: Span) {
        self.told.push(format!("scalar {path:?} {raw:?} {span:?}"));
    }
}

/// What is told of a JSON text in pieces, and whether it was whole.
#[must_use]
pub fn read_json(pieces: &[&[u8]]) -> (Vec<String>, bool) {
    let (mut reader, mut scribe) = (Reader::default(), Scribe::default());
    pieces.iter().for_each(|piece| reader.push(piece, &mut scribe));
    reader.finish(&mut scribe);
    let whole = reader.is_complete();
    (scribe.told, whole)
}
