//! A scorer by nothing but `wit-bindgen`, for `wasm32-wasip2`. Its answer says what it
//! was asked and what it found around itself: nothing that the host's machine has.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

wit_bindgen::generate!({ path: "../../../wit", world: "portreeve:plugin/scorer" });

use portreeve::plugin::advice::Reason;

struct Foreign;

impl Guest for Foreign {
    fn score(requests: Vec<ScoringRequest>) -> Vec<Result<Assessment, Failure>> {
        requests.iter().map(|request| Ok(assess(request))).collect()
    }
}

export!(Foreign);

fn assess(request: &ScoringRequest) -> Assessment {
    let reason = |code: &str, contribution_bp, line: Option<&String>| Reason {
        code: code.to_owned(),
        contribution_bp,
        line_number: line.cloned(),
    };
    let lines = &request.order.lines;
    let mut reasons: Vec<Reason> = lines.iter().map(|line| reason("line", 100, Some(&line.number))).collect();
    reasons.extend(found(request).into_iter().map(|code| reason(code, 1, None)));
    // What the standard library makes of its random numbers is a part of the answer.
    let drawn = RandomState::new().hash_one("order") % 10_000;
    reasons.push(reason("drawn", i32::try_from(drawn).unwrap_or(0), None));
    reasons.sort_by_key(|reason| -reason.contribution_bp.abs());
    println!("nobody reads this");
    let score_bp = u16::try_from(lines.len() * 100).unwrap_or(10_000);
    Assessment { score_bp, reasons, proposals: Vec::new(), model: None }
}

/// One code for each thing that is as it should be.
#[expect(clippy::disallowed_methods, reason = "whose clock it is, is what it finds out")]
fn found(request: &ScoringRequest) -> Vec<&'static str> {
    let mut found = Vec::new();
    let mut note = |holds: bool, code: &'static str| {
        if holds {
            found.push(code)
        }
    };
    note(std::env::vars_os().next().is_none() && std::env::args_os().next().is_none(), "no-environment");
    note(std::fs::read("/etc/passwd").is_err(), "no-files");
    note(TcpStream::connect(("127.0.0.1", 9)).is_err(), "no-network");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    note(i64::try_from(now.as_millis()) == Ok(request.received_at), "the-time-of-receipt");
    let began = Instant::now();
    note((0..10_000_u64).map(std::hint::black_box).sum::<u64>() > 0 && began.elapsed().is_zero(), "no-time-passes");
    std::thread::sleep(Duration::from_secs(3_600));
    note(began.elapsed() >= Duration::from_secs(3_600), "waiting-is-free");
    found
}
