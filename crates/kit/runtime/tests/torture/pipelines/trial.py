"""Several requests on one connection, drawn at random. Each is answered as if it were the only one."""

import collections
import contextlib
import dataclasses
import json
import random
import subprocess
import time
from collections.abc import Iterator

import common
from common import Berth, short_or_long, trial
from pipelines.conversation import Outcome, converse
from pipelines.drawing import CONNECTIONS, SEED, SHAPES, drawn, pipeline
from protocol.malformed import SMUGGLED, head, in_parallel, unharmed


def smaller(server: Berth, failed: Outcome) -> Outcome:
    """A smaller one that still fails, where a few attempts find one."""
    until = time.monotonic() + 20
    again = converse(server, failed.requests, dataclasses.replace(failed.plan, cuts={}, late=False))
    if again.wrong:
        failed = again
    at = 0
    while at < len(failed.requests) and len(failed.requests) > 1 and time.monotonic() < until:
        lengths = [len(request.encoded("p0000000-0")) for request in failed.requests]
        start = sum(lengths[:at])
        end = start + lengths[at]
        cuts = {cut if cut <= start else cut - lengths[at]: pause
                for cut, pause in failed.plan.cuts.items() if cut <= start or cut > end}
        left = sum(lengths) - lengths[at]
        cuts = {cut: pause for cut, pause in sorted(cuts.items()) if 0 < cut < left}
        again = converse(server, failed.requests[:at] + failed.requests[at + 1:],
                         dataclasses.replace(failed.plan, cuts=cuts))
        if again.wrong:
            failed = again
        else:
            at += 1
    return failed


@contextlib.contextmanager
def crowd(server: Berth) -> Iterator[None]:
    """So many requests that are not complete that the server puts others aside as soon as it can."""
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(server.connect()).sendall(head(b"Content-Length: 2") + b"x")
        yield


def carried_out(server: Berth) -> collections.Counter:
    """How often each request was, by its mark, and whatever else with /smuggled, as the log says."""
    seen: collections.Counter = collections.Counter()
    for line in server.log().splitlines():
        if line.startswith("{") and '"target":"access"' in line:
            record = json.loads(line)
            seen[SMUGGLED if "smuggled" in record["path"] else record["user_agent"]] += 1
    return seen


@trial("pipelines")
def pipelines() -> str:
    """Random requests on one connection, in random pieces, and each kind of request alone."""
    count = short_or_long(500, 6000)
    dice = random.Random(SEED)
    kinds = [request for shape in dict.fromkeys(SHAPES) for connection in CONNECTIONS
             if (request := drawn(dice, shape, connection, small=True))]
    faults = []
    with Berth(BERTH__DEBUG__ROUTES="true", BERTH__LOG__FORMAT="json", BERTH__LOG__PROBES="true",
               BERTH__SERVER__KEEP_ALIVE="1m",
               BERTH__SERVER__CLIENT_HEADER_TIMEOUT="1m", BERTH__SERVER__REQUEST_TIMEOUT="10m") as server:
        def one(number: int) -> Outcome:
            return converse(server, *pipeline(number))

        alone = in_parallel(lambda request: converse(server, [request]), kinds)
        outcomes = in_parallel(one, list(range(count // 2)))
        with crowd(server):
            outcomes += in_parallel(one, list(range(count // 2, count)))
        failing_kinds = {outcome.requests[0].kind for outcome in alone if outcome.wrong}

        def known(outcome: Outcome) -> bool:
            return any(request.kind in failing_kinds for request in outcome.requests)

        smallest = min((outcome for outcome in outcomes if outcome.wrong), default=None,
                       key=lambda outcome: (known(outcome), len(outcome.requests), len(outcome.plan.cuts)))
        if smallest:
            smallest = smaller(server, smallest)
        try:
            unharmed(server)
            server.stop()
        except (AssertionError, subprocess.TimeoutExpired) as error:
            faults.append(str(error))
        times = carried_out(server)

    for outcome in alone + outcomes:
        for at in range(len(outcome.requests)):
            often = times[f"{outcome.mark}-{at}"]
            if not outcome.wrong and often > (at < outcome.answered):
                answer = "an answer" if at < outcome.answered else "no answer"
                outcome.wrong = f"request {at + 1} has {answer} and was carried out {often} times"
    broken = [outcome for outcome in outcomes if outcome.wrong]
    broken_alone = [outcome for outcome in alone if outcome.wrong]
    if times[SMUGGLED]:
        faults.append(f"what a body says was carried out {times[SMUGGLED]} times")
    if broken_alone:
        faults.append(f"{len(broken_alone)} of {len(alone)} kinds of request fail even alone")
    if broken:
        new = sum(not known(outcome) for outcome in broken)
        faults.append(f"{len(broken)} of {count} pipelines are broken, {new} of them without such a kind")
    if faults:
        example = smallest or next(iter(broken + broken_alone), None)
        report = common.WORK / "pipelines.txt"
        report.write_text("".join(f"{'alone' if outcome in broken_alone else 'pipeline'}: {outcome.told()}\n\n"
                                  for outcome in broken_alone + broken))
        raise AssertionError(f"{'; '.join(faults)} (PIPELINES_SEED={SEED}; all are in {report})"
                             + (f"; the smallest: {example.told()}" if example else ""))
    answered = sum(outcome.answered for outcome in outcomes)
    asked = sum(outcome.as_asked for outcome in outcomes)
    otherwise = sum(outcome.closed for outcome in outcomes) - asked
    resets = sum(outcome.reset for outcome in outcomes)
    return (f"{count} pipelines, {answered:,} requests, {asked} closed as they had asked, {otherwise} for another "
            f"reason, {resets} reset after their last answer; {len(alone)} kinds of request alone")
