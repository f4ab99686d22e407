"""Clients that want to take the service from others: slow ones, idle ones, and very many."""

import contextlib
import multiprocessing
import resource
import selectors
import socket
import time
from collections.abc import Iterator

from common import Berth, free_port, probes, short_or_long, trial, wait_until

VALID = b"GET /health HTTP/1.1\r\nHost: t\r\n\r\n"

# A head that does not end, to be sent byte by byte.
ENDLESS_HEAD = b"GET /health HTTP/1.1\r\nHost: t\r\nX-Slow: " + b"a" * 100_000


class Slow:
    """One slow connection: what it sends at once, what it sends byte by byte, and how it ended."""

    def __init__(self, server: Berth, at_once: bytes, rest: bytes):
        self.at_once, self.rest = at_once, rest
        self.received = b""
        self.ended = 0.0
        self.socket = server.connect()
        self.socket.setblocking(False)
        self.started = time.monotonic()
        if at_once:
            self.socket.send(at_once)

    def trickle(self) -> None:
        """Reads what has come, and sends another byte."""
        if self.ended:
            return
        try:
            with contextlib.suppress(BlockingIOError):
                while part := self.socket.recv(65536):
                    self.received += part
                self.end()
                return
            self.socket.send(self.rest[:1])
            self.rest = self.rest[1:]
        except OSError:
            self.end()

    def end(self) -> None:
        self.ended = time.monotonic()
        self.socket.close()

    def held(self) -> float:
        return (self.ended or time.monotonic()) - self.started


@contextlib.contextmanager
def at_rest(server: Berth, spare: float = 3) -> Iterator[list[float]]:
    """What comes inside must leave the server as it was: a client is served within a second of the end,
    no descriptor stays taken, and within ten seconds no more than `spare` MB of memory. Gives the memory
    in MB before and after, and between them what the trial has seen."""
    for _ in range(20):
        server.ask()
    descriptors = server.descriptors()
    memory = [server.memory()]
    yield memory
    served(server)
    # A probe of the trial may just be there.
    wait_until(lambda: server.descriptors() <= descriptors + 2,
               f"{server.descriptors()} descriptors are open, and {descriptors} were before", 5)
    until = time.monotonic() + 10
    while server.memory() > memory[0] + spare and time.monotonic() < until:
        time.sleep(0.1)
    memory.append(server.memory())
    assert memory[-1] <= memory[0] + spare, f"memory was {memory[0]:.1f} MB and stays at {memory[-1]:.1f} MB"


def served(server: Berth) -> float:
    """The seconds until a client is served after an attack; at most one."""
    started = time.monotonic()
    while server.ask("/api/v1/hello", timeout=0.3) != 200:
        assert time.monotonic() - started < 1, "no client is served within a second after it ended"
    took = time.monotonic() - started
    assert took < 1, f"a client was served only after {took:.1f} s"
    return took


def attack(slow: list[Slow], seconds: float, every: float) -> None:
    """Lets them trickle for so long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        turn = time.monotonic()
        for connection in slow:
            connection.trickle()
        time.sleep(max(0.0, turn + every - time.monotonic()))


def probed(took: list[float]) -> str:
    return f"{len(took)} probes, slowest {max(took) * 1000:.0f} ms"


def in_megabytes(memory: list[float]) -> str:
    return " → ".join(f"{megabytes:.1f}" for megabytes in memory) + " MB"


@trial("slow-heads")
def slow_heads() -> str:
    """Heads that come byte by byte, on new connections and on ones that are kept."""
    count, seconds = short_or_long(300, 2000), short_or_long(4, 60)
    with Berth(BERTH__SERVER__CLIENT_HEADER_TIMEOUT="1s", BERTH__SERVER__REQUEST_TIMEOUT="2s",
               BERTH__SERVER__KEEP_ALIVE="2s") as server:
        with at_rest(server) as memory:
            with probes(server) as took:
                first = [Slow(server, b"", ENDLESS_HEAD) for _ in range(count)]
                kept = [Slow(server, VALID, ENDLESS_HEAD) for _ in range(count)]
                attack(first + kept, seconds, 0.1)
            for connection in first:
                assert connection.ended, f"a head is waited for after {connection.held():.1f} s"
            # A byte that crosses the answer makes the kernel forget it.
            answers = [connection.received for connection in first if connection.received]
            assert len(answers) > 0.8 * count, f"only {len(answers)} of {count} halves of a head are answered"
            wrong = [answer for answer in answers if not answer.startswith(b"HTTP/1.1 408 ")]
            assert not wrong, f"the answer to half a head: {wrong[0][:80]}"
            for connection in kept:
                assert connection.received.startswith(b"HTTP/1.1 200 "), connection.received[:80]
                assert connection.ended, f"a second head is waited for after {connection.held():.1f} s"
            longest, longest_kept = (max(each.held() for each in group) for group in (first, kept))
            # A turn takes as long as it takes on a busy machine.
            assert longest < 3, f"a head was waited for for {longest:.1f} s, and the limit is 1 s"
            assert longest_kept < 4, f"a second head was waited for for {longest_kept:.1f} s, and the limit is 2 s"
            memory.append(server.memory())
    return (f"{count} first heads ended by 408 after at most {longest:.1f} s (limit 1 s), {count} second ones "
            f"after {longest_kept:.1f} s (2 s); {probed(took)}, memory {in_megabytes(memory)}")


@trial("slow-bodies")
def slow_bodies() -> str:
    """Bodies that come byte by byte: read or not, with a length and in chunks."""
    count, seconds = short_or_long(100, 1000), short_or_long(4, 30)
    sized = b"POST %s HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\n"
    chunked = b"POST %s HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
    kinds = {
        "sized, never begun": (sized % b"/debug/echo", b"", 408),
        "chunked, never begun": (chunked % b"/debug/echo", b"", 408),
        "chunked, in its size": (chunked % b"/debug/echo", b"0" * 1000, 408),
        # The answer has begun, so it can only be broken off.
        "sized": (sized % b"/debug/echo" + b"a", b"a" * 1000, 200),
        "chunked": (chunked % b"/debug/echo" + b"1\r\na\r\n", b"1\r\na\r\n" * 200, 200),
        "sized, unread": (sized % b"/health", b"a" * 1000, 405),
        "chunked, unread": (chunked % b"/health", b"1\r\na\r\n" * 200, 405),
    }
    with Berth(BERTH__DEBUG__ROUTES="true", BERTH__SERVER__REQUEST_TIMEOUT="1s") as server:
        with at_rest(server, 5) as memory:
            with probes(server) as took:
                slow = {kind: [Slow(server, at_once, rest) for _ in range(count)]
                        for kind, (at_once, rest, _) in kinds.items()}
                attack([one for group in slow.values() for one in group], seconds, 0.1)
            longest = 0.0
            for kind, group in slow.items():
                answered = sum(bool(one.received) for one in group)
                assert answered > 0.8 * count, f"{kind}: {answered} of {count} are answered"
                for one in group:
                    expected = b"HTTP/1.1 %d " % kinds[kind][2]
                    # A byte that crosses an answer makes the kernel forget it.
                    assert not one.received or one.received.startswith(expected), f"{kind}: {one.received[:80]}"
                    assert not one.received.endswith(b"\r\n0\r\n\r\n"), f"{kind}: half a body has a whole answer"
                    assert one.ended, f"{kind}: held after {one.held():.1f} s"
                    longest = max(longest, one.held())
            # The limit, and a second in which a client may notice that its body is not wanted.
            assert longest < 3.5, f"a body was waited for for {longest:.1f} s, and the limit is 1 s"
            memory.append(server.memory())
    return (f"{count * len(kinds)} bodies of {len(kinds)} kinds, ended after at most {longest:.1f} s (limit 1 s + 1 s "
            f"to close); {probed(took)}, memory {in_megabytes(memory)}")


def descriptors_for(count: int) -> None:
    """Lets this process open so many connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 500
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))


@trial("idle-connections")
def idle_connections() -> str:
    """Thousands of connections that do nothing, half of them after a request."""
    count = short_or_long(5000, 15_000)
    descriptors_for(count)
    with Berth(BERTH__SERVER__KEEP_ALIVE="3s", BERTH__SERVER__CLIENT_HEADER_TIMEOUT="5s") as server:
        with at_rest(server) as memory, probes(server) as took:
            for _ in range(short_or_long(3, 10)):
                idle = make_idle(server, count)
                wait_until(lambda: server.descriptors() >= count, f"{count} clients do not all get in", 10)
                # One that has just been answered has its buffers for another second.
                each = lambda: (server.memory() - memory[0]) / count * 1000
                wait_until(lambda: each() < 8, f"an idle connection takes {each():.1f} kB", 2.5)
                memory.append(server.memory())
                for client in idle:
                    client.close()
                wait_until(lambda: server.descriptors() < 100, "descriptors of clients that have left", 5)
            started = time.monotonic()
            endings = wait_for_end(make_idle(server, count), 20)
            for group, limit, what, last in [(endings[1::2], 3, "idle after a request", b"HTTP/1.1 200 "),
                                             (endings[0::2], 5, "silent", b"HTTP/1.1 408 ")]:
                # They were made one after the other, and a busy machine looks a little late.
                span = max(at for at, _ in group) - started
                assert limit - 1 < span < limit + 4, f"a connection was {what} for {span:.1f} s; the limit is {limit} s"
                wrong = [received for _, received in group if not received.startswith(last)]
                assert not wrong, f"{len(wrong)} that were {what} got {wrong[0][:50]}"
            span = time.monotonic() - started
    return (f"{count} idle connections, closed within {span:.1f} s (limits 3 and 5 s); {probed(took)}, "
            f"memory {in_megabytes(memory)}")


def make_idle(server: Berth, count: int) -> list[socket.socket]:
    """Every second one sends a request."""
    idle = [server.connect() for _ in range(count)]
    for client in idle[1::2]:
        client.sendall(VALID)
    return idle


def wait_for_end(clients: list[socket.socket], seconds: float) -> list[tuple[float, bytes]]:
    """When each was closed, and what it had got until then."""
    endings: dict[int, tuple[float, bytes]] = {}
    received = [b""] * len(clients)
    with selectors.DefaultSelector() as selector:
        for number, client in enumerate(clients):
            client.setblocking(False)
            selector.register(client, selectors.EVENT_READ, number)
        until = time.monotonic() + seconds
        while len(endings) < len(clients):
            assert time.monotonic() < until, f"{len(clients) - len(endings)} connections are never closed"
            for key, _ in selector.select(1):
                try:
                    part = key.fileobj.recv(65536)
                except ConnectionResetError:
                    part = b""
                received[key.data] += part
                if not part:
                    endings[key.data] = (time.monotonic(), received[key.data])
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
    return [endings[number] for number in range(len(clients))]


@trial("descriptor-limit")
def descriptor_limit() -> str:
    """More connections than the server has descriptors for."""
    management = free_port()
    settings = {"BERTH__MANAGEMENT__PORT": str(management), "BERTH__SERVER__CLIENT_HEADER_TIMEOUT": "1m"}
    seconds = short_or_long(3, 20)
    with Berth(wrapper=("prlimit", "--nofile=256:256"), **settings) as server:
        with at_rest(server) as memory:
            with probes(server, port=management) as took:
                clients = [socket.socket() for _ in range(400)]
                for client in clients:
                    client.setblocking(False)
                    client.connect_ex(("127.0.0.1", server.port))
                used = server.processor_time()
                time.sleep(seconds)
                used = (server.processor_time() - used) / seconds
                taken = server.descriptors()
                public = server.ask(timeout=0.5)
                memory.append(server.memory())
            for client in clients:
                client.close()
        assert taken <= 256, f"{taken} descriptors of 256"
        assert taken > 150, f"only {taken} descriptors of 256 were used"
        assert used < 0.3, f"it spins: {used:.0%} of a processor"
        assert "Error accepting" not in server.log(), "it ran out of descriptors"
        assert server.stop() == 0
    # The soft limit is the process's own to raise.
    with Berth(wrapper=("prlimit", "--nofile=256:4096"), **settings) as server, probes(server):
        clients = [server.connect() for _ in range(600)]
        wait_until(lambda: server.descriptors() > 600, "the soft limit is not raised", 5)
        for client in clients:
            client.close()
    return (f"400 clients at 256 descriptors: {taken} used, none refused by the system, {used:.0%} of a processor; "
            f"{probed(took)} on the private port, {'none' if public == 0 else public} on the public one; "
            f"memory {in_megabytes(memory)}")


def flood(port: int, until: float, connects) -> None:
    """Opens connections as fast as it can, and leaves them soon after, some with a request."""
    pending: list[socket.socket] = []
    number = 0
    while time.time() < until:
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", port))
        pending.append(client)
        number += 1
        if number % 3 == 0:
            with contextlib.suppress(OSError):
                pending[len(pending) // 2].send(VALID)
        if len(pending) > 200:
            pending.pop(0).close()
    connects.value = number


@trial("connection-flood")
def connection_flood() -> str:
    """More connections a second than there are places, from several processes."""
    management = free_port()
    seconds = short_or_long(4, 30)
    with Berth(BERTH__SERVER__BACKLOG="16", BERTH__SERVER__MAX_CONNECTIONS="32",
               BERTH__SERVER__CLIENT_HEADER_TIMEOUT="1s", BERTH__LOG__FILTER="warn",
               BERTH__MANAGEMENT__PORT=str(management)) as server:
        with at_rest(server) as memory:
            fork = multiprocessing.get_context("fork")
            counts = [fork.Value("q", 0) for _ in range(3)]
            until = time.time() + seconds
            attackers = [fork.Process(target=flood, args=(server.port, until, count)) for count in counts]
            for attacker in attackers:
                attacker.start()
            with probes(server, port=management) as took:
                while time.time() < until:
                    time.sleep(0.2)
                    taken = server.descriptors()
                    assert taken < 120, f"{taken} descriptors, where 32 connections are allowed"
                memory.append(server.memory())
                for attacker in attackers:
                    attacker.join()
        connects = sum(count.value for count in counts)
        assert connects > 1000, f"that was no flood: {connects} connections"
        assert server.stop() == 0
    return (f"{connects / seconds:.0f} connections a second at 32 places and a backlog of 16; {probed(took)} on the "
            f"private port, memory {in_megabytes(memory)}")
