use super::*;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use flate2::{Compression, GzBuilder};
use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use std::io::Write;

fn inflate(coding: &str, pieces: &[&[u8]]) -> Result<Vec<u8>, InflateError> {
    let mut out = Vec::new();
    let mut inflater = Inflater::new(Coding::of(coding)).unwrap();
    for piece in pieces {
        inflater.push(piece, |bytes| out.extend_from_slice(bytes))?;
    }
    Ok(out)
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zlib(text: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn bare(text: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn br(text: &[u8]) -> Vec<u8> {
    let mut encoder = ::brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22);
    encoder.write_all(text).unwrap();
    encoder.into_inner()
}

fn zst(text: &[u8]) -> Vec<u8> {
    compress_to_vec(text, CompressionLevel::Fastest)
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// A zstd frame with a window of 2^`log` bytes, without a checksum.
fn frame(log: u8, blocks: &[Vec<u8>]) -> Vec<u8> {
    [MAGIC, &[0, (log - 10) << 3], &blocks.concat()].concat()
}

const MAGIC: &[u8] = &[0x28, 0xB5, 0x2F, 0xFD];

fn block(last: bool, kind: u32, size: usize, content: &[u8]) -> Vec<u8> {
    let head = u32::try_from(size).unwrap() << 3 | kind << 1 | u32::from(last);
    [&head.to_le_bytes()[..3], content].concat()
}

/// Bytes that do not repeat.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn every_part_of_a_gzip_head_is_passed_by() {
    let builder = GzBuilder::new().extra(vec![7; 300]).filename("name").comment("comment");
    let mut encoder = builder.write(Vec::new(), Compression::best());
    encoder.write_all(b"hello").unwrap();
    let mut bytes = encoder.finish().unwrap();
    assert_eq!(inflate("gzip", &[&bytes]).unwrap(), b"hello");
    bytes.extend(gzip(b" again"));
    assert_eq!(inflate("gzip", &[&bytes]).unwrap(), b"hello again", "members follow each other");
}

#[test]
fn every_part_of_a_zstd_frame_is_passed_by() {
    let skippable = [&[0x5A, 0x2A, 0x4D, 0x18, 3, 0, 0, 0], &b"any"[..]].concat();
    let nothing_to_skip = [0x50, 0x2A, 0x4D, 0x18, 0, 0, 0, 0].to_vec();
    let raw = frame(10, &[block(false, 0, 3, b"raw"), block(true, 0, 0, b"")]);
    let rle = frame(17, &[block(true, 1, 4, b"z")]);
    // Content sizes of one, two (from 256 on), four and eight bytes in the window's place.
    let single = |descriptor: u8, size: &[u8], length| {
        [MAGIC, &[descriptor | 0x20], size, &block(true, 1, length, b"s")].concat()
    };
    let checksum = [MAGIC, &[0x04, 0x38], &block(true, 0, 3, b"sum"), &[1, 2, 3, 4]].concat();
    let no_dictionary = [MAGIC, &[0x03, 0x38, 0, 0, 0, 0], &block(true, 0, 4, b"dict")].concat();
    let cases = [
        ("raw blocks", raw.clone(), "raw".to_owned()),
        ("a run", rle, "zzzz".into()),
        ("one byte of size", single(0, &[3], 3), "s".repeat(3)),
        ("two bytes of size", single(0x40, &[1, 0], 257), "s".repeat(257)),
        ("four bytes of size", single(0x80, &[0, 1, 0, 0], 256), "s".repeat(256)),
        ("eight bytes of size", single(0xC0, &[2, 0, 0, 0, 0, 0, 0, 0], 2), "s".repeat(2)),
        ("no content", single(0, &[0], 0), String::new()),
        ("a checksum, not looked at", [checksum, raw.clone()].concat(), "sumraw".into()),
        ("a dictionary that is none", no_dictionary, "dict".into()),
        ("what is to be skipped", [skippable, nothing_to_skip, raw].concat(), "raw".into()),
    ];
    for (case, bytes, want) in cases {
        assert_eq!(inflate("zstd", &[&bytes]).unwrap(), want.as_bytes(), "{case}");
        let pieces: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(inflate("zstd", &pieces).unwrap(), want.as_bytes(), "{case}");
    }
}

/// What the reference encoders of zstd and brotli flush after each of these, and at the end.
#[test]
fn what_the_reference_encoders_flush_comes_out_at_once() {
    let events = [&b"data: {\"delta\":\"one\"}\n\n"[..], b"data: {\"delta\":\"two\"}\n\n", b""];
    let cases = [
        (
            "zstd",
            [
                "28b52ffd0458b80000646174613a207b2264656c7461223a226f6e65227d0a0a",
                "6c00003874776f227d0a0a01008a4c20",
                "0100000630a999",
            ],
        ),
        (
            "br",
            [
                "0b0b80646174613a207b2264656c7461223a226f6e65227d0a0a",
                "b0000040c021e7173c80246d51258b30515576f16000",
                "03",
            ],
        ),
    ];
    for (coding, pieces) in cases {
        let mut inflater = Inflater::new(Coding::of(coding)).unwrap();
        for (piece, want) in pieces.iter().zip(events) {
            let mut out = Vec::new();
            inflater.push(&hex(piece), |bytes| out.extend_from_slice(bytes)).unwrap();
            assert_eq!(out, want, "{coding}");
        }
    }
}

#[test]
fn a_flushed_stream_comes_out_as_it_comes_in() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let (mut inflater, mut out, mut sent) = (Inflater::new(Coding::of("gzip")).unwrap(), Vec::new(), 0);
    for event in ["data: one\n\n", "data: two\n\n"] {
        encoder.write_all(event.as_bytes()).unwrap();
        encoder.flush().unwrap();
        let fresh = &encoder.get_ref()[sent..];
        inflater.push(fresh, |bytes| out.extend_from_slice(bytes)).unwrap();
        sent = encoder.get_ref().len();
        assert!(out.ends_with(event.as_bytes()));
    }
}

/// miniz stops where its window of 32 KiB comes round, with bytes that are read and not put out yet.
#[test]
fn what_breaks_off_at_a_window_s_end_comes_out_whole() {
    for length in [1, 5, 30] {
        let text: Vec<u8> = noise(2_000).into_iter().flat_map(|byte| vec![byte; length]).cycle().take(40_000).collect();
        let bytes = bare(&text);
        let (mut inflater, mut out) = (Inflater::new(Coding::of("deflate")).unwrap(), Vec::new());
        for (at, byte) in bytes.iter().enumerate() {
            inflater.push(&[*byte], |piece| out.extend_from_slice(piece)).unwrap();
            if (32_500..33_100).contains(&out.len()) {
                assert_eq!(inflate("deflate", &[&bytes[..=at]]).unwrap().len(), out.len(), "{length}");
            }
        }
        assert!(out == text);
    }
}

/// However much was flushed at once, all of it comes out before more is read.
#[test]
fn a_stream_that_breaks_off_came_out_as_far_as_it_was_flushed() {
    let text = noise(70_000);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    let mut br = ::brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22);
    let zstd = frame(17, &[block(false, 0, text.len(), &text)]);
    gzip.write_all(&text).and_then(|()| gzip.flush()).unwrap();
    br.write_all(&text).and_then(|()| br.flush()).unwrap();
    for (coding, bytes) in [("gzip", gzip.get_ref()), ("br", br.get_ref()), ("zstd", &zstd)] {
        assert!(inflate(coding, &[bytes]).unwrap() == text, "{coding}");
    }
}

/// The buffer of the zstd decoder is begun anew many times, and what lies a window back is still found.
#[test]
fn a_long_zstd_answer_comes_out_block_by_block() {
    let text: Vec<u8> = noise(300_000).into_iter().cycle().take(9 << 20).collect();
    // A block is 128 KiB, and what it repeats lies 300 000 bytes back.
    let bytes = zst(&text);
    let (mut inflater, mut out) = (Inflater::new(Coding::of("zstd")).unwrap(), Vec::new());
    let mut longest = 0;
    for piece in bytes.chunks(1000) {
        let before = out.len();
        inflater.push(piece, |bytes| out.extend_from_slice(bytes)).unwrap();
        longest = longest.max(out.len() - before);
    }
    assert!(out == text);
    assert!(longest <= 600 << 10, "{longest}");
}

#[test]
fn what_is_not_compressed_is_an_error() {
    let cases: [(&str, &[u8]); 14] = [
        ("gzip", b"{\"usage\":{}}"),
        ("gzip", b"\x1F\x8B\x09"),
        ("deflate", b"\x07\x07"),
        ("deflate", b"\x78\x9C\xFF\xFF"),
        ("br", b"\xFF\xFF\xFF\xFF"),
        ("br", b"{\"usage\":{}}"),
        ("zstd", b"{\"usage\":{}}"),
        ("zstd", b"\x28\xB5\x2F\xFD\x01\x38\x07"),       // needs a dictionary
        ("zstd", b"\x28\xB5\x2F\xFD\0\x38\x07\0\0"),     // a block of a kind that is none
        ("zstd", b"\x28\xB5\x2F\xFD\0\x38\xFD\xFF\xFF"), // a block that is too long
        ("zstd", b"\x28\xB5\x2F\xFD\0\x38\x05\0\0"),     // a compressed block without content
        ("zstd", b"\x28\xB5\x2F\xFD\x20\x02\x1B\0\0s"),  // more than the content's size
        ("gzip, br", b"\x0B\x02\x80hello\x03"),          // br, but in it no gzip
        ("br, gzip", b"\x0B\x02\x80hello\x03"),          // no gzip
    ];
    for (coding, bytes) in cases {
        assert_eq!(inflate(coding, &[bytes]), Err(InflateError), "{coding} {bytes:?}");
        let mut inflater = Inflater::new(Coding::of(coding)).unwrap();
        let _ = inflater.push(bytes, |_| {});
        assert_eq!(inflater.push(b"", |_| panic!("nothing comes after an error")), Err(InflateError));
    }
    assert_eq!(inflate("br", &[b"\x0B\x02\x80hello\x03"]).unwrap(), b"hello");
}

#[test]
fn windows_beyond_what_http_allows_are_refused() {
    let brotli_large = b"\x11\x1E\x00";
    assert_eq!(inflate("br", &[brotli_large]), Err(InflateError));
    let zstd = |window: u8| [MAGIC, &[0, window], &block(true, 0, 1, b"x")].concat();
    assert_eq!(inflate("zstd", &[&zstd(13 << 3)]).unwrap(), b"x", "8 MiB");
    assert_eq!(inflate("zstd", &[&zstd(13 << 3 | 1)]), Err(InflateError), "9 MiB");
    assert_eq!(inflate("zstd", &[&zstd(0xFF)]), Err(InflateError));
    let single = |size: u32| [MAGIC, &[0xA0], &size.to_le_bytes()[..], &block(true, 0, 1, b"x")].concat();
    assert_eq!(inflate("zstd", &[&single(8 << 20)]).unwrap(), b"x");
    assert_eq!(inflate("zstd", &[&single((8 << 20) + 1)]), Err(InflateError));
    let huge = [MAGIC, &[0xE0], &[0xFF; 8], &block(true, 0, 1, b"x")].concat();
    assert_eq!(inflate("zstd", &[&huge]), Err(InflateError));
}

#[test]
fn a_bomb_is_given_up() {
    let runs = |count| frame(17, &vec![block(false, 1, 128 << 10, b"\0"); count]);
    let zeros = vec![0; 4 << 20];
    let cases = [
        ("zstd", runs(129), true),
        ("zstd", runs(130), false),
        // 64 MiB, twice: what is inflated on the way counts.
        ("gzip, gzip", gzip(&gzip(&zeros.repeat(16))), false),
        ("br", br(&zeros.repeat(8)), false),
        ("br, zstd", zst(&br(&zeros)), true),
    ];
    for (coding, bytes, want) in cases {
        let mut inflater = Inflater::new(Coding::of(coding)).unwrap();
        let mut inflated = 0u64;
        let got = inflater.push(&bytes, |piece| inflated += piece.len() as u64);
        assert_eq!(got.is_ok(), want, "{coding} {}", bytes.len());
        assert!(inflated <= INFLATED_FREE + INFLATED_PER_BYTE * bytes.len() as u64);
    }
}

#[test]
fn a_coding_is_known_by_its_header() {
    let layers = |formats: &[Format]| {
        let mut layers = [None; LAYERS_MAX];
        layers.iter_mut().zip(formats).for_each(|(layer, format)| *layer = Some(*format));
        Coding::Layers(Layers(layers))
    };
    let cases = [
        ("", Coding::Identity),
        ("identity", Coding::Identity),
        ("identity, ,", Coding::Identity),
        ("GZIP", layers(&[Format::Gzip])),
        (" x-gzip ", layers(&[Format::Gzip])),
        ("deflate", layers(&[Format::Deflate])),
        ("br", layers(&[Format::Brotli])),
        ("Zstd", layers(&[Format::Zstd])),
        ("gzip,br , zstd", layers(&[Format::Gzip, Format::Brotli, Format::Zstd])),
        ("identity, gzip, identity, gzip", layers(&[Format::Gzip, Format::Gzip])),
        ("gzip, gzip, gzip, gzip", Coding::Unknown),
        ("compress", Coding::Unknown),
        ("gzip, dcb", Coding::Unknown),
    ];
    for (header, want) in cases {
        assert_eq!(Coding::of(header), want, "{header}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn it_inflates_whatever_the_cuts(
        text in proptest::collection::vec(0u8..4, 0..20_000),
        noise in proptest::collection::vec(any::<u8>(), 0..300),
        cuts in proptest::collection::vec(any::<usize>(), 0..6),
    ) {
        let text = [text, noise].concat();
        for (coding, bytes) in [
            ("gzip", gzip(&text)),
            ("deflate", zlib(&text)),
            ("deflate", bare(&text)),
            ("br", br(&text)),
            ("zstd", zst(&text)),
            ("zstd", [zst(&text[..text.len() / 2]), zst(&text[text.len() / 2..])].concat()),
            ("br, gzip", gzip(&br(&text))),
            ("deflate, zstd, br", br(&zst(&zlib(&text)))),
        ] {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            let got = inflate(coding, &pieces);
            prop_assert_eq!(got.as_ref(), Ok(&text), "{}", coding);
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), flags in any::<u8>()) {
        let _ = inflate("deflate", &[&bytes]);
        let _ = inflate("br", &[&bytes]);
        let headed = [&[0x1F, 0x8B, 8, flags, 0, 0, 0, 0, 0, 0], bytes.as_slice()].concat();
        let _ = inflate("gzip", &[&headed]);
        let _ = inflate("zstd", &[&[MAGIC, &[flags], bytes.as_slice()].concat()]);
        let _ = inflate("zstd", &[&frame(17, &[block(flags & 1 == 0, 2, bytes.len(), &bytes)])]);
    }

    /// Damage anywhere is an error, or other bytes; never a panic.
    #[test]
    fn damaged_bytes_make_it_not_panic(
        text in proptest::collection::vec(0u8..9, 100..2_000),
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..4),
    ) {
        for (coding, mut bytes) in [("gzip", gzip(&text)), ("br", br(&text)), ("zstd", zst(&text))] {
            for (at, byte) in &changes {
                let at = at % bytes.len();
                bytes[at] = *byte;
            }
            let _ = inflate(coding, &[&bytes]);
        }
    }
}
