//! Every token by its bytes, as a double array of 4-byte slots: 9 bits label, 1 leaf, 1 token, 21 where to go on.
//!
//! The child of a node with base `b` by the byte `c` is in slot `b ^ c`, if the label there is `c`. A node that ends a
//! token and has children keeps the token as its child by the label 256; a leaf has it in place of a base.

use std::error::Error;

const LEAF: u32 = 1 << 22;
const TOKEN: u32 = 1 << 21;
const LABEL_SHIFT: u32 = 23;
/// The child that holds the token of a node with children.
const OWN: usize = 256;
/// A label that no byte has.
const EMPTY: u32 = 511 << LABEL_SHIFT;
/// Slots whose numbers differ in the bits of a label alone: all children of a node are in one block.
const BLOCK: usize = 512;
const WORDS: usize = BLOCK / 64;
type Bits = [u64; WORDS];

#[derive(Default)]
struct Node {
    token: Option<u32>,
    /// Label and node.
    children: Vec<(usize, usize)>,
}

impl Node {
    fn labels(&self) -> Vec<usize> {
        let own = self.token.filter(|_| !self.children.is_empty()).map(|_| OWN);
        self.children.iter().map(|(label, _)| *label).chain(own).collect()
    }
}

/// The slots and the base of the root.
pub(crate) fn pack(tokens: &[Vec<u8>]) -> Result<(Vec<u8>, usize), Box<dyn Error>> {
    let nodes = nodes(tokens);
    let bases = place(&nodes);
    let slots_needed = bases.iter().map(|base| (base / BLOCK + 1) * BLOCK).max().unwrap_or(0);
    if slots_needed > 1 << 21 {
        return Err(format!("{slots_needed} slots are more than 21 bits tell").into());
    }
    let mut slots = vec![EMPTY; slots_needed];
    for (node, base) in nodes.iter().zip(&bases) {
        for (label, child) in &node.children {
            let below = &nodes[*child];
            let leaf = below.children.is_empty();
            let token = if below.token.is_some() { TOKEN } else { 0 };
            let payload = if leaf { below.token.ok_or("a leaf without a token")? } else { bases[*child] as u32 };
            slots[base ^ label] = (*label as u32) << LABEL_SHIFT | if leaf { LEAF } else { 0 } | token | payload;
        }
        if let (Some(token), false) = (node.token, node.children.is_empty()) {
            slots[base ^ OWN] = (OWN as u32) << LABEL_SHIFT | token;
        }
    }
    let used = slots.iter().rposition(|slot| *slot != EMPTY).map_or(0, |last| last + 1);
    slots.truncate(used);
    Ok((slots.into_iter().flat_map(u32::to_le_bytes).collect(), bases[0]))
}

fn nodes(tokens: &[Vec<u8>]) -> Vec<Node> {
    let mut sorted: Vec<(&[u8], u32)> = tokens.iter().map(Vec::as_slice).zip(0..).collect();
    sorted.sort_unstable();
    let mut nodes = vec![Node::default()];
    // The nodes on the way to the last token.
    let mut path = vec![0];
    let mut last: &[u8] = &[];
    for (token, id) in sorted {
        let common = last.iter().zip(token).take_while(|(a, b)| a == b).count();
        path.truncate(common + 1);
        for byte in &token[common..] {
            let (parent, child) = (path[path.len() - 1], nodes.len());
            nodes.push(Node::default());
            nodes[parent].children.push((usize::from(*byte), child));
            path.push(child);
        }
        nodes[path[path.len() - 1]].token = Some(id);
        last = token;
    }
    nodes
}

struct Block {
    free: Bits,
    /// Bases that no node has yet: two nodes with one base would share children.
    unused: Bits,
    /// Nodes of this many children or more are not tried any more: too many found no place.
    closed_to: usize,
    failures: usize,
}

/// The base of each node that has children, those with most children first: they are hard to place, and the many nodes
/// with one child fill what is left.
fn place(nodes: &[Node]) -> Vec<usize> {
    const FAILURES: usize = 32;
    let mut order: Vec<(usize, Vec<usize>)> = nodes.iter().map(Node::labels).enumerate().collect();
    order.retain(|(_, labels)| !labels.is_empty());
    order.sort_by_key(|(_, labels)| std::cmp::Reverse(labels.len()));
    let mut bases = vec![0; nodes.len()];
    let mut blocks: Vec<Block> = Vec::new();
    // Blocks before this one are full.
    let mut first = 0;
    for (node, labels) in order {
        while blocks.get(first).is_some_and(|block| block.free == [0; WORDS]) {
            first += 1;
        }
        let mut found = None;
        for (index, block) in blocks.iter_mut().enumerate().skip(first) {
            if labels.len() >= block.closed_to {
                continue;
            }
            if let Some(base) = fits(block, &labels) {
                found = Some((index, base));
                break;
            }
            block.failures += 1;
            if block.failures >= FAILURES && labels.len() > 1 {
                (block.closed_to, block.failures) = (labels.len(), 0);
            }
        }
        let (index, base) = found.unwrap_or_else(|| {
            blocks.push(Block { free: [!0; WORDS], unused: [!0; WORDS], closed_to: usize::MAX, failures: 0 });
            (blocks.len() - 1, 0)
        });
        let block = &mut blocks[index];
        clear(&mut block.unused, base);
        labels.iter().for_each(|label| clear(&mut block.free, base ^ label));
        bases[node] = index * BLOCK + base;
    }
    bases
}

fn clear(bits: &mut Bits, at: usize) {
    bits[at / 64] &= !(1 << (at % 64));
}

/// A base in the block whose children's slots are all free.
fn fits(block: &Block, labels: &[usize]) -> Option<usize> {
    let mut possible = block.unused;
    for label in labels {
        for (at, word) in possible.iter_mut().enumerate() {
            *word &= swapped(block.free[at ^ (label / 64)], label % 64);
        }
        if possible == [0; WORDS] {
            return None;
        }
    }
    let word = possible.iter().position(|word| *word != 0)?;
    Some(word * 64 + possible[word].trailing_zeros() as usize)
}

/// The bits of a word, each moved from place `at ^ by` to `at`.
fn swapped(mut word: u64, by: usize) -> u64 {
    const EVEN: [u64; 6] = [
        0x5555_5555_5555_5555,
        0x3333_3333_3333_3333,
        0x0F0F_0F0F_0F0F_0F0F,
        0x00FF_00FF_00FF_00FF,
        0x0000_FFFF_0000_FFFF,
        0x0000_0000_FFFF_FFFF,
    ];
    for (bit, even) in EVEN.iter().enumerate() {
        if by >> bit & 1 == 1 {
            let step = 1 << bit;
            word = (word & even) << step | (word >> step & even);
        }
    }
    word
}
