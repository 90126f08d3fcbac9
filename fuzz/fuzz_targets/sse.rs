//! The decoder of server-sent events: cuts do not matter.
#![no_main]

use libfuzzer_sys::fuzz_target;
use purser_core::wire::sse::{Decoder, Sink};
use purser_fuzz::cut;

#[derive(Default)]
struct Gather {
    now: Vec<u8>,
    events: Vec<Vec<u8>>,
}

impl Sink for Gather {
    fn data(&mut self, piece: &[u8]) {
        self.now.extend_from_slice(piece);
    }
    fn end(&mut self, _: usize) {
        self.events.push(std::mem::take(&mut self.now));
    }
}

fn events(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    let (mut decoder, mut gather) = (Decoder::default(), Gather::default());
    pieces.iter().for_each(|piece| decoder.push(piece, &mut gather));
    decoder.finish(&mut gather);
    gather.events
}

fuzz_target!(|input: &[u8]| {
    let (body, pieces) = cut(input);
    assert_eq!(events(&pieces), events(&[body]));
});
