//! The fields of a form (`multipart/form-data`) as it passes; files in it are passed over.
//!
//! <https://www.rfc-editor.org/rfc/rfc7578>. Uploads of sound and images come so.

/// Longest value of a field that is kept, and longest line of a part's head.
const KEPT_MAX: usize = 4 << 10;
/// Fields that are kept.
const FIELDS_MAX: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In a part's value, or before the first part.
    Value,
    /// After a boundary, up to the end of its line.
    Boundary,
    /// In a part's head.
    Head,
    /// After the last boundary.
    End,
}

/// The fields of a form.
#[derive(Debug)]
pub struct Form {
    /// What stands before each part's head and after the last part.
    boundary: Vec<u8>,
    state: State,
    /// So much of the boundary was seen.
    matched: usize,
    line: Vec<u8>,
    /// The field under way.
    field: Option<String>,
    is_file: bool,
    value: Vec<u8>,
    fields: Vec<(String, Vec<u8>)>,
}

impl Form {
    /// A reader of a body with this content type, if that is a form.
    #[must_use]
    pub fn new(content_type: &str) -> Option<Self> {
        let mut parts = content_type.split(';').map(str::trim);
        if !parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("multipart/form-data")) {
            return None;
        }
        let boundary = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.eq_ignore_ascii_case("boundary").then(|| value.trim_matches('"'))
        })?;
        let boundary = [b"\r\n--", boundary.as_bytes()].concat();
        Some(Self {
            boundary,
            state: State::Value,
            // The first boundary may stand at the very start.
            matched: 2,
            line: Vec::new(),
            field: None,
            is_file: true,
            value: Vec::new(),
            fields: Vec::new(),
        })
    }

    /// The value of a field, cut to 4 KiB; `None` when it did not come.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_slice())
    }

    /// Reads a piece.
    pub fn push(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while let Some((&byte, after)) = rest.split_first() {
            match self.state {
                State::Value if self.matched == 0 && byte != b'\r' => {
                    let length = memchr::memchr(b'\r', rest).unwrap_or(rest.len());
                    self.keep(rest.get(..length).unwrap_or_default());
                    rest = rest.get(length..).unwrap_or_default();
                    continue;
                }
                State::Value => self.in_value(byte),
                State::Boundary | State::Head if byte == b'\n' => self.end_line(),
                State::Boundary | State::Head => {
                    if self.line.len() < KEPT_MAX {
                        self.line.push(byte);
                    }
                }
                State::End => return,
            }
            rest = after;
        }
    }

    fn keep(&mut self, piece: &[u8]) {
        if !self.is_file {
            let room = KEPT_MAX.saturating_sub(self.value.len()).min(piece.len());
            self.value.extend_from_slice(piece.get(..room).unwrap_or_default());
        }
    }

    fn in_value(&mut self, byte: u8) {
        if self.boundary.get(self.matched) == Some(&byte) {
            self.matched = self.matched.saturating_add(1);
            if self.matched == self.boundary.len() {
                self.end_part();
            }
            return;
        }
        // What looked like a boundary is part of the value. A boundary has one CR, at its start.
        let begun = self.boundary.get(..self.matched).unwrap_or_default().to_vec();
        self.keep(&begun);
        self.matched = usize::from(byte == b'\r');
        if self.matched == 0 {
            self.keep(&[byte]);
        }
    }

    fn end_part(&mut self) {
        self.matched = 0;
        self.line.clear();
        self.state = State::Boundary;
        let value = std::mem::take(&mut self.value);
        if let Some(field) = self.field.take().filter(|_| !self.is_file && self.fields.len() < FIELDS_MAX) {
            self.fields.push((field, value));
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(&line)).into_owned();
        match self.state {
            State::Boundary if line.starts_with("--") => self.state = State::End,
            State::Boundary => {
                self.state = State::Head;
                self.is_file = false;
            }
            _ if line.is_empty() => self.state = State::Value,
            _ => {
                let Some((name, value)) = line.split_once(':') else { return };
                if name.eq_ignore_ascii_case("content-disposition") {
                    let parameter = |wanted: &str| {
                        value.split(';').map(str::trim).find_map(|part| {
                            let (name, value) = part.split_once('=')?;
                            name.eq_ignore_ascii_case(wanted).then(|| value.trim_matches('"').to_owned())
                        })
                    };
                    self.field = parameter("name");
                    self.is_file = parameter("filename").is_some();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TYPE: &str = "multipart/form-data; boundary=\"x-1\"";
    const BODY: &[u8] = b"--x-1\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--x-1\r\n\
        content-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\nRIFF\r\n\r\n--x-\r\n--x-1\r\n\
        Content-Disposition: form-data; name=prompt\r\n\r\ntwo\r\n-- lines\r\n--x-1--\r\n";

    proptest! {
        #[test]
        fn fields_are_read_and_files_passed_over_however_the_form_is_cut(cut in 0..BODY.len(), again in 0..BODY.len()) {
            let mut form = Form::new(TYPE).unwrap();
            let (first, second) = (cut.min(again), cut.max(again));
            for piece in [&BODY[..first], &BODY[first..second], &BODY[second..]] {
                form.push(piece);
            }
            prop_assert_eq!(form.field("model"), Some(&b"whisper-1"[..]));
            prop_assert_eq!(form.field("prompt"), Some(&b"two\r\n-- lines"[..]));
            prop_assert_eq!(form.field("file"), None);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            Form::new(TYPE).unwrap().push(&bytes);
        }
    }

    #[test]
    fn only_a_form_with_a_boundary_is_one() {
        assert!(Form::new("application/json").is_none());
        assert!(Form::new("multipart/form-data").is_none());
        assert!(Form::new("").is_none());
    }
}
