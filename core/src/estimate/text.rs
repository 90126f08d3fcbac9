//! Text that is estimated, or counted where the vocabulary is built in.

use super::{Family, Features};

#[cfg(feature = "vocabulary")]
use super::Tally;

/// Whether text can be counted at all.
pub const CAN_COUNT: bool = cfg!(feature = "vocabulary");

/// What is known of a text's tokens.
#[derive(Debug, Clone)]
pub(crate) enum Text {
    /// By its features.
    Estimated(Features),
    /// By the vocabulary; beside it what can only be estimated.
    #[cfg(feature = "vocabulary")]
    Counted(Box<Tally>, Features),
}

impl Default for Text {
    fn default() -> Self {
        Self::Estimated(Features::default())
    }
}

impl Text {
    /// Counted if it can be. `seed`: a number that whoever writes the text does not know.
    pub(crate) fn counted(seed: u64) -> Self {
        #[cfg(feature = "vocabulary")]
        return Self::Counted(Box::new(Tally::new(seed)), Features::default());
        #[cfg(not(feature = "vocabulary"))]
        {
            let _ = seed;
            Self::default()
        }
    }

    /// Whether it is counted.
    pub(crate) fn is_counted(&self) -> bool {
        !matches!(self, Self::Estimated(_))
    }

    /// Reads a piece.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        match self {
            Self::Estimated(features) => features.push(piece),
            #[cfg(feature = "vocabulary")]
            Self::Counted(tally, _) => tally.push(piece),
        }
    }

    /// The text ends here: what is pushed next is another one.
    pub(crate) fn end(&mut self) {
        match self {
            Self::Estimated(features) => features.end(),
            #[cfg(feature = "vocabulary")]
            Self::Counted(tally, _) => tally.end(),
        }
    }

    /// Takes in what was estimated of another text.
    pub(crate) fn add(&mut self, other: &Features) {
        match self {
            Self::Estimated(features) => features.add(other),
            #[cfg(feature = "vocabulary")]
            Self::Counted(_, features) => features.add(other),
        }
    }

    /// Its features: as estimated, or as counted.
    pub(crate) fn features(&self) -> Features {
        match self {
            Self::Estimated(features) => *features,
            #[cfg(feature = "vocabulary")]
            Self::Counted(tally, estimated) => {
                let mut tally = tally.clone();
                tally.end();
                let mut features = tally.features();
                features.add(estimated);
                features
            }
        }
    }

    /// Whole tokens in a vocabulary, rounded up.
    pub(crate) fn tokens(&self, family: Family) -> u64 {
        match self {
            Self::Estimated(features) => features.tokens(family),
            #[cfg(feature = "vocabulary")]
            Self::Counted(..) => self.features().tokens(family),
        }
    }
}
