"""The stop. What has come before the listener is closed is answered, or counted as lost, in time."""

import contextlib
import os
import pathlib
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator

from common import Berth, short_or_long, trial, wait_until
from lifecycle.stopping import Answer, Load, Sent, Stop, all_of, answer, ask, described, kept, new, stoppable


@trial("stop-busy-worker")
def stop_busy_worker() -> str:
    """What waits behind a busy worker when the signal comes."""
    return all_of({
        "in its queue": lambda: behind_a_busy_worker(1000),
        # These wait in the kernel. At the sixth of six an idle one would be closed, before its client has asked.
        "without a place for more": lambda: behind_a_busy_worker(7),
    })


def behind_a_busy_worker(places: int) -> str:
    """Five requests on kept connections, of which some have waited for a while, and five on new ones."""
    rounds, took = short_or_long(1, 10), 0.0
    for _ in range(rounds):
        with stoppable("0s", "5s", BERTH__SERVER__MAX_CONNECTIONS=str(places)) as server:
            waiting = kept(server, 3)
            time.sleep(0.5)
            waiting += kept(server, 2)
            busy = ask(new(server, 1)[0], "/debug/block/1s")
            time.sleep(0.2)
            waiting += new(server, 5)
            for client in waiting:
                ask(client, "/health")
            time.sleep(0.3)
            stop = Stop(server, 0, 5)
            assert answer(busy), "what the worker is busy with has no answer"
            assert time.monotonic() > stop.started + 0.1, "the worker was not busy when the signal came"
            answers = [answer(client) for client in waiting]
            logged = stop.end()
        assert answers.count(None) == logged, f"{described(answers)}, and {logged} by the log"
        assert answers == [Answer(200, True)] * 10, f"{described(answers)}: {answers}"
        took = max(took, stop.took)
    return f"{rounds} times 11 requests, all answered, stop within {took:.1f} s"


# Stops under load. The delay is long enough for each client to get an answer that closes its connection.

DRAIN, TIMEOUT = 1, 10

# It takes all time that two workers have.
COMPUTING = ((16, "/debug/block/20ms"),)


def at_half_time(stop: Stop, idle: list[socket.socket]) -> list[Sent]:
    """Requests on idle connections, long before the end of the delay."""
    stop.until(DRAIN / 2)
    sent = time.monotonic()
    for client in idle:
        ask(client, "/debug/block/5ms")
    assert stop.server.ask("/ready") == 503, "half a drain_delay after the signal, /ready is not 503"
    return [Sent(sent, "idle", answer(client)) for client in idle]


def while_it_stands_still(stop: Stop, idle: list[socket.socket]) -> list[Sent]:
    """The process is stopped before the end of the delay and goes on after it. Meanwhile requests come on
    new connections and on idle ones; the listener cannot have been closed before them."""
    stop.until(DRAIN - 0.15)
    process = stop.server.process
    process.send_signal(signal.SIGSTOP)
    status = pathlib.Path(f"/proc/{process.pid}/status")
    wait_until(lambda: "State:\tT" in status.read_text(), "SIGSTOP does not stop it", 1)
    sent = time.monotonic()
    connections = {"new": new(stop.server, len(idle)), "idle": idle}
    for clients in connections.values():
        for client in clients:
            ask(client, "/debug/block/5ms")
    stop.until(DRAIN + 0.1)
    process.send_signal(signal.SIGCONT)
    return [Sent(sent, on, answer(client)) for on, clients in connections.items() for client in clients]


def under_load(rounds: int, idle: int, during: Callable[[Stop, list[socket.socket]], list[Sent]],
               groups: tuple[tuple[int, str], ...] = COMPUTING, wrapper: tuple[str, ...] = (),
               beside: Callable[[Berth], contextlib.AbstractContextManager] = contextlib.nullcontext) -> str:
    """Stops under load, one after the other; none may lose a request, and each has to say what it lost."""
    total, wrong, took = 0, [], 0.0
    for number in range(1, rounds + 1):
        with stoppable(f"{DRAIN}s", f"{TIMEOUT}s", 2, wrapper=wrapper) as server, beside(server):
            waiting = kept(server, idle)
            load = Load(server, groups)
            time.sleep(0.4)
            stop = Stop(server, DRAIN, TIMEOUT)
            sent = during(stop, waiting)
            logged = stop.end()
            sent += load.end()
        total += len(sent)
        took = max(took, stop.took)
        after = [each for each in sent if each.at > stop.started]
        assert len(after) > len(load.threads), f"that was no load: {len(after)} requests after the signal"
        lost = [each for each in sent if each.answer is None]
        if lost or logged:
            wrong.append(f"round {number}: {len(lost)} lost and {logged} by the log"
                         + "".join(f", {(each.at - stop.started) * 1000:+.0f} ms {each.on}" for each in lost[:5]))
        for each in sent:
            assert each.answer is None or each.answer.status == 200, f"an answer was {each.answer.status}"
            assert each.answer is None or each.answer.closes or each.at < stop.started + DRAIN / 2, \
                f"an answer to a request {each.at - stop.started:.2f} s after the signal keeps the connection"
    assert not wrong, f"{len(wrong)} of {rounds} stops lost some of {total} requests: {'; '.join(wrong)}"
    return f"0 of {total} requests lost in {rounds} stops, each within {took:.1f} s"


@trial("stop-under-load")
def stop_under_load() -> str:
    """Clients that go on until they are refused: some for whom the workers have not enough time, and some
    that open a new connection every moment, thus at the end of the delay, too."""
    rounds = short_or_long(3, 20)
    return all_of({
        "computing": lambda: under_load(rounds, 20, at_half_time),
        "quick": lambda: under_load(rounds, 20, at_half_time, ((16, "/health"),)),
    })


@trial("stop-stopped-process")
def stop_stopped_process() -> str:
    """The process stands still across the end of the delay, as on a machine that has no time for it."""
    return under_load(short_or_long(3, 20), 40, while_it_stands_still)


class CpuQuota:
    """A cgroup with a tenth of a processor, v2 or v1, until the end of a `with`."""

    def __init__(self):
        root = pathlib.Path("/sys/fs/cgroup")
        controllers = root / "cgroup.controllers"
        if controllers.exists() and "cpu" in controllers.read_text().split():
            (root / "cgroup.subtree_control").write_text("+cpu")
            self.name, settings = "cgroup v2", {"cpu.max": "10000 100000"}
        else:
            root /= "cpu"
            self.name, settings = "cgroup v1", {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "10000"}
        self.path = root / f"berth-torture-cpu-{os.getpid()}"
        self.path.mkdir()
        try:
            for file, value in settings.items():
                (self.path / file).write_text(value)
        except OSError:
            self.path.rmdir()
            raise
        self.wrapper = ("sh", "-c", f'echo $$ > {self.path}/cgroup.procs && exec "$@"', "sh")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # It is empty some moments after the end of its last process.
        wait_until(lambda: not (self.path / "cgroup.procs").read_text(), "there is a process in the cgroup", 5)
        self.path.rmdir()

    def throttled(self) -> int:
        """In how many periods it was used up."""
        return int(re.search(r"^nr_throttled (\d+)$", (self.path / "cpu.stat").read_text(), re.MULTILINE)[1])


@contextlib.contextmanager
def interrupted(server: Berth) -> Iterator[None]:
    """Where no cgroup can be made: the process is stopped for 90 ms of each 100."""
    done = threading.Event()

    def interrupt() -> None:
        while not done.is_set():
            server.process.send_signal(signal.SIGSTOP)
            time.sleep(0.09)
            server.process.send_signal(signal.SIGCONT)
            done.wait(0.01)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@trial("stop-cpu-quota")
def stop_cpu_quota() -> str:
    """A tenth of a processor, and clients that want more."""
    rounds, groups = short_or_long(3, 20), ((12, "/health"), (4, "/debug/block/1ms"))
    try:
        quota = CpuQuota()
    except OSError:
        figure = under_load(rounds, 20, at_half_time, groups, beside=interrupted)
        return f"{figure}, stopped for 90 ms of each 100 (no cgroup can be made here)"
    with quota:
        figure = under_load(rounds, 20, at_half_time, groups, quota.wrapper)
        throttled = quota.throttled()
        assert throttled > 3 * rounds, f"in {rounds} stops, the quota was used up only {throttled} times"
    return f"{figure}, with a tenth of a processor ({quota.name}), used up {throttled} times"


# The end of its time

@trial("stop-bound")
def stop_bound() -> str:
    """What never ends is cut off in time and counted; what has no request is not waited for."""
    block, delay = "/debug/block/8s", "/debug/delay/30s"
    return all_of({
        "a busy worker": lambda: cut_off([block]),
        "a busy worker and its queue": lambda: cut_off([block] + ["/health"] * 5),
        "slow answers and half a body": lambda: cut_off([delay] * 3, half_body=True),
        "idle connections": nothing_in_flight,
        "half a head, its rest in drain_delay": lambda: half_a_head(drain_delay=1),
        "half a head, its rest after drain_delay": lambda: half_a_head(drain_delay=0),
        "a second SIGTERM": lambda: second_signal(signal.SIGTERM, block),
        "a SIGINT after a SIGTERM": lambda: second_signal(signal.SIGINT, delay),
    })


def cut_off(targets: list[str], half_body: bool = False) -> str:
    with stoppable("0s", "1s") as server:
        clients = [ask(new(server, 1)[0], targets[0])]
        time.sleep(0.2)
        clients += [ask(client, target) for client, target in zip(new(server, len(targets) - 1), targets[1:])]
        if half_body:
            clients += new(server, 1)
            clients[-1].sendall(b"POST /debug/echo HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nabc")
        time.sleep(0.3)
        stop = Stop(server, 0, 1)
        answers = [answer(client) for client in clients]
        logged = stop.end()
    assert answers.count(None) == len(clients), described(answers)
    assert logged == len(clients), f"{len(clients)} requests were cut off, and the log says {logged}"
    return f"{logged} cut off within {stop.took:.1f} s"


def nothing_in_flight() -> str:
    """Clients that never close their connections, some after an answer, some without a byte."""
    with stoppable("500ms", "10s", 2) as server:
        clients = kept(server, 50) + new(server, 20)
        time.sleep(0.2)
        stop = Stop(server, 0.5, 10)
        logged = stop.end()
        for client in clients:
            client.close()
    assert logged == 0, f"{logged} requests were cut off, and there was none"
    assert stop.took < 0.5 + 2.5, f"it took {stop.took:.1f} s"
    return f"{len(clients)}, stop within {stop.took:.1f} s"


def half_a_head(drain_delay: int) -> str:
    """Half of it is there before the signal, on a new connection and on a kept one."""
    with stoppable(f"{drain_delay}s", "5s") as server:
        clients = new(server, 1) + kept(server, 1)
        for client in clients:
            client.sendall(b"GET /hea")
        time.sleep(0.3)
        stop = Stop(server, drain_delay, 5)
        stop.until(0.3)
        for client in clients:
            # Where the connection is closed by then, there is no answer.
            with contextlib.suppress(OSError):
                client.sendall(b"lth HTTP/1.1\r\nHost: t\r\n\r\n")
        answers = [answer(client) for client in clients]
        logged = stop.end()
    assert answers == [Answer(200, True)] * 2, f"on a new connection and a kept one: {answers}"
    assert logged == 0, f"{logged} requests were cut off"
    return f"answered, stop within {stop.took:.1f} s"


def second_signal(number: signal.Signals, target: str) -> str:
    with stoppable("5s", "10s") as server:
        client = ask(new(server, 1)[0], target)
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        started = time.monotonic()
        server.process.send_signal(number)
        code = server.process.wait(5)
        took = time.monotonic() - started
        client.close()
    assert code == 128 + number, f"it ended with {code}"
    assert took < 0.5, f"it took {took:.1f} s"
    return f"{code} within {took * 1000:.0f} ms"
