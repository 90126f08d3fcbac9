//! The trouble that a request may ask for, in the header `x-stand-in`, separated by commas.

use std::time::Duration;

/// What to do other than answer well.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Behaviour {
    /// `status=500`: answer with this status and an error.
    pub status: Option<u16>,
    /// `reset=before`: close the connection without an answer. `reset=mid`: in the middle of it.
    pub reset: Option<Reset>,
    /// `gzip`: compress, asked or not.
    pub gzip: bool,
    /// `garbage`: an event that is no JSON, among the others.
    pub garbage: bool,
    /// `truncate`: end the JSON too early.
    pub truncate: bool,
    /// `nousage`: report none.
    pub no_usage: bool,
    /// `cached=N`, `write5m=N`, `write1h=N`: prompt tokens from and to the cache.
    pub cached: u64,
    /// See `cached`.
    pub write_5m: u64,
    /// See `cached`.
    pub write_1h: u64,
    /// `words=N`: words to answer with, still at most `max_tokens`.
    pub words: Option<u64>,
    /// `delay_ms=N`: between two chunks of a stream.
    pub delay: Option<Duration>,
    /// `cut=SEED`: write the bytes in small pieces of random sizes.
    pub cut: Option<u64>,
}

/// Where a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reset {
    /// Before the answer.
    Before,
    /// After its first part.
    Mid,
}

impl Behaviour {
    /// Reads the header; what is not known is passed over.
    pub fn parse(header: &str) -> Self {
        let mut it = Self::default();
        for part in header.split(',').map(str::trim) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let number = value.parse::<u64>().ok();
            match name {
                "status" => it.status = value.parse().ok(),
                "reset" => it.reset = Some(if value == "mid" { Reset::Mid } else { Reset::Before }),
                "gzip" => it.gzip = true,
                "garbage" => it.garbage = true,
                "truncate" => it.truncate = true,
                "nousage" => it.no_usage = true,
                "cached" => it.cached = number.unwrap_or(0),
                "write5m" => it.write_5m = number.unwrap_or(0),
                "write1h" => it.write_1h = number.unwrap_or(0),
                "words" => it.words = number,
                "delay_ms" => it.delay = number.map(Duration::from_millis),
                "cut" => it.cut = number,
                _ => {}
            }
        }
        it
    }
}
