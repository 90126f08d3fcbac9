//! Base64: cuts and spaces do not matter, and what is decoded is at most three quarters.
#![no_main]

use libfuzzer_sys::fuzz_target;
use purser_core::wire::base64::{Base64Error, Decoder};
use purser_fuzz::cut;

fn decode(pieces: &[&[u8]]) -> (Vec<u8>, Result<(), Base64Error>) {
    let (mut decoder, mut out) = (Decoder::default(), Vec::new());
    for piece in pieces {
        if decoder.push(piece, |bytes| out.extend_from_slice(bytes)).is_err() {
            break;
        }
    }
    (out, decoder.finish())
}

fuzz_target!(|input: &[u8]| {
    let (text, pieces) = cut(input);
    let (out, end) = decode(&[text]);
    assert_eq!(decode(&pieces), (out.clone(), end));
    assert!(out.len() <= text.len() * 3 / 4);
    if end.is_ok() {
        let spaced: Vec<&[u8]> = pieces.into_iter().flat_map(|piece| [piece, b" \r\n"]).collect();
        assert_eq!(decode(&spaced), (out, end));
    }
});
