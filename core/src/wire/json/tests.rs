use super::*;
use proptest::prelude::*;

/// Writes down everything that it is told.
#[derive(Default)]
struct Scribe {
    log: Vec<String>,
    text: Vec<u8>,
}

impl Visitor for Scribe {
    fn enter(&mut self, path: &[Key], object: bool, at: usize) {
        self.log.push(format!("enter {path:?} {object} {at}"));
    }
    fn leave(&mut self, path: &[Key], object: bool, span: Span) {
        self.log.push(format!("leave {path:?} {object} {span:?}"));
    }
    fn key(&mut self, path: &[Key], name: &[u8]) {
        self.log.push(format!("key {path:?} {}", String::from_utf8_lossy(name)));
    }
    fn wants(&mut self, _: &[Key]) -> bool {
        self.text.clear();
        true
    }
    fn text(&mut self, _: &[Key], piece: &[u8]) {
        self.text.extend_from_slice(piece);
    }
    fn text_end(&mut self, path: &[Key], span: Span) {
        self.log.push(format!("text {path:?} {} {span:?}", String::from_utf8_lossy(&self.text)));
    }
    fn scalar(&mut self, path: &[Key], raw: &[u8], span: Span) {
        self.log.push(format!("scalar {path:?} {} {span:?}", String::from_utf8_lossy(raw)));
    }
}

fn read(bytes: &[u8], cuts: &[usize]) -> (Vec<String>, bool) {
    let (mut reader, mut scribe) = (Reader::default(), Scribe::default());
    let mut from = 0;
    for cut in cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect::<std::collections::BTreeSet<_>>() {
        reader.push(&bytes[from..cut], &mut scribe);
        from = cut;
    }
    reader.push(&bytes[from..], &mut scribe);
    reader.finish(&mut scribe);
    (scribe.log, reader.is_complete())
}

#[test]
fn what_is_json_is_complete_and_what_is_not_is_not() {
    let cases = [
        ("{}", true),
        (" [1, -0.5e+3, true, null, \"\"] \n", true),
        ("5", true),
        (r#"{"a":{"b":[{}]}}"#, true),
        (r#"{"a":1"#, false),
        ("{\"a\" 1}", false),
        ("{a:1}", false),
        ("[1,]", false),
        ("{\"a\":1,}", false),
        ("[1}", false),
        ("01", false),
        ("1.", false),
        ("+1", false),
        ("nul", false),
        ("tru e", false),
        ("{} {}", false),
        (r#""\x""#, false),
        (r#""\u12G4""#, false),
        ("", false),
    ];
    for (text, want) in cases {
        assert_eq!(read(text.as_bytes(), &[]).1, want, "{text}");
    }
}

#[test]
fn names_and_texts_are_decoded() {
    let (log, complete) = read(r#"{"mod\u0065l":"a\n\ud83d\ude00\ud83dz"}"#.as_bytes(), &[]);
    assert!(complete);
    assert_eq!(log[1], "key [Model] model");
    assert!(log[2].starts_with("text [Model] a\n😀\u{FFFD}z "), "{}", log[2]);
}

#[test]
fn a_depth_bomb_is_skipped_and_what_follows_is_read() {
    let deep = 100_000;
    let bomb = format!("{{\"a\":{}\"]\\\"\",5{},\"model\":\"m\"}}", "[".repeat(deep), "]".repeat(deep));
    let (log, complete) = read(bomb.as_bytes(), &[7, 300, 50_000, 100_007]);
    assert!(complete);
    assert!(log.iter().any(|line| line.starts_with("text [Model] m ")), "{}", log.len());
    assert!(log.iter().any(|line| line.contains("] ]\" Span")), "deep strings are told");
    let (mut reader, mut scribe) = (Reader::default(), Scribe::default());
    reader.push("[".repeat(deep).as_bytes(), &mut scribe);
    assert_eq!((reader.error(), reader.is_complete(), scribe.log.len()), (None, false, DEPTH_MAX));
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "\\PC*".prop_map(Into::into),
        Just("line\nquote\" back\\ \u{1F600}".into()),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        let name = prop_oneof![Just("model".to_owned()), Just("usage".to_owned()), "[a-z\"é]{0,8}"];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            proptest::collection::hash_map(name, inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn chunking_never_changes_what_is_seen(value in json(), cuts in proptest::collection::vec(any::<usize>(), 0..20)) {
        let text = value.to_string();
        let whole = read(text.as_bytes(), &[]);
        prop_assert!(whole.1, "{}", text);
        prop_assert_eq!(read(text.as_bytes(), &cuts), whole);
    }

    /// Whatever bytes come, it agrees with serde_json on what is one whole value (but for what only strictness
    /// about characters in strings tells apart).
    #[test]
    fn agrees_with_serde_json(text in "[\\[\\]{},:\"0-9a-ftrue.eE+ n\\-]{0,12}") {
        let strict = serde_json::from_str::<serde_json::Value>(&text);
        let ours = read(text.as_bytes(), &[]).1;
        let out_of_range = strict.as_ref().is_err_and(|e| e.to_string().contains("out of range"));
        prop_assert!(strict.is_ok() == ours || out_of_range, "{:?} {}", strict, text);
    }
}
