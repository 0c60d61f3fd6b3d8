//! Which failures pass: those that say nothing about what was to be done, and that
//! another try may not meet.
//!
//! | failure | passes |
//! | --- | --- |
//! | the plugin asks for another try | yes, as long as it asks for |
//! | no sandbox was free | yes |
//! | the plugin is called more often than it may be | yes, after a second: then as many calls may begin as a second has |
//! | a transformer or scorer was stopped by a clock | yes: fuel stops it where it is at fault, and a clock only where the machine is |
//! | a connector was stopped by a clock | no: clocks are what stops it, so the same input may do it every time |
//! | everything else | no |

use portreeve_model::Failure;
use portreeve_sandbox::{Call, CallError, CallFailure, TimeLimit};

/// What `calls_per_second` counts over.
const RATE_MS: u32 = 1_000;

/// How long to wait after a failure that passes: milliseconds, 0 where nobody asked
/// for any. None for every other end of a call.
pub(crate) fn passing<T>(outcome: &Result<Result<T, Failure>, CallError>) -> Option<u32> {
    match outcome {
        Ok(Err(Failure::Retry(asked_ms))) => Some(*asked_ms),
        Ok(_) => None,
        Err(error) => match error.failure {
            CallFailure::Busy { .. } => Some(0),
            CallFailure::TooOften { .. } => Some(RATE_MS),
            CallFailure::OutOfTime { limit: TimeLimit::Cpu | TimeLimit::Wall, .. } => fueled(error.call).then_some(0),
            _ => None,
        },
    }
}

/// Whether fuel stops this call, before any clock does.
pub(crate) fn fueled(call: Call) -> bool {
    matches!(call, Call::ToCanonical | Call::FromCanonical | Call::Score)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use portreeve_model::PluginName;

    use super::*;

    fn failed(call: Call, failure: CallFailure) -> Result<Result<(), Failure>, CallError> {
        Err(CallError { plugin: PluginName::parse("some").unwrap(), call, failure })
    }

    #[test]
    fn what_says_nothing_about_the_input_passes_and_what_the_input_may_cause_does_not() {
        let clock = |limit| CallFailure::OutOfTime { limit, allowed: 1, unit: "ms" };
        assert_eq!(passing::<()>(&Ok(Err(Failure::Retry(7)))), Some(7));
        assert_eq!(passing::<()>(&Ok(Err(Failure::Permanent(String::new())))), None);
        assert_eq!(passing(&Ok(Ok(()))), None);
        for call in [Call::Receive, Call::Deliver, Call::Find, Call::Score, Call::ToCanonical, Call::FromCanonical] {
            assert_eq!(passing(&failed(call, CallFailure::Busy { waited_ms: 1 })), Some(0));
            assert_eq!(passing(&failed(call, CallFailure::TooOften { allowed_per_second: 1 })), Some(1_000));
            assert_eq!(passing(&failed(call, clock(TimeLimit::Fuel))), None, "{call}");
            let expected = fueled(call).then_some(0);
            assert_eq!(passing(&failed(call, clock(TimeLimit::Wall))), expected, "{call}");
            assert_eq!(passing(&failed(call, clock(TimeLimit::Cpu))), expected, "{call}");
        }
    }
}
