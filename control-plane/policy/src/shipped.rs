//! The price book that comes with the binary: `catalog/providers`, read once.

use purser_core::pricing::PriceBook;
use purser_core::pricing::catalog::CatalogFile;

const FILES: [(&str, &str); 4] = [
    ("anthropic.yaml", include_str!("../../../catalog/providers/anthropic.yaml")),
    ("mistral.yaml", include_str!("../../../catalog/providers/mistral.yaml")),
    ("openai.yaml", include_str!("../../../catalog/providers/openai.yaml")),
    ("self-hosted.yaml", include_str!("../../../catalog/providers/self-hosted.yaml")),
];

/// Why the shipped price book cannot be read. A test sees to it that it can.
#[derive(Debug, thiserror::Error)]
#[error("the shipped price book: {0}")]
pub struct ShippedError(String);

/// Reads the shipped price book.
///
/// # Errors
/// [`ShippedError`] with every problem.
pub fn shipped_book() -> Result<PriceBook, ShippedError> {
    let mut documents = Vec::new();
    for (name, text) in FILES {
        let file: CatalogFile =
            serde_saphyr::from_str(text).map_err(|error| ShippedError(format!("{name}: {error}")))?;
        documents.push(file);
    }
    PriceBook::from_documents(documents).map_err(|problems| {
        let list: Vec<String> = problems.iter().map(ToString::to_string).collect();
        ShippedError(list.join("; "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_price_book_loads_and_every_entry_says_where_it_was_read() {
        let book = shipped_book().unwrap();
        assert_eq!(book.entries().len(), 136);
        let without: Vec<&str> =
            book.entries().iter().filter(|entry| entry.source.is_none()).map(|entry| entry.model.as_str()).collect();
        assert!(without.is_empty(), "{without:?}");
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../catalog/providers");
        let files = std::fs::read_dir(folder).unwrap().count();
        assert_eq!(files, FILES.len(), "a file of {folder} is not embedded");
    }
}
