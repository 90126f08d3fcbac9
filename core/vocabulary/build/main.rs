//! Makes the tables that `src/tables.rs` reads, out of the vocabulary in the `tiktoken-rs` crate.
//!
//! | file | holds | form |
//! |---|---|---|
//! | `trie.bin` | every token by its bytes | double array, see [`trie`] |
//! | `pairs.bin` | which two tokens make which | open addressing, see [`merges`] |
//! | `splits.bin` | of which two tokens each was made | 5 bytes a token, see [`merges`] |
//! | `classes.bin` | the class of each character | two stages, see [`classes`] |
//! | `constants.rs` | how to read them | |

mod classes;
mod merges;
mod trie;

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

/// Bits that a token number has in the tables.
const ID_BITS: u32 = 18;

/// The tokens by their numbers. Merges were learnt in this order, so that the number is also the rank.
fn vocabulary() -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let encoder = tiktoken_rs::o200k_base()?;
    // Numbers have no gap below the special tokens, which no text makes.
    let tokens: Vec<Vec<u8>> = (0..).map_while(|id| encoder.decode_bytes(&[id]).ok()).collect();
    if tokens.len() >= 1 << ID_BITS {
        return Err(format!("a vocabulary of {} tokens does not fit the tables", tokens.len()).into());
    }
    if tokens.iter().position(|token| token.len() != 1) != Some(256) {
        return Err("the first 256 tokens are not the bytes".into());
    }
    Ok(tokens)
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build");
    let folder = PathBuf::from(env::var_os("OUT_DIR").ok_or("no OUT_DIR")?);
    let tokens = vocabulary()?;
    let splits = merges::splits(&tokens)?;
    let (pairs, seed) = merges::pairs(&splits)?;
    let (trie, root) = trie::pack(&tokens)?;
    let (classes, ascii) = classes::table()?;
    let longest = tokens.iter().map(Vec::len).max().unwrap_or(0);
    fs::write(folder.join("trie.bin"), trie)?;
    fs::write(folder.join("pairs.bin"), pairs)?;
    fs::write(folder.join("splits.bin"), merges::bytes_of_splits(&splits))?;
    fs::write(folder.join("classes.bin"), classes)?;
    let constants = format!(
        "/// Mixed into the keys of the pair table.\nconst SEED: u64 = {seed};\n\
         /// Where the trie begins.\nconst ROOT: u32 = {root};\n\
         /// Bytes of the longest token.\npub(crate) const LONGEST: usize = {longest};\n\
         /// The class of each ASCII character.\nstatic ASCII: [Class; 128] = [{ascii}];\n"
    );
    fs::write(folder.join("constants.rs"), constants)?;
    Ok(())
}
