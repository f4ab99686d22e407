"""More requests than the service can answer: what it takes on has to be answered as soon as ever."""

import contextlib
from collections.abc import Iterator

from common import Berth, short_or_long, trial
from surroundings.open_loop import Seen, load

WORKERS = 2

# What handlers do, how many requests a second that can be at most, and what server.max_in_flight is to be.
COMPUTING = ("/debug/block/20ms", WORKERS / 0.02, "auto")
WAITING = ("/debug/delay/100ms", 20 / 0.1, "20")


@contextlib.contextmanager
def limited(most: str | None) -> Iterator[Berth]:
    """A service that takes on so many requests at a time, or all."""
    own = {"BERTH__SERVER__MAX_IN_FLIGHT": most} if most else {}
    with Berth(BERTH__DEBUG__ROUTES="true", BERTH__SERVER__WORKERS=str(WORKERS), **own) as server:
        yield server


def overloaded(target: str, capacity: float, most: str) -> str:
    """Loads of some times the `capacity`, in requests a second."""
    seconds = short_or_long(2, 20)
    figures = []
    with limited(most) as server:
        calm = load(server.port, target, capacity / 2, seconds, after=1)
        assert hardly_any(calm), f"at half the load, {calm.refused} refused, {calm.failed[:3]}"
        for times in short_or_long((3,), (1, 2, 3, 10)):
            seen = load(server.port, target, capacity * times, seconds, after=2)
            assert not seen.failed, f"at {times} ×, {len(seen.failed)} failed: {seen.failed[:3]}"
            slower = seen.within(0.99) / calm.within(0.99)
            figures.append(f"{times} ×: {seen.answered / capacity:.0%} answered, p99 {slower:.1f} ×")
            if times > 1:
                assert seen.answered > 0.9 * capacity, f"at {times} × the load, {seen.answered:.0f} answered a second"
                assert slower < 2, f"at {times} × the load, {report(seen)}, and {report(calm)} at half of it"
        shed = server.sample('api_requests_shed_total{reason="in_flight"}')
        assert shed > 0, "no request was counted as refused"
        # And then it is over.
        load(server.port, target, capacity / 2, 0, after=2)
        after = load(server.port, target, capacity / 2, 1, after=0)
        assert hardly_any(after), f"after it, {after.refused} were refused at half the load, {after.failed[:3]}"
    return f"{', '.join(figures)} (of {capacity:.0f} a second and {calm.within(0.99) * 1000:.0f} ms)"


def hardly_any(seen: Seen) -> bool:
    """Whether no more was refused than comes too much at one moment by chance."""
    return seen.refused <= 0.02 * len(seen.latencies) and not seen.failed


def report(seen: Seen) -> str:
    return f"p99 {seen.within(0.99) * 1000:.0f} ms, median {seen.within(0.5) * 1000:.0f} ms"


@trial("overload")
def overload() -> str:
    target, capacity, most = COMPUTING
    # A thread sleeps for longer than it says.
    with limited(None) as server:
        best = load(server.port, target, 2 * capacity, 2, after=1).answered
    assert best > 0.8 * capacity, f"without a limit, {best:.0f} answered a second"
    computing = overloaded(target, best, most)
    if short_or_long(True, False):
        return f"auto: {computing}"
    waiting = overloaded(*WAITING)
    # Nothing gets slower there: more is taken on than at first, until all is.
    with limited("auto") as server:
        seen = load(server.port, "/debug/delay/200ms", 800, 2, after=10)
        found = server.sample("berth_max_in_flight")
        assert hardly_any(seen), f"{seen.refused} of {len(seen.latencies)} refused where nothing gets slower, limit {found}"
    return f"auto: {computing}; 20 in flight: {waiting}; auto, nothing is slow: {found:.0f} in flight, {seen.refused} refused"
