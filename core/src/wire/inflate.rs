//! Answers that come compressed, inflated as they pass, for the meter only.
//!
//! The filter asks providers for `accept-encoding: identity`, so such answers are the exception: a provider that does
//! not listen, or a cache in between. They go to the client as they came; nothing is taken out of them. Of checksums
//! none is looked at, since the client does that.
//!
//! - gzip, deflate, br and zstd, and up to [`LAYERS_MAX`] of them over each other.
//! - What a server flushes comes out at once, so that a stream which breaks off is counted as far as it came.
//! - What is kept is the format's window and little else: 32 KiB of gzip and deflate, up to 16 MiB of br, up to 8 MiB of
//!   zstd (and for the longest answers three times that), each growing with what is inflated.
//! - A bomb is given up: see [`INFLATED_MAX`] and [`INFLATED_PER_BYTE`].

mod brotli;
mod deflate;
mod zstd;

/// What is inflated at a time.
const SCRATCH: usize = 8 << 10;
/// Codings of one answer that are undone; more is no answer that anybody meant to send.
pub const LAYERS_MAX: usize = 3;
/// Inflated bytes, over all layers, after which an answer is given up: no answer of a model is as long.
pub const INFLATED_MAX: u64 = 1 << 30;
/// Past [`INFLATED_FREE`], inflated bytes over all layers for each byte that came. Text and events of a model shrink to
/// a tenth or a fiftieth; a few kilobytes that would inflate to [`INFLATED_MAX`] would hold the worker for seconds.
pub const INFLATED_PER_BYTE: u64 = 256;
/// Inflated bytes that are never too many.
pub const INFLATED_FREE: u64 = 16 << 20;

/// Takes what is inflated; its error ends the inflating.
type Out<'a> = &'a mut dyn FnMut(&[u8]) -> Result<(), InflateError>;

/// A `content-encoding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// None.
    Identity,
    /// These, in the order in which they were applied.
    Layers(Layers),
    /// Among them is one that is not read here, or there are too many.
    Unknown,
}

/// One to [`LAYERS_MAX`] codings, in the order in which they were applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layers([Option<Format>; LAYERS_MAX]);

/// A format of compressed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    /// Of a header's value.
    #[must_use]
    pub fn of(header: &str) -> Self {
        let mut formats = [None; LAYERS_MAX];
        let mut room = formats.iter_mut();
        for name in header.split(',') {
            let format = match name.trim().to_ascii_lowercase().as_str() {
                "" | "identity" => continue,
                "gzip" | "x-gzip" => Format::Gzip,
                "deflate" => Format::Deflate,
                "br" => Format::Brotli,
                "zstd" => Format::Zstd,
                _ => return Self::Unknown,
            };
            let Some(place) = room.next() else { return Self::Unknown };
            *place = Some(format);
        }
        if formats == [None; LAYERS_MAX] { Self::Identity } else { Self::Layers(Layers(formats)) }
    }
}

/// The bytes are not what the content coding says, or inflate beyond all measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the compressed answer cannot be inflated")]
pub struct InflateError;

#[derive(Debug)]
enum Layer {
    Deflate(Box<deflate::Inflater>),
    Brotli(brotli::Inflater),
    Zstd(Box<zstd::Inflater>),
}

impl Layer {
    fn new(format: Format) -> Self {
        match format {
            Format::Gzip => Self::Deflate(Box::new(deflate::Inflater::gzip())),
            Format::Deflate => Self::Deflate(Box::new(deflate::Inflater::deflate())),
            Format::Brotli => Self::Brotli(brotli::Inflater::new()),
            Format::Zstd => Self::Zstd(Box::default()),
        }
    }

    fn push(&mut self, piece: &[u8], out: Out<'_>) -> Result<(), InflateError> {
        match self {
            Self::Deflate(inflater) => inflater.push(piece, out),
            Self::Brotli(inflater) => inflater.push(piece, out),
            Self::Zstd(inflater) => inflater.push(piece, out),
        }
    }
}

/// An inflater of one answer.
#[derive(Debug)]
pub struct Inflater {
    /// The one that was applied last comes first.
    layers: Vec<Layer>,
    budget: Budget,
    failed: bool,
}

impl Inflater {
    /// One for this coding, if it is one that needs inflating and can be.
    #[must_use]
    pub fn new(coding: Coding) -> Option<Self> {
        let Coding::Layers(Layers(formats)) = coding else { return None };
        let layers = formats.into_iter().rev().flatten().map(Layer::new).collect();
        Some(Self { layers, budget: Budget::default(), failed: false })
    }

    /// Inflates a piece, and hands on what comes of it bit by bit.
    ///
    /// # Errors
    /// When the bytes are not what the coding says, or too many come of them; then for every later piece too.
    pub fn push(&mut self, piece: &[u8], mut sink: impl FnMut(&[u8])) -> Result<(), InflateError> {
        if self.failed {
            return Err(InflateError);
        }
        self.budget.read(piece.len());
        let result = run(&mut self.layers, &mut self.budget, piece, &mut |bytes| {
            sink(bytes);
            Ok(())
        });
        self.failed = result.is_err();
        result
    }
}

/// Through all layers; as deep as there are layers.
fn run(layers: &mut [Layer], budget: &mut Budget, piece: &[u8], out: Out<'_>) -> Result<(), InflateError> {
    let Some((first, rest)) = layers.split_first_mut() else { return out(piece) };
    first.push(piece, &mut |bytes| {
        budget.inflated(bytes.len())?;
        run(rest, budget, bytes, out)
    })
}

/// What may come of the bytes that came.
#[derive(Debug, Default)]
struct Budget {
    read: u64,
    inflated: u64,
}

impl Budget {
    fn read(&mut self, bytes: usize) {
        self.read = self.read.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    fn inflated(&mut self, bytes: usize) -> Result<(), InflateError> {
        self.inflated = self.inflated.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        let most = self.read.saturating_mul(INFLATED_PER_BYTE).saturating_add(INFLATED_FREE).min(INFLATED_MAX);
        if self.inflated > most { Err(InflateError) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
