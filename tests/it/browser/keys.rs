//! Keys as Chromium wants to hear of them, by the names that people read.

use serde_json::{Value, json};

/// A key with what is held down beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    key: String,
    code: String,
    /// Windows' number for it, by which Chromium knows what the key does.
    number: u32,
    /// What it writes.
    text: String,
    modifiers: u32,
}

/// Name, DOM code, number, what it writes.
const NAMED: &[(&str, &str, u32, &str)] = &[
    ("Backspace", "Backspace", 8, ""),
    ("Tab", "Tab", 9, ""),
    ("Enter", "Enter", 13, "\r"),
    ("Escape", "Escape", 27, ""),
    ("Space", "Space", 32, " "),
    ("PageUp", "PageUp", 33, ""),
    ("PageDown", "PageDown", 34, ""),
    ("End", "End", 35, ""),
    ("Home", "Home", 36, ""),
    ("ArrowLeft", "ArrowLeft", 37, ""),
    ("ArrowUp", "ArrowUp", 38, ""),
    ("ArrowRight", "ArrowRight", 39, ""),
    ("ArrowDown", "ArrowDown", 40, ""),
    ("Delete", "Delete", 46, ""),
];

const MODIFIERS: &[(&str, u32)] = &[("Alt", 1), ("Control", 2), ("Shift", 8)];

impl Key {
    /// The key with a name: `Tab`, `Shift+Tab`, `Enter`, `a`, `Control+a`.
    pub(super) fn named(name: &str) -> Self {
        let mut modifiers = 0;
        let mut rest = name;
        while let Some((held, key)) = rest.split_once('+').filter(|(held, _)| !held.is_empty()) {
            let known = MODIFIERS.iter().find(|(modifier, _)| *modifier == held);
            modifiers |= known.unwrap_or_else(|| panic!("`{name}`: no key `{held}` can be held")).1;
            rest = key;
        }
        let named = NAMED.iter().find(|(key, ..)| *key == rest).map(|(key, code, number, text)| {
            // The DOM calls the space bar by what it writes.
            let key = if *key == "Space" { " " } else { key };
            Self { key: key.to_owned(), code: (*code).to_owned(), number: *number, text: (*text).to_owned(), modifiers }
        });
        let mut characters = rest.chars();
        let mut key = match (named, characters.next(), characters.next()) {
            (Some(key), ..) => key,
            (None, Some(character), None) => Self { modifiers, ..Self::of(character) },
            _ => panic!("`{name}` is no key that is known here"),
        };
        // With one of these held, a key does something instead of writing.
        if modifiers & 3 != 0 {
            key.text = String::new();
        }
        key
    }

    /// The key that writes a character.
    pub(super) fn of(character: char) -> Self {
        match character {
            '\n' => Self::named("Enter"),
            '\t' => Self::named("Tab"),
            ' ' => Self::named("Space"),
            _ => {
                let upper = character.to_ascii_uppercase();
                let (code, number) = match upper {
                    'A'..='Z' => (format!("Key{upper}"), u32::from(upper)),
                    '0'..='9' => (format!("Digit{upper}"), u32::from(upper)),
                    _ => (String::new(), 0),
                };
                Self { key: character.into(), code, number, text: character.into(), modifiers: 0 }
            }
        }
    }

    /// `Input.dispatchKeyEvent` for pressing it and for letting it go.
    pub(super) fn events(&self) -> [Value; 2] {
        let event = |kind: &str| {
            json!({
                "type": kind,
                "key": self.key,
                "code": self.code,
                "windowsVirtualKeyCode": self.number,
                "nativeVirtualKeyCode": self.number,
                "modifiers": self.modifiers,
            })
        };
        let mut down = event(if self.text.is_empty() { "rawKeyDown" } else { "keyDown" });
        if !self.text.is_empty() {
            down["text"] = self.text.as_str().into();
        }
        [down, event("keyUp")]
    }
}

#[test]
fn keys_have_the_names_that_people_read() {
    let back = Key::named("Shift+Tab");
    assert_eq!((back.number, back.modifiers, back.text.as_str()), (9, 8, ""));
    assert_eq!(Key::named("Enter").text, "\r");
    assert_eq!(Key::named("+").text, "+");
    assert_eq!(Key::named("Control+a").text, "", "it selects, and writes nothing");
    assert_eq!(Key::of('ß').text, "ß");
    assert!(std::panic::catch_unwind(|| Key::named("Tabulator")).is_err());
}
