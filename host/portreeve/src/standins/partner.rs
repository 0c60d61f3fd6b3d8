//! A customer who buys over X12: purchase orders, and what asks for one to be another one or not
//! to be carried out, as interchanges for whoever plays him to post. He sends nothing by himself. What goes out to
//! customers is taken by [`Partner`].

mod asked;

mod endpoint;

pub use asked::{Asked, AskedLine};
pub use endpoint::{Answers, Entry, Partner};

/// A purchase order that nothing is wrong with: catalogue items at list price, for a customer
/// of good standing.
#[derive(Debug, Clone)]
pub struct PurchaseOrder {
    /// BEG03.
    pub number: String,
    /// The customer's number without its hyphen.
    pub customer: &'static str,
    /// SKU, quantity, unit, unit price.
    pub lines: Vec<(&'static str, u32, &'static str, &'static str)>,
}

impl PurchaseOrder {
    /// A clean order.
    #[must_use]
    pub fn clean(number: &str) -> Self {
        Self {
            number: number.to_owned(),
            customer: "C1201",
            lines: vec![("FST-1007", 10, "BX", "18.40"), ("ELC-1049", 4, "EA", "11.75")],
        }
    }

    /// The same order from somebody else.
    #[must_use]
    pub fn of_customer(mut self, customer: &'static str) -> Self {
        self.customer = customer;
        self
    }

    /// The same order with other lines.
    #[must_use]
    pub fn with_lines(mut self, lines: &[(&'static str, u32, &'static str, &'static str)]) -> Self {
        self.lines = lines.to_vec();
        self
    }

    fn set(&self, number: usize, purpose: Purpose) -> Vec<String> {
        let customer = hyphened(self.customer);
        let begin = match purpose {
            Purpose::Original => format!("BEG*00*SA*{}**20260302", self.number),
            Purpose::Cancellation => format!("BEG*01*SA*{}**20260302", self.number),
            Purpose::Change(sequence) => format!("BCH*05*CP*{}**{sequence}*20260302", self.number),
        };
        let mut body = vec![
            format!("ST*{}*{number:04}", purpose.set()),
            begin,
            "DTM*002*20260330".to_owned(),
            format!("N1*BY*The Customer*92*{customer}"),
            format!("N1*ST*The Customer*92*{customer}-01"),
            "N3*230 Commerce Ave".to_owned(),
            "N4*Tucson*AZ*85701*US".to_owned(),
        ];
        for (line, (sku, quantity, unit, price)) in (1_u32..).zip(&self.lines) {
            body.push(match purpose {
                Purpose::Change(_) => format!("POC*{line}*RZ*{quantity}**{unit}*{price}*PE*VP*{sku}"),
                Purpose::Original | Purpose::Cancellation => {
                    format!("PO1*{line}*{quantity}*{unit}*{price}*PE*VP*{sku}")
                }
            });
        }
        body.push(format!("CTT*{}", self.lines.len()));
        body.push(format!("SE*{}*{number:04}", body.len().saturating_add(1)));
        body
    }
}

/// What an order's message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It is a new order (an 850 with BEG01 00).
    Original,
    /// The order is not wanted any more (BEG01 01).
    Cancellation,
    /// The order is to be as it is said now (an 860), in the customer's change of this number.
    Change(u32),
}

impl Purpose {
    /// ST01.
    fn set(self) -> &'static str {
        match self {
            Self::Original | Self::Cancellation => "850",
            Self::Change(_) => "860",
        }
    }

    /// GS01.
    fn functional(self) -> &'static str {
        match self {
            Self::Original | Self::Cancellation => "PO",
            Self::Change(_) => "PC",
        }
    }
}

/// One interchange with several orders of one customer, that of the first; the control number is
/// the envelope's.
#[must_use]
pub fn interchange(control: u32, purpose: Purpose, orders: &[PurchaseOrder]) -> Vec<u8> {
    let customer = orders.first().map_or("", |first| first.customer);
    let mut segments = vec![
        format!(
            "ISA*00*          *00*          *ZZ*{customer:<15}*ZZ*PORTREEVE      *260302*0800*U*00401*{control:09}*0*P*>"
        ),
        format!("GS*{}*{customer}*PORTREEVE*20260302*0800*{control}*X*004010", purpose.functional()),
    ];
    segments.extend((1..).zip(orders).flat_map(|(number, order)| order.set(number, purpose)));
    segments.push(format!("GE*{}*{control}", orders.len()));
    segments.push(format!("IEA*1*{control:09}"));
    segments.iter().map(|segment| format!("{segment}~\n")).collect::<String>().into_bytes()
}

/// A customer's number as the catalogue has it.
fn hyphened(customer: &str) -> String {
    let (letter, number) = customer.split_at_checked(1).unwrap_or_default();
    format!("{letter}-{number}")
}
