//! A party's place, as N1 and the N2, N3 and N4 after it state it.

use portreeve_sdk::types::Address;

use crate::Segment;

/// What a segment adds to an address.
pub trait Place {
    /// Takes name and identifier of an N1, street lines of an N2 or N3, the rest of an N4.
    fn add(&mut self, segment: &Segment);
}

impl Place for Address {
    fn add(&mut self, segment: &Segment) {
        match segment.tag() {
            "N1" => {
                self.name = segment.filled(2);
                self.id = segment.filled(4);
            }
            "N4" => {
                self.city = segment.filled(1);
                self.region = segment.filled(2);
                self.postal_code = segment.filled(3);
                self.country = country(segment.element(4));
            }
            _ => self.lines.extend([segment.filled(1), segment.filled(2)].into_iter().flatten()),
        }
    }
}

/// An address of which nothing is known.
#[must_use]
pub fn no_address() -> Address {
    Address { id: None, name: None, lines: vec![], city: None, region: None, postal_code: None, country: None }
}

/// ISO 3166-1 alpha-2, from the two- and three-letter codes that N404 carries.
#[must_use]
pub fn country(code: &str) -> Option<String> {
    let code = match code {
        "USA" => "US",
        "CAN" => "CA",
        "MEX" => "MX",
        other => other,
    };
    (code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase())).then(|| code.to_owned())
}
