//! Frames of a WebSocket, as a server sends them, however the bytes are cut: the texts in them.
//!
//! Envoy hands an upgraded connection's bytes to filters as body (tried on 1.40). Text messages are handed on as they
//! pass; control frames and binary messages are passed over. Compressed frames are not read: the extension is taken out
//! of the request, so that none is agreed on.
//!
//! <https://www.rfc-editor.org/rfc/rfc6455#section-5.2> (read 2026-11-24)

/// Longest head of a frame: two bytes, eight of length, four of mask.
const HEAD_MAX: usize = 14;

/// What wants the texts.
pub(super) trait Sink {
    /// A piece of a message's text.
    fn data(&mut self, piece: &[u8]);
    /// The message ended.
    fn end(&mut self);
}

/// Reads one direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    head: [u8; HEAD_MAX],
    /// Bytes of the head that came.
    length: usize,
    /// Bytes of the payload to come.
    left: u64,
    frame: Frame,
    /// The message under way is a text.
    in_text: bool,
    failed: bool,
}

/// The frame whose payload is passing.
#[derive(Debug, Clone, Copy, Default)]
struct Frame {
    under_way: bool,
    last: bool,
    is_text: bool,
    is_control: bool,
    mask: Option<[u8; 4]>,
    at: usize,
}

impl Decoder {
    /// Reads a piece. After a frame that cannot be read nothing more is.
    pub(super) fn push(&mut self, piece: &[u8], sink: &mut impl Sink) {
        let mut rest = piece;
        while !rest.is_empty() && !self.failed {
            rest = if self.frame.under_way { self.payload(rest, sink) } else { self.begin(rest, sink) };
        }
    }

    /// Whether a frame came that cannot be read.
    pub(super) fn failed(&self) -> bool {
        self.failed
    }

    fn begin<'a>(&mut self, piece: &'a [u8], sink: &mut impl Sink) -> &'a [u8] {
        let Some((byte, rest)) = piece.split_first() else { return piece };
        if let Some(place) = self.head.get_mut(self.length) {
            *place = *byte;
        }
        self.length = self.length.saturating_add(1);
        let [first, second, ..] = self.head;
        let size: usize = match second & 0x7F {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask: usize = if second & 0x80 == 0 { 0 } else { 4 };
        if self.length < size.saturating_add(mask).saturating_add(2) {
            return rest;
        }
        let extended = self.head.get(2..size.saturating_add(2)).unwrap_or_default();
        let extended = extended.iter().fold(0u64, |sum, byte| (sum << 8) | u64::from(*byte));
        self.left = if size == 0 { u64::from(second & 0x7F) } else { extended };
        let key = self.head.get(size.saturating_add(2)..).and_then(|key| key.first_chunk::<4>());
        let opcode = first & 0x0F;
        let is_control = opcode & 0x8 != 0;
        if opcode == 1 || opcode == 2 {
            self.in_text = opcode == 1;
        }
        self.frame = Frame {
            under_way: true,
            last: first & 0x80 != 0,
            is_text: self.in_text && !is_control,
            is_control,
            mask: key.copied().filter(|_| mask > 0),
            at: 0,
        };
        // Compressed, or by a rule that is not known here.
        self.failed = first & 0x70 != 0;
        self.length = 0;
        if self.left == 0 {
            self.finish(sink);
        }
        rest
    }

    fn payload<'a>(&mut self, piece: &'a [u8], sink: &mut impl Sink) -> &'a [u8] {
        let here = usize::try_from(self.left).unwrap_or(usize::MAX).min(piece.len());
        let (payload, rest) = piece.split_at(here);
        if self.frame.is_text {
            match self.frame.mask {
                None => sink.data(payload),
                Some(mask) => {
                    let keys = mask.iter().cycle().skip(self.frame.at & 3);
                    let plain: Vec<u8> = payload.iter().zip(keys).map(|(byte, key)| byte ^ key).collect();
                    sink.data(&plain);
                    self.frame.at = self.frame.at.wrapping_add(here);
                }
            }
        }
        self.left = self.left.saturating_sub(here as u64);
        if self.left == 0 {
            self.finish(sink);
        }
        rest
    }

    fn finish(&mut self, sink: &mut impl Sink) {
        if self.frame.last && !self.frame.is_control {
            if self.frame.is_text {
                sink.end();
            }
            self.in_text = false;
        }
        self.frame = Frame::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Gather(Vec<String>, String);

    impl Sink for Gather {
        fn data(&mut self, piece: &[u8]) {
            self.1.push_str(&String::from_utf8_lossy(piece));
        }

        fn end(&mut self) {
            self.0.push(std::mem::take(&mut self.1));
        }
    }

    fn frame(first: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
        let bit = if mask.is_some() { 0x80 } else { 0 };
        let mut out = vec![first];
        match payload.len() {
            length @ 0..126 => out.push(bit | length as u8),
            length @ 126..65_536 => {
                out.push(bit | 126);
                out.extend((length as u16).to_be_bytes());
            }
            length => {
                out.push(bit | 127);
                out.extend((length as u64).to_be_bytes());
            }
        }
        out.extend(mask.unwrap_or_default().iter().take(if mask.is_some() { 4 } else { 0 }));
        let key = mask.unwrap_or_default();
        out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        out
    }

    #[test]
    fn texts_are_read_however_they_are_cut_and_framed() {
        let long = "x".repeat(70_000);
        let stream = [
            frame(0x81, b"one", None),
            frame(0x01, b"tw", None),
            frame(0x89, b"ping", None),
            frame(0x80, b"o", None),
            frame(0x82, b"binary", None),
            frame(0x81, "y".repeat(200).as_bytes(), Some([1, 2, 3, 4])),
            frame(0x81, long.as_bytes(), None),
            frame(0x81, b"", None),
        ]
        .concat();
        let want = ["one".to_owned(), "two".to_owned(), "y".repeat(200), long, String::new()];
        for size in [1, 3, 1_000, usize::MAX] {
            let (mut decoder, mut gather) = (Decoder::default(), Gather::default());
            stream.chunks(size).for_each(|piece| decoder.push(piece, &mut gather));
            assert!(gather.0 == want && !decoder.failed(), "in pieces of {size}");
        }
    }

    #[test]
    fn a_compressed_frame_ends_the_reading() {
        let (mut decoder, mut gather) = (Decoder::default(), Gather::default());
        decoder.push(&[frame(0xC1, b"zip", None), frame(0x81, b"after", None)].concat(), &mut gather);
        assert!(decoder.failed() && gather.0.is_empty());
    }
}
