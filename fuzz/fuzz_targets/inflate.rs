//! The inflater, by every coding: cuts do not matter to what is inflated, and what is kept within bounds stays there.
#![no_main]

use libfuzzer_sys::fuzz_target;
use purser_core::wire::inflate::{Coding, INFLATED_FREE, INFLATED_PER_BYTE, Inflater};
use purser_fuzz::cut;

const CODINGS: [&str; 8] = ["gzip", "deflate", "br", "zstd", "gzip, gzip", "zstd, br", "br, deflate, zstd", "zstd"];

fn inflate(coding: &str, pieces: &[&[u8]]) -> (Vec<u8>, bool) {
    let mut inflater = Inflater::new(Coding::of(coding)).expect("a coding that is read");
    let mut out = Vec::new();
    let whole = pieces.iter().all(|piece| inflater.push(piece, |bytes| out.extend_from_slice(bytes)).is_ok());
    (out, whole)
}

fuzz_target!(|input: &[u8]| {
    let Some((choice, rest)) = input.split_first() else { return };
    let coding = CODINGS[usize::from(choice % 8)];
    let (body, pieces) = cut(rest);
    let (out, whole) = inflate(coding, &[body]);
    let (out_in_pieces, whole_in_pieces) = inflate(coding, &pieces);
    assert_eq!(whole_in_pieces, whole);
    // How much of a corrupt body comes out before the fault is found does depend on the pieces.
    if whole {
        assert!(out_in_pieces == out);
    } else {
        let common = out.len().min(out_in_pieces.len());
        assert!(out[..common] == out_in_pieces[..common]);
    }
    assert!(out.len() as u64 <= INFLATED_FREE + INFLATED_PER_BYTE * body.len() as u64);
});
