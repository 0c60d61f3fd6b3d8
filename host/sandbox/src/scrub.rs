//! Takes the host's credentials out of what a target answers.
//!
//! The attack is a target, or a proxy before it, that repeats what it was sent: in an
//! error page, a debug header, a JSON echo. So a credential is looked for as it was sent and
//! in the forms into which echoes put it by themselves:
//!
//! | form | example for `a"b/c` |
//! | --- | --- |
//! | as it is | `a"b/c` |
//! | escaped in JSON, each character or some | `a\"b\/c`, `\u0061\u0022b/c` |
//! | percent-encoded, each byte or some | `a%22b%2fc` |
//! | base64, standard and URL-safe, also amid something else | `YSJiL2M` |
//! | base64 that is escaped again by one of the others | `YSJi%4C2M` |
//!
//! Not found is what a target does on purpose or in another way: a secret in an answer that
//! is compressed, in pieces over several answers (ranges) or headers, reversed, in hexadecimal,
//! in UTF-16, in HTML's entities, in base64 with line breaks, or encoded twice. A target that
//! means to tell a guest its credential can; it knows it.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Bytes of a secret from which on it is looked for in answers: a shorter one occurs
/// by chance, and nobody could read an answer any more.
const SECRET_BYTES_MIN: usize = 8;

/// What must not come back, in the forms in which it is looked for.
pub(crate) struct Secrets {
    needles: BTreeSet<Needle>,
    /// The bytes with which any form begins: most of an answer is passed by with one look.
    begins: [bool; 256],
}

/// One form of a secret.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Needle {
    text: Vec<u8>,
    /// Characters of base64 before and behind it that have some of its bits.
    before: usize,
    behind: usize,
}

impl Secrets {
    pub(crate) fn of(secrets: &[Vec<u8>]) -> Self {
        let mut needles = BTreeSet::new();
        for secret in secrets.iter().filter(|secret| secret.len() >= SECRET_BYTES_MIN) {
            needles.insert(Needle { text: secret.clone(), before: 0, behind: 0 });
            needles.extend((0..3).flat_map(|offset| in_base64(secret, offset)));
        }
        let mut begins = [false; 256];
        let firsts = needles.iter().filter_map(|needle| needle.text.first().copied());
        for first in firsts.chain(*b"%\\+").filter(|_| !needles.is_empty()) {
            if let Some(begins) = begins.get_mut(usize::from(first)) {
                *begins = true;
            }
        }
        Self { needles, begins }
    }

    /// Whether any of them is in it.
    pub(crate) fn is_in(&self, text: &[u8]) -> bool {
        (0..text.len()).any(|at| text.get(at..).is_some_and(|rest| self.begin(rest).is_some()))
    }

    /// The same bytes with stars where one of them stands; none where there is nothing.
    pub(crate) fn masked(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut masked: Option<Vec<u8>> = None;
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let Some((length, needle)) = self.begin(rest) else {
                at = at.saturating_add(1);
                continue;
            };
            let begin = at.saturating_sub(needle.before);
            let end = at.saturating_add(length).saturating_add(needle.behind).min(text.len());
            if let Some(stars) = masked.get_or_insert_with(|| text.to_vec()).get_mut(begin..end) {
                stars.fill(b'*');
            }
            at = end;
        }
        masked
    }

    /// The longest form with which the text begins, and its length there.
    fn begin(&self, text: &[u8]) -> Option<(usize, &Needle)> {
        let first = usize::from(*text.first()?);
        if !self.begins.get(first).is_some_and(|begins| *begins) {
            return None;
        }
        let lengths = self.needles.iter().filter_map(|needle| Some((written(text, &needle.text)?, needle)));
        lengths.max_by_key(|(length, _)| *length)
    }
}

/// A secret as it stands in base64 so many bytes after a whole group, in both alphabets:
/// the characters that nothing else has a part in.
fn in_base64(secret: &[u8], offset: usize) -> [Needle; 2] {
    let padded = [vec![0; offset], secret.to_vec()].concat();
    // A byte before takes the first character and a part of the second, and so on.
    let first = if offset == 0 { 0 } else { offset.saturating_add(1) };
    let bits = padded.len().saturating_mul(8);
    let needle = |text: String| Needle {
        text: text.into_bytes().into_iter().take(bits / 6).skip(first).collect(),
        before: usize::from(offset > 0),
        behind: usize::from(!bits.is_multiple_of(6)),
    };
    [needle(STANDARD_NO_PAD.encode(&padded)), needle(URL_SAFE_NO_PAD.encode(&padded))]
}

/// How many bytes at the beginning of a text write a secret: as it is, or with any of its
/// characters escaped.
fn written(text: &[u8], secret: &[u8]) -> Option<usize> {
    if text.starts_with(secret) {
        return Some(secret.len());
    }
    let (mut rest, mut wanted) = (text, secret);
    while !wanted.is_empty() {
        let (taken, matched) = escaped(rest, wanted)?;
        (rest, wanted) = (rest.get(taken..)?, wanted.get(matched..)?);
    }
    Some(text.len().saturating_sub(rest.len()))
}

/// Bytes of the text that write the next bytes of a secret, and how many of these.
fn escaped(text: &[u8], wanted: &[u8]) -> Option<(usize, usize)> {
    let next = *wanted.first()?;
    match text {
        [b'%', high, low, ..] if number(&[*high, *low]) == Some(u16::from(next)) => Some((3, 1)),
        // As forms write it.
        [b'+', ..] if next == b' ' => Some((1, 1)),
        [b'\\', b'u', ..] if let Some(found) = utf16(text, wanted) => Some(found),
        [b'\\', letter, ..] if unescaped(*letter) == Some(next) => Some((2, 1)),
        [byte, ..] if *byte == next => Some((1, 1)),
        _ => None,
    }
}

/// `\uXXXX`, or two of them for a character beyond the first 65,536.
fn utf16(text: &[u8], wanted: &[u8]) -> Option<(usize, usize)> {
    let unit = |at: usize| number(text.get(at..)?.strip_prefix(b"\\u")?.get(..4)?);
    let first = unit(0)?;
    let (units, taken) = match unit(6).filter(|_| (0xD800..0xDC00).contains(&first)) {
        Some(second) => (vec![first, second], 12),
        None => (vec![first], 6),
    };
    let character = String::from_utf16(&units).ok()?;
    wanted.starts_with(character.as_bytes()).then_some((taken, character.len()))
}

/// What stands behind a backslash in JSON.
fn unescaped(letter: u8) -> Option<u8> {
    Some(match letter {
        b'"' | b'\\' | b'/' => letter,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        _ => return None,
    })
}

/// Hexadecimal digits, and nothing else.
fn number(digits: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_hexdigit))?;
    u16::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const SECRET: &str = "s3\"cret/Of\\the+tésts 😀";

    fn masked(text: &str) -> Option<String> {
        let masked = Secrets::of(&[SECRET.as_bytes().to_vec()]).masked(text.as_bytes());
        masked.map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn a_secret_is_found_in_every_form_into_which_echoes_put_it() {
        let percent = |upper: bool| -> String {
            let hex = |byte: u8| if upper { format!("%{byte:02X}") } else { format!("%{byte:02x}") };
            SECRET.bytes().map(hex).collect()
        };
        let all_units: String = SECRET.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        let form: String = SECRET
            .bytes()
            .map(|byte| match byte {
                b' ' => "+".to_owned(),
                byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
                byte => format!("%{byte:02X}"),
            })
            .collect();
        for text in [
            SECRET.to_owned(),
            "s3\\\"cret/Of\\\\the+tésts 😀".to_owned(),
            "s3\\\"cret\\/Of\\\\the+t\\u00E9sts \\uD83D\\ude00".to_owned(),
            all_units,
            percent(true),
            percent(false),
            form,
        ] {
            let found = masked(&format!("{{\"a\": \"{text}\"}}")).unwrap();
            assert_eq!(found, format!("{{\"a\": \"{}\"}}", "*".repeat(text.len())), "{text}");
        }
    }

    #[test]
    fn a_secret_is_found_in_base64_wherever_in_it_it_stands_and_no_bit_of_it_stays() {
        for before in ["", "u", "us", "use", "user:"] {
            for behind in ["", ":", "::", ":::"] {
                let plain = format!("{before}{SECRET}{behind}");
                for text in [STANDARD_NO_PAD.encode(&plain), URL_SAFE_NO_PAD.encode(&plain)] {
                    let found = masked(&text).unwrap();
                    // What neighbours alone write may stay; six bits of theirs may go.
                    let stars = found.matches('*').count();
                    assert!(stars >= (SECRET.len() * 8).div_ceil(6), "{text} {found}");
                    assert!(stars <= (SECRET.len() * 8).div_ceil(6) + 1, "{text} {found}");
                }
                // In a URL.
                let url = STANDARD_NO_PAD.encode(&plain).replace('+', "%2B").replace('/', "%2f");
                assert!(masked(&url).is_some(), "{url}");
            }
        }
    }

    #[test]
    fn what_is_no_secret_stays_as_it_is() {
        for text in
            ["", "%", "\\", "\\u", "\\u00", "%7", "s3\"cret/Of", "s3\"cret/Of\\the+test", "+++", "\\uD83D\\uD83D"]
        {
            assert_eq!(masked(text), None, "{text}");
        }
        let short = Secrets::of(&[b"1234567".to_vec()]);
        assert!(!short.is_in(b"1234567"), "it occurs by chance");
        assert!(Secrets::of(&[b"12345678".to_vec()]).is_in(b"a%312345678"));
    }
}
