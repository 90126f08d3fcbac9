//! The counter against tiktoken's own encoder of the same vocabulary.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use proptest::prelude::*;
use purser_vocabulary::{Counter, Counts};
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use tiktoken_rs::CoreBPE;

static ENCODER: LazyLock<CoreBPE> = LazyLock::new(|| tiktoken_rs::o200k_base().unwrap());

/// What tiktoken says.
fn counted(text: &str) -> Counts {
    let mut counts = Counts::default();
    for token in ENCODER.encode_ordinary(text) {
        let is_ascii = ENCODER.decode_bytes(&[token]).unwrap().is_ascii();
        *(if is_ascii { &mut counts.ascii } else { &mut counts.other }) += 1;
    }
    counts.digits = text.bytes().filter(u8::is_ascii_digit).count() as u64;
    counts
}

/// What the counter says of a text in pieces of these lengths, again and again.
fn in_pieces(text: &[u8], lengths: &[usize]) -> Counts {
    let mut counter = Counter::default();
    let (mut rest, mut lengths) = (text, lengths.iter().cycle());
    while !rest.is_empty() {
        let length = (*lengths.next().unwrap()).clamp(1, rest.len());
        counter.push(&rest[..length]);
        rest = &rest[length..];
    }
    counter.end();
    counter.counts()
}

fn whole(text: &[u8]) -> Counts {
    in_pieces(text, &[usize::MAX])
}

fn shown(text: &str) -> String {
    text.chars().take(200).collect()
}

fn assert_counted(text: &str) {
    let want = counted(text);
    assert_eq!(whole(text.as_bytes()), want, "{:?}", shown(text));
    for length in [1, 2, 3, 7, 64] {
        assert_eq!(in_pieces(text.as_bytes(), &[length]), want, "{:?} in pieces of {length}", shown(text));
    }
}

#[test]
fn texts_count_as_tiktoken_counts_them() {
    let texts = [
        // contractions
        "don't I'm you're we've he'd she'll it's",
        "DON'T I'M YOU'RE WE'VE HE'D SHE'LL IT'S",
        "don'T you'Re you'rE 'tis ''s x''s x's's x'sx x'rx x'r x'v x'l x'lL x'LL",
        "x'\u{17F} x'\u{17F}y 'ſ \u{17F}'s X'ſ",
        "o'clock rock'n'roll 'quoted' 'r 'l 've 's",
        "naïve's 日本's ABC'S ABC's x'",
        "x'r",
        "x'L",
        "x'v",
        "'",
        "x''",
        "日A's",
        "A日A'd",
        // case
        "camelCase PascalCase SCREAMING_CASE HTTPServer iPhone eBay aB Ab ABc ABcD ǅ ǅa aǅ Aǅa",
        "日本ABC 日本ABCd ABC日本 ABC日本DEF aʰB Aʰ AʰB AʰBc ªº",
        "ÄÖÜ äöü Straße ŒUVRE Ññ",
        // white space
        "",
        " ",
        "  ",
        "   ",
        "\t",
        "\n",
        "\r\n",
        " \n",
        "\n ",
        "a ",
        "a  ",
        " a",
        "  a",
        "\ta",
        "\t\ta",
        " \ta",
        "\t a",
        "a\u{A0}b a\u{A0}\u{A0}b \u{3000}日 \u{3000}\u{3000}日 \u{2028}x \u{85}y \u{B}z \u{C}!",
        "  \n  \n  x",
        "  \n\n\n  !",
        "x \n y",
        "x\n\n\ny",
        "\r\r\n\n x",
        "  \r\n\t\tif (x) {\r\n\t\t}\r\n",
        "x   \n",
        "x \n  ",
        "\n\n  1",
        "  1",
        " 1",
        "\t1",
        "\t!",
        " !",
        "  !",
        "   !!",
        "\u{A0}!",
        "\n!",
        "\n/",
        // digits
        "1",
        "12",
        "123",
        "1234",
        "1234567",
        "3.14159",
        "1,000,000",
        "١٢٣٤٥",
        "１２３４",
        "½⅓Ⅷ²",
        "a1b2c3",
        "0x1F 1e-9",
        "2026-11-24T20:26:28Z",
        "+1 (555) 010-9999",
        // punctuation
        "!",
        "!!",
        "!!!x",
        "!x",
        "!1",
        "! x",
        "(a)",
        "((a))",
        "/a/b/c",
        "https://example.com/a/b?c=d&e=f#g",
        "--x",
        "a--b",
        "!\n",
        "!\n\n",
        "!\r\n/",
        "!\n/!",
        "!\n/\n/x",
        "/\n/",
        "//\n//\n",
        "{\n}\n",
        "};\n\n",
        "...\r\n\r\n  x",
        " !\n",
        " /\n/ x",
        "\0\u{1}\u{7F}",
        "€100 £5 ©®™ ±×÷",
        // marks and scripts
        "e\u{301}",
        "\u{301}",
        "\u{301}\u{301}",
        "\u{301}A",
        "\u{301}AB",
        "\u{301}Ab",
        "!\u{301}",
        "!!\u{301}",
        " \u{301}",
        "  \u{301}x",
        "1\u{301}",
        "A\u{301}B",
        "A\u{301}BC d",
        "\n\u{301}",
        "!\u{301}!\u{301}",
        " !\u{301}x",
        "x\u{20E3}",
        "नमस्ते दुनिया",
        "สวัสดีชาวโลก",
        "안녕하세요 세계",
        "こんにちは、世界。",
        "你好，世界！",
        "שלום עולם",
        "مرحبا بالعالم",
        "Привет, мир! ПРИВЕТ",
        "Γειά σου Κόσμε",
        "ᏣᎳᎩ ꭰꭱ",
        "བོད་ཡིག",
        "𐐀𐐨𐐀",
        "ǆ ß ŉ",
        "事務長保管船上的錢，清點船上的每一枚硬幣，從早到晚，從不出錯。",
        // emoji
        "😀",
        "👩‍👩‍👧‍👦",
        "🇩🇪🇫🇷",
        "👍🏽👍",
        "☃️",
        "a😀b 😀 😀😀",
        "1️⃣",
        // code
        "fn main() {\n    println!(\"{}\", 1 + 2);\n}\n",
        "for(int i=0;i<10;++i){a[i]*=2;}//done",
        "x = {'a': [1, 2], \"b\": None}",
        "<div class=\"a\">\n\t<p>text</p>\n</div>",
        "SELECT * FROM t WHERE id='x' AND n>=10;",
        "\\n\\t\\u00e9",
        "a_b__c",
        "<|endoftext|><|im_start|>system<|im_sep|>",
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ",
        // not assigned, private, and the ends of planes
        "\u{378}\u{E000}\u{FFFF}\u{10FFFF}\u{FFFD}\u{FEFF}x",
    ];
    texts.into_iter().for_each(assert_counted);
    // As a number too, for tests that have no tiktoken.
    assert_eq!(counted("The quick brown fox jumps over the lazy dog. 日本語 12345\n").tokens(), 16);
}

#[test]
fn every_token_counts_as_one_or_as_the_pattern_cuts_it() {
    let mut texts = 0;
    for id in 0..199_998 {
        let Ok(text) = String::from_utf8(ENCODER.decode_bytes(&[id]).unwrap()) else { continue };
        texts += 1;
        assert_eq!(whole(text.as_bytes()).tokens(), ENCODER.encode_ordinary(&text).len() as u64, "{text:?}");
    }
    assert!(texts > 190_000, "{texts}");
}

#[test]
fn every_character_is_of_the_class_that_the_pattern_has_it_in() {
    for code in 0..=0x10_FFFF {
        let Some(character) = char::from_u32(code) else { continue };
        // Beside one of each kind.
        let text = format!("a{character}a!{character}1{character}{character} {character}\n");
        assert_eq!(whole(text.as_bytes()).tokens(), ENCODER.encode_ordinary(&text).len() as u64, "U+{code:04X}");
    }
}

#[test]
fn long_runs_count_as_tiktoken_counts_them() {
    let units = [
        "a",
        "A",
        "z",
        "ab",
        "aab",
        "abab ",
        "the",
        "ing",
        "é",
        "日",
        "日本",
        "ab日",
        " ",
        "\t",
        "\n",
        " \n",
        "\r\n",
        "  \n",
        "!",
        "=",
        "-=",
        "1",
        "12a",
        "\u{301}",
        "e\u{301}",
        "👩‍👩‍👧‍👦",
        "\u{3000}",
        "\u{A0}",
        "xX",
        "ABc",
        "日A",
        "aaaaaaab",
        "0a",
        "\0",
        "/",
        "!\n",
        "🇩🇪",
        "ा",
        "한",
        "ก",
    ];
    for unit in units {
        for times in [100, 511, 4_096, 5_000, 20_000] {
            let text = unit.repeat(times);
            for text in
                [text.clone(), format!("{text}x"), format!("x{text}X"), format!(" {text} 1"), format!("日{text}!")]
            {
                let want = counted(&text);
                assert_eq!(whole(text.as_bytes()), want, "{unit:?} × {times}");
                assert_eq!(in_pieces(text.as_bytes(), &[1, 1_000, 7, 4_099]), want, "{unit:?} × {times} in pieces");
            }
        }
    }
}

/// The only texts that a window changes: the pattern would look ahead over more than 4 KB.
#[test]
fn looking_ahead_over_four_kilobytes_costs_a_token_or_two() {
    let cases = [
        ("spaces between newlines", format!("\n{}\n", " ".repeat(5_000))),
        ("capitals between others", format!("日{}a", "A".repeat(5_000))),
        ("many such", format!("\n{}", " ".repeat(6_000)).repeat(20) + "\n"),
    ];
    for (case, text) in cases {
        let (got, want) = (whole(text.as_bytes()).tokens(), counted(&text).tokens());
        assert_eq!(in_pieces(text.as_bytes(), &[1, 4_000, 17]).tokens(), got, "{case}");
        assert!(got >= want && (got - want) * 2_000 <= text.len() as u64, "{case}: {got}, counted {want}");
    }
}

#[test]
fn a_second_text_does_not_go_on_with_the_first() {
    let mut counter = Counter::default();
    for text in ["hello wor", "ld", "  ", "x", "caf\u{c3}", "1", "2"] {
        counter.push(text.as_bytes());
        counter.end();
        counter.end();
    }
    let apart = ["hello wor", "ld", "  ", "x", "caf\u{c3}", "1", "2"].map(|text| counted(text).tokens());
    assert_eq!(counter.tokens(), apart.iter().sum::<u64>());
}

#[test]
fn bytes_that_are_no_text_count_as_replaced() {
    let cases: [&[u8]; 9] = [
        b"\xFF",
        b"a\x80b",
        b"\xC3",
        b"\xC3(",
        b"\xE6\x97x\xE6",
        b"\xED\xA0\x80\xED\xB0\x80",
        b"\xF0\x9F\x98\xF0\x9F\x98\x80",
        b"\xF5\x80\x80\x80\xF4\x90\x80\x80",
        b"\xC0\xAF\xE0\x80\xAF",
    ];
    for bytes in cases {
        let want = counted(&String::from_utf8_lossy(bytes));
        for length in [1, 2, 3, usize::MAX] {
            assert_eq!(in_pieces(bytes, &[length]), want, "{bytes:?} in pieces of {length}");
        }
    }
}

/// A pseudo-random number for each index.
fn scrambled(index: u64) -> u64 {
    let mixed = (index ^ (index >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB) >> 20
}

/// The bound is loose for slow machines and builds with checks: what grows with the square takes minutes.
#[test]
fn a_megabyte_of_anything_is_counted_in_linear_time() {
    const SIZE: usize = 1 << 20;
    let of = |make: fn(u64) -> u8| (0..SIZE as u64).map(make).collect::<Vec<u8>>();
    let han = |index: u64| char::from_u32(0x4E00 + (scrambled(index) % 0x5000) as u32).unwrap();
    let cases = [
        ("spaces", vec![b' '; SIZE]),
        ("spaces, then x", [vec![b' '; SIZE], b"x".to_vec()].concat()),
        ("newlines", vec![b'\n'; SIZE]),
        ("newlines and spaces", b"\n ".repeat(SIZE / 2)),
        ("a newline and spaces", [b"\n".to_vec(), vec![b' '; SIZE]].concat()),
        ("one letter", vec![b'a'; SIZE]),
        ("one capital", vec![b'A'; SIZE]),
        ("capitals after a letter without case", ["日".as_bytes().to_vec(), vec![b'A'; SIZE]].concat()),
        ("digits", vec![b'7'; SIZE]),
        ("punctuation", vec![b'!'; SIZE]),
        ("apostrophes", b"'".repeat(SIZE)),
        ("one Han character", "日".repeat(SIZE / 3).into_bytes()),
        ("random Han", (0..SIZE as u64 / 3).map(han).collect::<String>().into_bytes()),
        ("combining marks", "\u{301}".repeat(SIZE / 2).into_bytes()),
        ("random letters", of(|index| b'a' + (scrambled(index) % 26) as u8)),
        ("two random letters", of(|index| b'a' + (scrambled(index) % 2) as u8)),
        ("random bytes", of(|index| scrambled(index) as u8)),
        ("continuation bytes", vec![0x80; SIZE]),
        ("beginnings of characters", vec![0xF0; SIZE]),
        ("random spaces", of(|index| b" \t\n\r"[(scrambled(index) % 4) as usize])),
    ];
    for (case, text) in cases {
        let start = Instant::now();
        let all = whole(&text);
        let took = start.elapsed();
        println!("{case:<40} {:>8} tokens in {took:?}", all.tokens());
        assert!(took < Duration::from_secs(5), "{case}: {took:?}");
        assert!(all.tokens() > 0, "{case}");
        // One byte after the other, and the same count.
        let start = Instant::now();
        assert_eq!(in_pieces(&text, &[1]), all, "{case}, byte by byte");
        assert!(start.elapsed() < Duration::from_secs(10), "{case}, byte by byte: {:?}", start.elapsed());
    }
}

fn corpus() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    let folder = std::env::var_os("PURSER_CORPUS").map_or(beside, PathBuf::from);
    folder.is_dir().then_some(folder)
}

/// All strings in a value, names too.
fn strings(value: &serde_json::Value, out: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) => out.push(text.clone()),
        serde_json::Value::Array(items) => items.iter().for_each(|item| strings(item, out)),
        serde_json::Value::Object(members) => members.iter().for_each(|(name, value)| {
            out.push(name.clone());
            strings(value, out);
        }),
        _ => {}
    }
}

/// Recorded traffic of providers, as `core/tests/corpus.rs` finds it: the strings in requests and answers, and the
/// bodies themselves.
#[test]
fn recorded_texts_count_as_tiktoken_counts_them() {
    let Some(folder) = corpus() else {
        println!("corpus absent, skipped: set PURSER_CORPUS to its folder");
        return;
    };
    let mut texts = Vec::new();
    for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if file.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        for line in std::fs::read_to_string(file).unwrap().lines() {
            let pair: serde_json::Value = serde_json::from_str(line).unwrap();
            for body in ["request_body", "response_body"].into_iter().filter_map(|name| pair[name].as_str()) {
                texts.push(body.to_owned());
                let data = body.lines().map(|line| line.strip_prefix("data:").unwrap_or(line));
                let trees = std::iter::once(body).chain(data).filter_map(|text| serde_json::from_str(text).ok());
                trees.for_each(|tree| strings(&tree, &mut texts));
            }
        }
    }
    texts.sort_unstable();
    texts.dedup();
    let bytes: usize = texts.iter().map(String::len).sum();
    println!("{} texts, {bytes} bytes", texts.len());
    for text in &texts {
        let want = counted(text);
        assert_eq!(whole(text.as_bytes()), want, "{:?}", shown(text));
        assert_eq!(in_pieces(text.as_bytes(), &[1, 5, 64, 3]), want, "{:?} in pieces", shown(text));
    }
    assert!(texts.len() > 100, "the folder holds no recordings");
}

/// Text of everything that the pattern tells apart, in runs.
fn mixed() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => "[a-z]{1,8}",
        2 => "[A-Z]{1,4}",
        2 => "[A-Za-z]{1,8}",
        3 => " {1,3}",
        1 => "[ \t\n\r\u{A0}\u{3000}]{1,5}",
        1 => "\n{1,3}",
        1 => "[0-9]{1,7}",
        1 => "[!-/:-@/'\"(){}]{1,4}",
        1 => "'(s|t|re|ve|m|ll|d|S|RE|r|l|v|ſ)",
        1 => "[日本語字世界的是]{1,6}",
        1 => "[ぁ-ん]{1,6}",
        1 => "[가-힣]{1,4}",
        1 => "[а-яА-Я]{1,6}",
        1 => "[\u{300}-\u{304}\u{940}\u{e31}]{1,2}",
        1 => "[ʰªǅǄƻ]{1,2}",
        1 => "[😀👍🏽\u{200D}\u{FE0F}]{1,3}",
        1 => "\\PC{1,4}",
        1 => any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_in_any_pieces_counts_as_tiktoken_counts_it(
        text in mixed(),
        lengths in proptest::collection::vec(1usize..20, 1..8),
    ) {
        let want = counted(&text);
        prop_assert_eq!(whole(text.as_bytes()), want);
        prop_assert_eq!(in_pieces(text.as_bytes(), &lengths), want);
    }

    #[test]
    fn any_bytes_count_as_their_replacement(
        bytes in proptest::collection::vec(any::<u8>(), 0..60),
        lengths in proptest::collection::vec(1usize..5, 1..8),
    ) {
        let want = counted(&String::from_utf8_lossy(&bytes));
        prop_assert_eq!(whole(&bytes), want);
        prop_assert_eq!(in_pieces(&bytes, &lengths), want);
    }

    /// Long parts, which go through the window.
    #[test]
    fn long_parts_count_as_tiktoken_counts_them(
        units in proptest::collection::vec(prop_oneof!["[a-c]{1,3}", "[a-z]{1,6}", "[日本語]{1,3}", "[ab]{1,9}"], 1..5),
        picks in proptest::collection::vec(any::<prop::sample::Index>(), 600..6_000),
        lengths in proptest::collection::vec(1usize..5_000, 1..8),
    ) {
        let text: String = picks.iter().map(|pick| pick.get(&units).as_str()).collect();
        let want = counted(&text);
        prop_assert_eq!(whole(text.as_bytes()), want);
        prop_assert_eq!(in_pieces(text.as_bytes(), &lengths), want);
    }
}
