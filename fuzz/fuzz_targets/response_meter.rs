//! The response meter: cuts do not matter, and the client gets all bytes but for events that bring usage alone.
#![no_main]

use libfuzzer_sys::fuzz_target;
use purser_core::api::Api;
use purser_core::record::Problem;
use purser_core::wire::response::{self, HELD_MAX, Passed, ResponseFacts, ResponseMeter};
use purser_fuzz::cut;

struct Head {
    api: Option<Api>,
    status: u16,
    content_type: &'static str,
    coding: &'static str,
    strip: bool,
    whole: bool,
}

fn read(head: &Head, pieces: &[&[u8]]) -> (ResponseFacts, Vec<u8>) {
    let Head { status, content_type, coding, .. } = *head;
    let seen = response::Head { status, content_type, content_encoding: coding };
    let mut meter = ResponseMeter::new(head.api, seen, head.strip);
    let mut out = Vec::new();
    for (piece, last) in pieces.iter().map(|piece| (*piece, false)).chain([(&b""[..], head.whole)]) {
        match meter.push(piece, last) {
            Passed::Unchanged => out.extend_from_slice(piece),
            Passed::Replaced(bytes) => out.extend(bytes),
        }
    }
    let _ = meter.output_seen();
    (meter.finish(head.whole), out)
}

fuzz_target!(|input: &[u8]| {
    let Some((choice, rest)) = input.split_first() else { return };
    let Some((api, rest)) = rest.split_first() else { return };
    let head = Head {
        // One more than there are: by shape.
        api: Api::ALL.get(usize::from(*api) % (Api::ALL.len() + 1)).copied(),
        status: if choice & 2 == 0 { 200 } else { 500 },
        content_type: ["text/event-stream", "application/json", "", "application/vnd.amazon.eventstream"]
            [usize::from(choice >> 2 & 3)],
        coding: if choice & 16 == 0 {
            ""
        } else {
            ["gzip", "deflate", "br", "zstd"][usize::from(choice >> 5 & 1 | (choice & 1) << 1)]
        },
        strip: choice & 64 != 0,
        whole: choice & 128 != 0,
    };
    let (body, pieces) = cut(rest);
    let (facts, out) = read(&head, &[body]);
    let (facts_in_pieces, out_in_pieces) = read(&head, &pieces);
    // How much of a corrupt compressed body comes out before the fault is found does depend on the pieces.
    let corrupt = |facts: &ResponseFacts| facts.problems.contains(&Problem::ResponseUnreadable);
    if head.coding.is_empty() || !corrupt(&facts) || !corrupt(&facts_in_pieces) {
        assert_eq!(facts_in_pieces, facts);
    }
    // A longer event may be let go before its end is known.
    if body.len() < HELD_MAX && head.whole {
        assert_eq!(out_in_pieces, out);
    }
    let takes_out = head.strip && head.status == 200 && head.coding.is_empty();
    if !takes_out {
        assert_eq!(out_in_pieces, body);
    } else {
        // What goes out is what came, with parts missing.
        let mut rest = body.iter();
        assert!(out.iter().all(|byte| rest.any(|other| other == byte)));
    }
    if let Some(usage) = facts.usage {
        assert!(usage.reasoning <= usage.units.output());
    }
});
