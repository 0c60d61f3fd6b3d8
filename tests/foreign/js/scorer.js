// A scorer by componentize-qjs. Its answer says what it was asked and what it found
// around itself: nothing that the host's machine has.

export function score(requests) {
    return requests.map((request) => ({ tag: "ok", val: assess(request) }));
}

function assess(request) {
    const reasons = request.order.lines.map((line) => reason("line", 100, line.number));
    reasons.push(...found(request).map((code) => reason(code, 1, null)));
    // What the engine makes of its random numbers is a part of the answer.
    reasons.push(reason("drawn", Math.floor(Math.random() * 10_000), null));
    reasons.sort((one, other) => Math.abs(other.contributionBp) - Math.abs(one.contributionBp));
    return { scoreBp: 100 * request.order.lines.length, reasons, proposals: [], model: null };
}

function reason(code, contributionBp, lineNumber) {
    return { code, contributionBp, lineNumber };
}

/** One code for each thing that is as it should be. */
function* found(request) {
    if (Date.now() === request.receivedAt) yield "the-time-of-receipt";
    const began = Date.now();
    for (let count = 0; count < 100_000; count++);
    if (Date.now() === began) yield "no-time-passes";
    if (typeof fetch === "undefined") yield "no-network";
}
