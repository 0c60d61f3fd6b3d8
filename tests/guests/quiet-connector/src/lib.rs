//! No attack: a connector that does nothing and imports nothing. The tests put core
//! modules of their own into its component (`tests/it/hostile/shell.rs`).

use portreeve_sdk::connector::*;

struct QuietConnector;

impl Connector for QuietConnector {
    fn receive(_input: Inbound) -> Result<Received, Failure> {
        Err(nothing())
    }

    fn deliver(_delivery: Delivery) -> Result<Receipt, Failure> {
        Err(nothing())
    }

    fn find(_query: FindQuery) -> Result<Option<Receipt>, Failure> {
        Err(nothing())
    }

    fn poll(_request: PollRequest) -> Result<Polled, Failure> {
        Err(nothing())
    }

    fn check(_request: CheckRequest) -> Result<CheckReport, Failure> {
        Err(nothing())
    }
}

fn nothing() -> Failure {
    Failure::permanent("it does nothing")
}

portreeve_sdk::connector!(QuietConnector);
