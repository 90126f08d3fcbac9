//! Which two tokens make a third, and of which two a token was made.
//!
//! Every token of two or more bytes can be made in one way only: byte pair encoding of its own bytes, with the merges
//! learnt before it, ends with two parts. Both facts are checked here; without them the tables would not be enough.

use crate::ID_BITS;
use std::collections::HashMap;
use std::error::Error;

/// Slots of the pair table before the last entries' overflow; a token more than half of them full.
const HOMES: usize = 1 << ID_BITS;
/// An entry lies at most so many slots after its home: 4 bits of it say how many.
const FARTHEST: usize = 15;

/// Left and right part of each token; of a byte, itself twice.
pub(crate) fn splits(tokens: &[Vec<u8>]) -> Result<Vec<(u32, u32)>, Box<dyn Error>> {
    let mut ranks: HashMap<&[u8], u32> = HashMap::new();
    let mut splits = Vec::new();
    for (id, token) in (0u32..).zip(tokens) {
        let split = match parts(token, &ranks).as_slice() {
            [] => return Err(format!("token {id} is empty").into()),
            [_] if token.len() == 1 => (id, id),
            [middle, _] => (ranks[&token[..*middle]], ranks[&token[*middle..]]),
            more => return Err(format!("token {id} is made of {} parts", more.len()).into()),
        };
        splits.push(split);
        if ranks.insert(token, id).is_some() {
            return Err(format!("token {id} is there twice").into());
        }
    }
    Ok(splits)
}

/// Where the parts of `token` end that byte pair encoding makes of it.
fn parts(token: &[u8], ranks: &HashMap<&[u8], u32>) -> Vec<usize> {
    let mut ends: Vec<usize> = (1..=token.len()).collect();
    loop {
        let start = |part: usize| if part == 0 { 0 } else { ends[part - 1] };
        let pairs = (0..ends.len().saturating_sub(1)).filter_map(|part| {
            let merged = &token[start(part)..ends[part + 1]];
            ranks.get(merged).map(|rank| (*rank, part))
        });
        let Some((_, part)) = pairs.min() else { return ends };
        ends.remove(part);
    }
}

pub(crate) fn bytes_of_splits(splits: &[(u32, u32)]) -> Vec<u8> {
    let value = |(left, right): &(u32, u32)| u64::from(*left) << ID_BITS | u64::from(*right);
    splits.iter().flat_map(|split| five(value(split))).collect()
}

fn five(value: u64) -> [u8; 5] {
    let [a, b, c, d, e, ..] = value.to_le_bytes();
    [a, b, c, d, e]
}

/// The pair table and its seed. Entries are in the order of their homes, none before its own:
/// 18 bits of the mixed key that the home does not tell, 18 of the token made, 4 of the distance to the home.
pub(crate) fn pairs(splits: &[(u32, u32)]) -> Result<(Vec<u8>, u64), Box<dyn Error>> {
    let key = |left: u32, right: u32| u64::from(left) << ID_BITS | u64::from(right);
    let made = (0u32..).zip(splits).filter(|(id, (left, right))| left != id && right != id);
    let made: Vec<(u64, u32)> = made.map(|(id, (left, right))| (key(*left, *right), id)).collect();
    for seed in 0..100_000u64 {
        let mut counts = vec![0usize; HOMES];
        for (key, _) in &made {
            counts[home(mix(*key, seed))] += 1;
        }
        let mut next = 0;
        let fits = counts.iter().enumerate().all(|(home, count)| {
            next = next.max(home) + count;
            *count == 0 || next - 1 - home <= FARTHEST
        });
        if fits {
            return Ok((fill(&made, seed), seed));
        }
    }
    Err("no seed keeps the pairs close to their homes".into())
}

fn fill(made: &[(u64, u32)], seed: u64) -> Vec<u8> {
    let mut entries: Vec<(u64, u32)> = made.iter().map(|(key, id)| (mix(*key, seed), *id)).collect();
    entries.sort_unstable();
    let mut table = vec![0u8; (HOMES + FARTHEST + 1) * 5];
    let mut next = 0;
    for (mixed, id) in entries {
        let at = next.max(home(mixed));
        next = at + 1;
        let rest = mixed & ((1 << ID_BITS) - 1);
        let distance = (at - home(mixed)) as u64;
        table[at * 5..at * 5 + 5].copy_from_slice(&five(rest << (ID_BITS + 4) | u64::from(id) << 4 | distance));
    }
    table
}

fn home(mixed: u64) -> usize {
    (mixed >> ID_BITS) as usize
}

/// As in `src/tables.rs`.
fn mix(key: u64, seed: u64) -> u64 {
    const MASK: u64 = (1 << (2 * ID_BITS)) - 1;
    let mut mixed = (key ^ seed).wrapping_mul(0x9_E377_9B97) & MASK;
    mixed ^= mixed >> ID_BITS;
    mixed = mixed.wrapping_mul(0x5_851F_42D5) & MASK;
    mixed ^ (mixed >> ID_BITS)
}
