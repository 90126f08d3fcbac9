//! The class of each character, as the pattern of the vocabulary tells them apart.
//!
//! Two stages: 4,352 bytes that say which block a run of 256 characters has, then the blocks, 4 bits a character.

use regex_syntax::hir::{Class, HirKind};
use std::error::Error;

/// `Class` in `src/tables.rs`, by its numbers: the name and the characters, the first of them all that no other names.
const CLASSES: [(&str, &str); 11] = [
    ("Other", "[^a]"),
    ("Space", r"\s"),
    ("Newline", r"[\r\n]"),
    ("Number", r"\p{N}"),
    ("Upper", r"[\p{Lu}\p{Lt}]"),
    ("Lower", r"\p{Ll}"),
    ("Caseless", r"[\p{Lm}\p{Lo}]"),
    ("Mark", r"\p{M}"),
    ("Slash", "[/]"),
    ("Apostrophe", "[']"),
    ("Blank", "[ ]"),
];

const CHARACTERS: usize = 0x11_0000;
const BLOCK: usize = 256;

/// The table, and the names of the classes of ASCII characters as Rust.
pub(crate) fn table() -> Result<(Vec<u8>, String), Box<dyn Error>> {
    let mut of = vec![0u8; CHARACTERS];
    for (number, (_, pattern)) in (0..).zip(CLASSES) {
        for (first, last) in ranges(pattern)? {
            of[first..=last].fill(number);
        }
    }
    let packed: Vec<Vec<u8>> =
        of.chunks(BLOCK).map(|block| block.chunks(2).map(|two| two[0] | two[1] << 4).collect()).collect();
    let mut blocks: Vec<&Vec<u8>> = Vec::new();
    let mut table = Vec::new();
    for block in &packed {
        let known = blocks.iter().position(|other| *other == block);
        table.push(u8::try_from(known.unwrap_or(blocks.len()))?);
        if known.is_none() {
            blocks.push(block);
        }
    }
    table.extend(blocks.into_iter().flatten());
    let ascii = of[..128].iter().map(|number| format!("Class::{},", CLASSES[usize::from(*number)].0));
    Ok((table, ascii.collect()))
}

fn ranges(pattern: &str) -> Result<Vec<(usize, usize)>, Box<dyn Error>> {
    let parsed = regex_syntax::parse(pattern)?;
    match parsed.kind() {
        HirKind::Class(Class::Unicode(class)) => {
            Ok(class.ranges().iter().map(|range| (range.start() as usize, range.end() as usize)).collect())
        }
        // A class of one character.
        HirKind::Literal(literal) => {
            let code = std::str::from_utf8(&literal.0)?.chars().next().ok_or("an empty class")? as usize;
            Ok(vec![(code, code)])
        }
        _ => Err(format!("{pattern} is not a class").into()),
    }
}
