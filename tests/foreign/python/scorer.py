"""A scorer by componentize-py. Its answer says what it was asked and what it found
around itself: nothing that the host's machine has."""

import encodings.idna  # Sockets look it up by name; what is not imported here is not in the component.
import os
import random
import socket
import time
from datetime import datetime, timezone
from decimal import Decimal

import wit_world
from componentize_py_types import Ok
from wit_world.imports.advice import Assessment, Hold, HoldScope_Order, Proposal_Hold, Reason


class WitWorld(wit_world.WitWorld):
    def score(self, requests):
        return [Ok(assess(request)) for request in requests]


def assess(request):
    reasons = [Reason("line", 100, line.number) for line in request.order.lines]
    reasons += [Reason(code, 1, None) for code in found(request)]
    # What Python makes of its random numbers is a part of the answer.
    reasons.append(Reason("drawn", random.SystemRandom().randrange(10_000), None))
    reasons.append(Reason("hash", hash("order") % 10_000, None))
    reasons.sort(key=lambda reason: -abs(reason.contribution_bp))
    print("nobody reads this")
    proposals = [Proposal_Hold(Hold(HoldScope_Order(), 60, "line"))] if value(request.order) > 100 else []
    return Assessment(100 * len(request.order.lines), reasons, proposals, None)


def value(order):
    prices = ((line.unit_price, line.quantity) for line in order.lines)
    return sum(
        Decimal(price.amount).scaleb(-price.scale) * Decimal(quantity.value).scaleb(-quantity.scale)
        for price, quantity in prices
    )


def found(request):
    """One code for each thing that is as it should be."""
    if not os.environ:
        yield "no-environment"
    try:
        open("/etc/passwd", encoding="utf-8")
    except OSError:
        yield "no-files"
    try:
        socket.create_connection(("127.0.0.1", 9), timeout=1)
    except OSError:
        yield "no-network"
    now = datetime.now(timezone.utc)
    if round(now.timestamp() * 1000) == request.received_at:
        yield "the-time-of-receipt"
    began = time.monotonic()
    sum(range(10_000))
    if time.monotonic() == began:
        yield "no-time-passes"
    time.sleep(3600)
    if time.monotonic() >= began + 3600:
        yield "waiting-is-free"
