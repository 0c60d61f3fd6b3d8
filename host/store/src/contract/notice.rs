//! What happened to exceptions, in an order in which others can be told of it, and how far each
//! of them was.

use portreeve_model::Instant;

use super::ExceptionView;

/// A place in what happened to exceptions: everything up to it is known. Two numbers, for
/// exceptions open and are worked on in tables of their own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NoticePlace {
    /// The number of the last exception that opened.
    pub exception: u64,
    /// The number of the last step, over all exceptions.
    pub step: u64,
}

/// Something that happened to an exception.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// Right behind it.
    pub place: NoticePlace,
    /// When.
    pub at: Instant,
    /// What.
    pub what: Happened,
    /// The exception as it is now.
    pub exception: ExceptionView,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    /// It opened.
    Opened,
    /// A step was taken.
    Step {
        /// As [`super::StepView::step`].
        step: String,
        /// The account; none where it was the host.
        who: Option<String>,
        /// To whom or where, where a step has that.
        to: Option<String>,
        /// Whose work it was until then.
        queue: String,
    },
}
