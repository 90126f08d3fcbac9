use super::*;
use proptest::prelude::*;

/// What a decoder told; of each message its head, its payload, and whether it was intact.
#[derive(Debug, Default, PartialEq, Eq)]
struct Gather {
    messages: Vec<(Head, Vec<u8>, Option<bool>)>,
    /// Where in the stream messages ended.
    ends: Vec<usize>,
    base: usize,
}

impl Sink for Gather {
    fn begin(&mut self, head: &Head) {
        self.messages.push((head.clone(), Vec::new(), None));
    }
    fn data(&mut self, piece: &[u8]) {
        assert!(!piece.is_empty());
        self.messages.last_mut().unwrap().1.extend_from_slice(piece);
    }
    fn end(&mut self, at: usize, intact: bool) {
        self.messages.last_mut().unwrap().2 = Some(intact);
        self.ends.push(self.base + at);
    }
}

fn decode(pieces: &[&[u8]]) -> (Gather, Option<EventStreamError>, bool) {
    let (mut decoder, mut gather) = (Decoder::default(), Gather::default());
    for piece in pieces {
        decoder.push(piece, &mut gather);
        gather.base += piece.len();
    }
    gather.base = 0;
    (gather, decoder.error(), decoder.is_complete())
}

fn header(name: &str, kind: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(name.len()).unwrap()];
    bytes.extend(name.bytes());
    bytes.push(kind);
    if matches!(kind, 6 | 7) {
        bytes.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
    }
    bytes.extend(value);
    bytes
}

fn framed(total: u32, headers_length: u32, rest: &[u8]) -> Vec<u8> {
    let mut bytes = [total.to_be_bytes(), headers_length.to_be_bytes()].concat();
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    bytes.extend(rest);
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    bytes
}

fn message(headers: &[Vec<u8>], payload: &[u8]) -> Vec<u8> {
    let headers = headers.concat();
    let total = u32::try_from(headers.len() + payload.len()).unwrap() + 16;
    framed(total, u32::try_from(headers.len()).unwrap(), &[&headers, payload].concat())
}

fn string(name: &str, value: &str) -> Vec<u8> {
    header(name, 7, value.as_bytes())
}

fn head(message_type: &str, event_type: &str, exception_type: &str, content_type: &str) -> Head {
    let [message_type, event_type, exception_type, content_type] =
        [message_type, event_type, exception_type, content_type].map(str::to_owned);
    Head { message_type, event_type, exception_type, content_type }
}

#[test]
fn headers_say_what_a_message_is_and_others_are_passed_over() {
    let others = [
        header("t", 0, b""),
        header("f", 1, b""),
        header("byte", 2, b"\x01"),
        header("short", 3, b"\x01\x02"),
        header("integer", 4, &[1; 4]),
        header("long", 5, &[2; 8]),
        header("bytes", 6, &[3; 300]),
        header("string", 7, b"text"),
        header("timestamp", 8, &[4; 8]),
        header("uuid", 9, &[5; 16]),
        header("", 7, b""),
        header(&"long".repeat(60), 0, b""),
    ];
    let event =
        [string(":event-type", "chunk"), string(":content-type", "application/json"), string(":message-type", "event")];
    let exception = [string(":exception-type", "throttlingException"), string(":message-type", "exception")];
    let json = head("event", "chunk", "", "application/json");
    let cases: Vec<(&str, Vec<Vec<u8>>, Head)> = vec![
        ("no header", vec![], Head::default()),
        ("an event", event.to_vec(), json.clone()),
        ("between all kinds", [&others[..6], &event, &others[6..]].concat(), json),
        ("an exception", exception.to_vec(), head("exception", "", "throttlingException", "")),
        ("a name that goes on", vec![string(":event-type2", "x"), string(":exception-types", "x")], Head::default()),
        ("one that is no string", vec![header(":event-type", 6, b"chunk")], Head::default()),
        ("the last counts", vec![string(":event-type", "a"), string(":event-type", "b")], head("", "b", "", "")),
        ("a long value is cut", vec![string(":event-type", &"x".repeat(70))], head("", &"x".repeat(64), "", "")),
    ];
    for (case, headers, want) in cases {
        for payload in [&b""[..], b"{}"] {
            let bytes = message(&headers, payload);
            let (told, error, complete) = decode(&[&bytes]);
            assert_eq!(told.messages, [(want.clone(), payload.to_vec(), Some(true))], "{case}");
            assert_eq!((told.ends, error, complete), (vec![bytes.len()], None, true), "{case}");
        }
    }
}

#[test]
fn messages_follow_each_other_and_keep_nothing_of_the_last() {
    let first = message(&[string(":event-type", "a")], b"one");
    let second = message(&[string(":message-type", "event")], b"two");
    let (told, error, complete) = decode(&[&first, &second]);
    let want = [(head("", "a", "", ""), b"one".to_vec()), (head("event", "", "", ""), b"two".to_vec())];
    assert_eq!(told.messages, want.map(|(head, payload)| (head, payload, Some(true))));
    assert_eq!((error, complete), (None, true));
}

#[test]
fn what_cannot_be_a_message_ends_the_reading() {
    let mut wrong_sum = message(&[], b"x");
    wrong_sum[11] ^= 1;
    let lengths = |total, headers| EventStreamError::Lengths { total, headers };
    let short =
        |bytes: &[u8]| framed(16 + u32::try_from(bytes.len()).unwrap(), u32::try_from(bytes.len()).unwrap(), bytes);
    let cases = [
        ("a prelude that was changed", wrong_sum, EventStreamError::PreludeSum),
        ("text", b"{\"message\":\"x\"}".to_vec(), EventStreamError::PreludeSum),
        ("no room for the sums", framed(15, 0, b""), lengths(15, 0)),
        ("headers beyond the message", framed(20, 5, b""), lengths(20, 5)),
        ("headers that overflow", framed(20, u32::MAX, b""), lengths(20, u32::MAX)),
        (
            "too many headers",
            framed(HEADERS_MAX + 17, HEADERS_MAX + 1, b""),
            lengths(HEADERS_MAX + 17, HEADERS_MAX + 1),
        ),
        ("too long a payload", framed(PAYLOAD_MAX + 17, 0, b""), lengths(PAYLOAD_MAX + 17, 0)),
        ("a kind that is none", message(&[header("x", 10, b"")], b""), EventStreamError::Kind(10)),
        ("a name that is cut", short(b"\x05name"), EventStreamError::HeaderLength),
        ("a name alone", short(b"\x04name"), EventStreamError::HeaderLength),
        ("a length that is cut", short(b"\x01n\x07\0"), EventStreamError::HeaderLength),
        ("a length alone", short(b"\x01n\x07\0\x01"), EventStreamError::HeaderLength),
        ("a value that is cut", short(b"\x01n\x04\0\0\0"), EventStreamError::HeaderLength),
        ("an empty name alone", short(b"\0"), EventStreamError::HeaderLength),
    ];
    for (case, bytes, want) in cases {
        let good = message(&[string(":event-type", "a")], b"good");
        let (told, error, complete) = decode(&[&good, &bytes, &good]);
        assert_eq!((told.ends.len(), error, complete), (1, Some(want), false), "{case}");
    }
}

#[test]
fn the_largest_message_passes_without_being_kept() {
    let total = HEADERS_MAX + PAYLOAD_MAX + 16;
    let prelude = framed(total, HEADERS_MAX, b"");
    let (mut decoder, mut count) = (Decoder::default(), Count::default());
    decoder.push(&prelude[..12], &mut count);
    // Headers of 32 KiB each.
    let header = header("x", 6, &[0; (32 << 10) - 5]);
    (0..4).for_each(|_| decoder.push(&header, &mut count));
    (0..24).for_each(|_| decoder.push(&vec![7; 1 << 20], &mut count));
    assert_eq!((count.bytes, count.ends, decoder.error()), (24 << 20, 0, None));
    assert!(decoder.name.capacity() <= 2 * NAME_MAX && decoder.value.capacity() <= 2 * VALUE_MAX);
    decoder.push(&[0; 4], &mut count);
    assert_eq!((count.ends, decoder.is_complete()), (1, true), "its checksum is wrong, its end is not");
}

#[derive(Default)]
struct Count {
    bytes: usize,
    ends: usize,
}

impl Sink for Count {
    fn begin(&mut self, _: &Head) {}
    fn data(&mut self, piece: &[u8]) {
        self.bytes += piece.len();
    }
    fn end(&mut self, _: usize, _: bool) {
        self.ends += 1;
    }
}

fn messages() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof![
        Just(":event-type".to_owned()),
        Just(":message-type".to_owned()),
        Just(":content-type".to_owned()),
        Just(":exception-type".to_owned()),
        "[a-z:-]{0,20}",
    ];
    let header = (name, 0u8..10, proptest::collection::vec(any::<u8>(), 0..90)).prop_map(|(name, kind, mut value)| {
        let fixed = [0, 0, 1, 2, 4, 8, value.len(), value.len(), 8, 16][usize::from(kind)];
        value.resize(fixed, 0);
        header(&name, kind, &value)
    });
    let one = (proptest::collection::vec(header, 0..4), proptest::collection::vec(any::<u8>(), 0..80));
    let one = one.prop_map(|(headers, payload)| message(&headers, &payload));
    proptest::collection::vec(one, 0..4).prop_map(|all| all.concat())
}

fn cut<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

proptest! {
    /// However the network cuts a stream, the decoder yields the same messages.
    #[test]
    fn messages_do_not_depend_on_chunking(
        stream in messages(),
        cuts in proptest::collection::vec(any::<usize>(), 0..8),
    ) {
        let whole = decode(&[&stream]);
        prop_assert_eq!((whole.1, whole.2), (None, true));
        prop_assert!(whole.0.messages.iter().all(|(_, _, intact)| *intact == Some(true)));
        prop_assert_eq!(decode(&cut(&stream, &cuts)), whole);
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        prop_assert_eq!(decode(&bytes), decode(&[&stream]));
    }

    /// A stream with one bit changed is never taken for intact.
    #[test]
    fn a_flipped_bit_is_found(stream in messages(), at in any::<usize>(), bit in 0u8..8) {
        prop_assume!(!stream.is_empty());
        let mut stream = stream;
        let at = at % stream.len();
        stream[at] ^= 1 << bit;
        let (told, error, _) = decode(&[&stream]);
        prop_assert!(error.is_some() || told.messages.iter().any(|(_, _, intact)| *intact == Some(false)));
    }

    #[test]
    fn no_bytes_make_it_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..120),
        headers in 0u32..120,
        cuts in proptest::collection::vec(any::<usize>(), 0..4),
    ) {
        prop_assert_eq!(decode(&cut(&bytes, &cuts)), decode(&[&bytes]));
        let framed = framed(u32::try_from(bytes.len()).unwrap() + 16, headers, &bytes);
        prop_assert_eq!(decode(&cut(&framed, &cuts)), decode(&[&framed]));
    }
}
