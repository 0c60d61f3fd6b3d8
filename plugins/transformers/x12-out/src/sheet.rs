//! What the sets have in common: problems beside the writer's own, the order's numbers,
//! places, quantities and prices.

use portreeve_guest_x12::set::{Element, SetWriter, optional, value};
use portreeve_sdk::transformer::*;

/// Beside which the host's identifier of the order stands.
const OUR_ORDER: &str = "PORTREEVE-ORDER";

/// What the host tells of the order itself, beside what a system says of it.
const ORDER_NUMBER: &str = "order-number";
const ORDER_DATE: &str = "order-date";
const ORDER_PARTNER: &str = "order-partner";

/// Widths of 004010, in characters: element 324 and its like, 127, 350, 93, 166, 234.
pub(crate) const ORDER_NUMBER_MAX: usize = 22;
pub(crate) const REFERENCE_MAX: usize = 30;
pub(crate) const LINE_NUMBER_MAX: usize = 20;
const NAME_MAX: usize = 60;
const STREET_MAX: usize = 55;
pub(crate) const ITEM_MAX: usize = 48;

/// Digits of a quantity (element 330); the point and the sign are not counted.
const QUANTITY_DIGITS_MAX: usize = 9;

/// Lines of one set. What is beyond is no order that anybody ships; the host's limit on what
/// a call returns would refuse it as this plugin's failure.
const LINES_MAX: usize = 4_000;

/// A set that is being written, and what is wrong with the event.
pub(crate) struct Sheet {
    pub(crate) writer: SetWriter,
    problems: Vec<Problem>,
    order_id: String,
    settings: Vec<Setting>,
}

/// The order that a set is about, as the host names it and tells of it.
pub(crate) struct About<'a> {
    pub(crate) order_id: &'a str,
    pub(crate) settings: &'a [Setting],
}

impl Sheet {
    pub(crate) fn open(code: &str, about: &About<'_>) -> Self {
        let (order_id, settings) = (about.order_id.to_owned(), about.settings.to_vec());
        Self { writer: SetWriter::open(code), problems: vec![], order_id, settings }
    }

    pub(crate) fn segment(&mut self, tag: &str, elements: &[Element<'_>]) {
        self.writer.segment(tag, elements);
    }

    pub(crate) fn problem(&mut self, code: &str, message: &str, path: &str) {
        self.problems.push(Problem::new(code, message, path));
    }

    /// N9 or REF with the host's identifier of the order.
    pub(crate) fn our_order(&mut self, tag: &str) {
        let order_id = self.order_id.clone();
        self.segment(tag, &[Element::Code("ZZ"), Element::Code(OUR_ORDER), value(&order_id, 45, "order-id")]);
    }

    /// What the host tells of the order under this name.
    pub(crate) fn told(&self, name: &str) -> Option<&str> {
        setting(&self.settings, name)
    }

    /// What was agreed: with the order's partner alone, else with all.
    pub(crate) fn agreed(&self, name: &str) -> Option<&str> {
        let partner = self.told(ORDER_PARTNER).unwrap_or_default();
        let mut parts = partner.split(':');
        let own = parts.next().zip(parts.next()).map(|(qualifier, id)| format!("{name}@{qualifier}:{id}"));
        own.and_then(|own| self.told(&own)).or_else(|| self.told(name))
    }

    /// The number that the customer gave the order: the one that the host tells, else the
    /// event's own where that is not the host's identifier.
    pub(crate) fn customers_number(&mut self, own: &str) -> String {
        if let Some(told) = self.told(ORDER_NUMBER) {
            return told.to_owned();
        }
        if !is_host_identifier(own) && own != self.order_id {
            return own.to_owned();
        }
        let message = format!(
            "the event names the order by the host's identifier; expected setting `{ORDER_NUMBER}` with the \
             number that the customer gave it, which the host adds where the target has `with_order = true`"
        );
        self.problem("order-number-missing", &message, "order-number");
        String::new()
    }

    /// The day on which the order was placed, as the host tells it, else as the event does.
    pub(crate) fn placed(&mut self, own: Option<i64>, element: &str) -> String {
        let told = self.told(ORDER_DATE).and_then(date::parse);
        if let Some(day) = told.or_else(|| own.and_then(date::of_instant)) {
            return date::to_compact(day);
        }
        let message = format!(
            "{element} is the date of the order; expected setting `{ORDER_DATE}` such as `2026-03-02`, which the host adds where the order says when it was placed and the target has `with_order = true`"
        );
        self.problem("order-date-missing", &message, "settings");
        String::new()
    }

    /// N1 with N3 and N4, X12's two street segments of two lines each.
    pub(crate) fn place(&mut self, code: &str, address: &Address, path: &str) {
        let (name_at, id_at) = (format!("{path}.name"), format!("{path}.id"));
        let id = optional(address.id.as_deref(), 48, &id_at);
        let qualifier = if matches!(id, Element::Empty) { Element::Empty } else { Element::Code("92") };
        let name = optional(address.name.as_deref(), NAME_MAX, &name_at);
        if matches!((&name, &id), (Element::Empty, Element::Empty)) {
            self.problem("name-missing", "the place has neither name nor identifier; expected one of them", path);
        }
        self.segment("N1", &[Element::Code(code), name, qualifier, id]);
        self.streets(address, path);
        let at = |field: &str| format!("{path}.{field}");
        let (city_at, region_at, code_at) = (at("city"), at("region"), at("postal-code"));
        // N402 is for two-letter states; other regions have a place of their own.
        let region = address.region.as_deref().map(str::trim).filter(|region| !region.is_empty());
        let (state, elsewhere) = match region {
            Some(region) if region.chars().count() == 2 => (value(region, 2, &region_at), None),
            other => (Element::Empty, other),
        };
        let country_at = at("country");
        let country = optional(address.country.as_deref(), 3, &country_at);
        let mut elements = vec![
            address.city.as_deref().map_or(Element::Empty, |city| Element::Value(city, 2, 30, &city_at)),
            state,
            address.postal_code.as_deref().map_or(Element::Empty, |code| Element::Value(code, 3, 15, &code_at)),
            country,
        ];
        if let Some(region) = elsewhere {
            elements.extend([Element::Code("SP"), value(region, 30, &region_at)]);
        }
        if elements.iter().any(|element| !matches!(element, Element::Empty)) {
            self.segment("N4", &elements);
        }
    }

    fn streets(&mut self, address: &Address, path: &str) {
        let lines: Vec<(String, &str)> = (address.lines.iter().enumerate())
            .map(|(index, line)| (format!("{path}.lines[{index}]"), line.as_str()))
            .filter(|(_, line)| !line.trim().is_empty())
            .collect();
        if lines.len() > 4 {
            let message = format!("found {} street lines; X12 004010 takes 4", lines.len());
            self.problem("too-many-street-lines", &message, &format!("{path}.lines"));
        }
        for pair in lines.chunks(2).take(2) {
            let elements: Vec<Element<'_>> = pair.iter().map(|(at, line)| value(line, STREET_MAX, at)).collect();
            self.segment("N3", &elements);
        }
    }

    /// Refuses an event of more lines than a set is written with.
    pub(crate) fn bounded<'a, T>(&mut self, lines: &'a [T]) -> &'a [T] {
        if lines.len() <= LINES_MAX {
            return lines;
        }
        let message = format!("found {} lines; expected at most {LINES_MAX}", lines.len());
        self.problem("too-many-lines", &message, "lines");
        &[]
    }

    /// A quantity as digits. One that X12 has no room for is a problem.
    pub(crate) fn quantity(&mut self, quantity: &Quantity, path: &str) -> String {
        let text = plain(quantity.value, quantity.scale);
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        if digits > QUANTITY_DIGITS_MAX || quantity.value < 0 {
            let message =
                format!("found a quantity of {digits} digits; X12 004010 takes {QUANTITY_DIGITS_MAX}, not below 0");
            self.problem("quantity", &message, path);
        }
        text
    }

    /// A unit price and its basis (element 639).
    pub(crate) fn price(&mut self, price: &UnitPrice, path: &str) -> (String, &'static str) {
        let basis = match price.per_quantity {
            1 => "PE",
            10 => "PN",
            100 => "HP",
            1_000 => "TP",
            other => {
                let message = format!("the price is for {other} units; expected 1, 10, 100 or 1000");
                self.problem("price-per-quantity", &message, path);
                ""
            }
        };
        (plain(price.amount, price.scale), basis)
    }

    /// The bytes of the set.
    ///
    /// # Errors
    /// `invalid` with everything that cannot be written.
    pub(crate) fn finish(self) -> Result<Vec<u8>, Failure> {
        let Self { writer, mut problems, .. } = self;
        match writer.close() {
            Ok(body) if problems.is_empty() => return Ok(body),
            Ok(_) => {}
            Err(unwritable) => problems.extend(
                unwritable.into_iter().map(|value| Problem::new(value.why.code(), value.why.to_string(), value.path)),
            ),
        }
        problems.truncate(100);
        Err(Failure::Invalid(problems))
    }
}

/// A unit of measure: element 355, two characters.
pub(crate) fn unit<'a>(quantity: &'a Quantity, path: &'a str) -> Element<'a> {
    Element::Value(&quantity.unit, 2, 2, path)
}

/// A reason for people, cut to `chars_max`, without what X12 cannot hold.
pub(crate) fn cut(text: &str, chars_max: usize) -> String {
    let harmless =
        |character: char| if matches!(character, '*' | '>' | '~') || character.is_control() { ' ' } else { character };
    let text: String = text.trim().chars().map(harmless).take(chars_max).collect();
    text.trim().to_owned()
}

/// A number without zeros behind its point: X12 wants none.
pub(crate) fn plain(units: i64, scale: u8) -> String {
    let text = money::to_text(units, scale);
    match text.split_once('.') {
        Some(_) => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        None => text,
    }
}

/// The sum of quantities, as digits; none when it does not fit.
pub(crate) fn sum<'a>(quantities: impl Iterator<Item = &'a Quantity>) -> Option<String> {
    let mut total = 0_i64;
    let mut scale_max = 0_u8;
    let quantities: Vec<&Quantity> = quantities.collect();
    for quantity in &quantities {
        scale_max = scale_max.max(quantity.scale);
    }
    for quantity in quantities {
        let places = u32::from(scale_max.checked_sub(quantity.scale)?);
        total = total.checked_add(quantity.value.checked_mul(10_i64.checked_pow(places)?)?)?;
    }
    Some(plain(total, scale_max))
}

/// A UUID, with or without hyphens: what the host names orders by.
fn is_host_identifier(text: &str) -> bool {
    let digits: String = text.chars().filter(|character| *character != '-').collect();
    digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}
