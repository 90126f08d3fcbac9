//! The JSON reader: cuts do not matter, and what `serde_json` takes it takes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use purser_fuzz::{cut, read_json};

fuzz_target!(|input: &[u8]| {
    let (body, pieces) = cut(input);
    let (told, whole) = read_json(&[body]);
    assert_eq!(read_json(&pieces), (told, whole));
    if serde_json::from_slice::<serde_json::Value>(body).is_ok() {
        assert!(whole, "valid JSON was not read to its end");
    }
});
