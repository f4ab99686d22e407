"""More requests than the service can answer: what it takes on has to be answered as soon as ever."""

from common import Berth, short_or_long, trial
from surroundings.open_loop import Seen, load

WORKERS = 2


def overloaded(target: str, capacity: float, most: str) -> str:
    """Loads of some times the `capacity`, in requests a second."""
    seconds = short_or_long(4, 20)
    figures = []
    with Berth(BERTH__DEBUG__ROUTES="true", BERTH__SERVER__WORKERS=str(WORKERS),
               BERTH__SERVER__MAX_IN_FLIGHT=most) as server:
        calm = load(server.port, target, capacity / 2, seconds)
        assert not calm.refused and not calm.failed, f"at half the load, {calm.refused} refused, {calm.failed[:3]}"
        for times in (1, 2, 3, 10):
            seen = load(server.port, target, capacity * times, seconds)
            assert not seen.failed, f"at {times} ×, {len(seen.failed)} failed: {seen.failed[:3]}"
            slower = seen.within(0.99) / calm.within(0.99)
            figures.append(f"{times} ×: {seen.answered / capacity:.0%} answered, p99 {slower:.1f} ×")
            if times > 1:
                assert seen.answered > 0.9 * capacity, f"at {times} × the load, {seen.answered:.0f} answered a second"
                assert slower < 2, f"at {times} × the load, {report(seen)}, and {report(calm)} at half of it"
        shed = server.sample('api_requests_shed_total{reason="in_flight"}')
        assert shed > 0, "no request was counted as refused"
        # And then it is over.
        load(server.port, target, capacity / 2, 0, after=3)
        after = load(server.port, target, capacity / 2, 2, after=0)
        assert not after.refused, f"after it, {after.refused} were refused at half the load"
    return f"{', '.join(figures)} (of {capacity:.0f} a second and {calm.within(0.99) * 1000:.0f} ms)"


def report(seen: Seen) -> str:
    return f"p99 {seen.within(0.99) * 1000:.0f} ms, median {seen.within(0.5) * 1000:.0f} ms"


@trial("overload")
def overload() -> str:
    blocks = overloaded("/debug/block/20ms", WORKERS / 0.02, "auto")
    waits = overloaded("/debug/delay/100ms", 20 / 0.1, "20")
    # Nothing gets slower there: more is taken on than at first, until all is.
    with Berth(BERTH__DEBUG__ROUTES="true", BERTH__SERVER__WORKERS=str(WORKERS),
               BERTH__SERVER__MAX_IN_FLIGHT="auto") as server:
        load(server.port, "/debug/delay/200ms", 800, 0, after=8)
        seen = load(server.port, "/debug/delay/200ms", 800, 2, after=0)
        found = server.sample("berth_max_in_flight")
        assert not seen.refused, f"{seen.refused} of {len(seen.latencies)} refused where nothing gets slower, limit {found}"
    return f"blocking, auto: {blocks}; waiting, 20 in flight: {waits}; waiting, auto: grew to {found:.0f}, none refused"
