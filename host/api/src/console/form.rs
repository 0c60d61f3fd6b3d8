//! What a browser sends of a form: names and values, a name once or many times.

/// The fields of a form, in their order.
#[derive(Debug, Default)]
pub(super) struct Form(Vec<(String, String)>);

/// Fields of one form. The longest of ours is a release of all holds of an order.
const FIELDS_MAX: usize = 1_100;

impl Form {
    /// Reads `application/x-www-form-urlencoded`; what is no text becomes a replacement character.
    pub(super) fn parse(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).take(FIELDS_MAX).map(|(name, value)| (name.into(), value.into())).collect())
    }

    /// The first value of a name; empty where there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// All values of a name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Whether there is anything in it.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
