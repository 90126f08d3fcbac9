//! The decoder of AWS's event streams: cuts do not matter, also where all checksums are right.
#![no_main]

use libfuzzer_sys::fuzz_target;
use purser_core::wire::event_stream::{Decoder, EventStreamError, Head, Sink};
use purser_fuzz::cut;

#[derive(Default, PartialEq, Debug)]
struct Gather {
    now: Vec<u8>,
    heads: Vec<Head>,
    messages: Vec<(Vec<u8>, bool)>,
}

impl Sink for Gather {
    fn begin(&mut self, head: &Head) {
        assert_eq!(self.heads.len(), self.messages.len(), "a message in a message");
        self.heads.push(head.clone());
    }
    fn data(&mut self, piece: &[u8]) {
        assert_eq!(self.heads.len(), self.messages.len() + 1, "data outside of a message");
        self.now.extend_from_slice(piece);
    }
    fn end(&mut self, _: usize, intact: bool) {
        assert_eq!(self.heads.len(), self.messages.len() + 1, "an end outside of a message");
        self.messages.push((std::mem::take(&mut self.now), intact));
    }
}

fn decode(pieces: &[&[u8]]) -> (Gather, Option<EventStreamError>, bool) {
    let (mut decoder, mut gather) = (Decoder::default(), Gather::default());
    pieces.iter().for_each(|piece| decoder.push(piece, &mut gather));
    (gather, decoder.error(), decoder.is_complete())
}

/// A message whose lengths and checksums are right, which a fuzzer does not guess.
fn framed(headers: usize, rest: &[u8]) -> Vec<u8> {
    let mut bytes = (rest.len() as u32 + 16).to_be_bytes().to_vec();
    bytes.extend((headers as u32).to_be_bytes());
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    bytes.extend(rest);
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    bytes
}

fuzz_target!(|input: &[u8]| {
    let (body, pieces) = cut(input);
    assert_eq!(decode(&pieces), decode(&[body]));
    let Some((headers, rest)) = body.split_first() else { return };
    let headers = usize::from(*headers).min(rest.len());
    let bytes = framed(headers, rest);
    let (told, error, complete) = decode(&[&bytes]);
    assert_eq!(error.is_none(), complete);
    if complete {
        assert_eq!(told.messages, [(rest[headers..].to_vec(), true)]);
    }
    let pieces: Vec<&[u8]> = bytes.chunks(1 + input.len() % 7).collect();
    assert_eq!(decode(&pieces), (told, error, complete));
});
