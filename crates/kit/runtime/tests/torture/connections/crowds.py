"""Crowds that need more memory, or more connections, than there are: it has to be enough for those who behave."""

import contextlib
import selectors
import socket
import time

from common import Berth, free_port, probes, short_or_long, trial, wait_until
from connections.attacks import VALID, descriptors_for, probed, served
from surroundings.memory import memory_limit

MIB = 1024 * 1024

# Large, and of a route that is not off by default.
DOCUMENT = b"GET /openapi.json HTTP/1.1\r\nHost: t\r\n\r\n"
HEAD = b"GET /health HTTP/1.1\r\nHost: t\r\n"
HEADERS = b"".join(b"X-Header-%d: %s\r\n" % (number, b"a" * 1000) for number in range(80))
CHUNKED = b"POST %s HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
SIZED = b"POST %s HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000\r\n\r\n"

# By name: how many clients, and what each of them sends. None of them reads anything, and none closes.
CROWDS = {
    "idle": (3000, VALID),
    "silent": (2000, b""),
    "half heads": (1500, HEAD + b"X-Long: " + b"a" * 120_000),
    "small half heads": (2000, HEAD + b"X-Long: " + b"a" * 7000),
    "many headers": (1500, HEAD + HEADERS),
    "whole large heads": (1500, HEAD + HEADERS + b"\r\n"),
    "large heads of slow requests": (1500, HEAD.replace(b"/health", b"/debug/delay/5s") + HEADERS + b"\r\n"),
    "unread pipelines": (700, DOCUMENT * 30),
    "unread large answers": (700, b"GET /debug/bytes/5000000 HTTP/1.1\r\nHost: t\r\n\r\n"),
    "half bodies": (700, SIZED % b"/debug/echo" + b"x" * 900_000),
    "bodies that nobody reads": (700, SIZED % b"/debug/delay/5s" + b"x" * 900_000),
    "chunks of a byte": (700, CHUNKED % b"/debug/echo" + b"1\r\nx\r\n" * 50_000),
    "extensions of chunks": (700, CHUNKED % b"/debug/echo" + b"1;" + b"x" * 120_000),
    "trailers": (700, CHUNKED % b"/debug/echo" + b"0\r\n" + b"X-Long: " + b"x" * 120_000),
}


def crowd(server: Berth, count: int, what: bytes, seconds: float) -> int:
    """So many clients that send this as far as it is taken, and come again where they are closed. How often one came."""
    came = 0
    until = time.monotonic() + seconds
    with contextlib.ExitStack() as all_of_them, selectors.DefaultSelector() as selector:
        def come() -> None:
            nonlocal came
            came += 1
            client = all_of_them.enter_context(socket.socket())
            # What it takes of its answers is little.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", server.port))
            selector.register(client, selectors.EVENT_WRITE, memoryview(what))

        for _ in range(count):
            come()
        while time.monotonic() < until:
            for key, _ in selector.select(0.1):
                client, rest = key.fileobj, key.data
                try:
                    rest = rest[client.send(rest):] if rest else rest
                    if rest:
                        selector.modify(client, selectors.EVENT_WRITE, rest)
                    else:
                        # It stays, and does no more.
                        selector.unregister(client)
                except BlockingIOError:
                    pass
                except OSError:
                    selector.unregister(client)
                    client.close()
                    come()
    return came


@trial("crowds")
def crowds() -> str:
    """In little memory, one crowd after the other. The process lives, each probe is answered within a second, and after
    the crowd so is everybody."""
    seconds = short_or_long(1.5, 8)
    limits = short_or_long((32,), (32, 64, 128))
    descriptors_for(max(count for count, _ in CROWDS.values()))
    slowest = 0.0
    probes_in_all = 0
    figures = []
    for limit in limits:
        with memory_limit(limit * MIB) as limited:
            killed = limited.kills()
            with Berth(wrapper=limited.wrapper, BERTH__DEBUG__ROUTES="true", BERTH__LOG__FILTER="warn",
                       BERTH__LOG__ACCESS="false", BERTH__SERVER__BACKLOG="4096") as server:
                for name, (count, what) in CROWDS.items():
                    with probes(server) as took:
                        crowd(server, count, what, seconds)
                    server.alive()
                    assert limited.kills() == killed, f"{name}: killed for its memory"
                    assert max(took) < 1, f"{name}: a probe took {max(took):.1f} s"
                    served(server)
                    slowest, probes_in_all = max(slowest, max(took)), probes_in_all + len(took)
                shed = server.sample('api_requests_shed_total{reason="memory"}')
                evicted = server.sample('berth_connections_evicted_total{reason="memory"}')
                assert server.stop() in (0, 1)
            figures.append(f"{limit} MiB ({limited.name}): {shed:.0f} requests shed, {evicted:.0f} connections closed")
    assert probes_in_all > 0
    return (f"{len(CROWDS)} crowds of 700 to 3000 clients, nobody killed; {'; '.join(figures)}; "
            f"{probes_in_all} probes, slowest {slowest * 1000:.0f} ms")


class Regular:
    """A client that asks again and again on one connection, and makes another where that was closed meanwhile."""

    def __init__(self, server: Berth):
        self.server = server
        self.connects = 0
        self.socket: socket.socket | None = None

    def ask(self) -> None:
        for attempt in range(2):
            if self.socket is None:
                self.socket = self.server.connect()
                self.connects += 1
            try:
                self.socket.sendall(VALID)
                if answer := self.socket.recv(65536):
                    assert answer.startswith(b"HTTP/1.1 200 "), answer[:80]
                    return
            except (BrokenPipeError, ConnectionResetError):
                pass
            # Closed while it was idle: that is no answer lost.
            self.socket.close()
            self.socket = None
            assert attempt == 0, "a new connection was closed without an answer"


@trial("more-clients-than-places")
def more_clients_than_places() -> str:
    """Clients that keep their connections, a few more than there may be: all of them and probes of both ports are
    answered."""
    places, count, rounds = 2000, 2100, short_or_long(3, 20)
    descriptors_for(count)
    management = free_port()
    with Berth(BERTH__SERVER__MAX_CONNECTIONS=str(places), BERTH__MANAGEMENT__PORT=str(management)) as server:
        clients = [Regular(server) for _ in range(count)]
        longest = 0.0
        with probes(server) as took, probes(server, port=management) as took_private:
            for _ in range(rounds):
                for client in clients:
                    started = time.monotonic()
                    client.ask()
                    longest = max(longest, time.monotonic() - started)
            opened = server.sample("berth_open_connections")
            evicted = server.sample('berth_connections_evicted_total{reason="connections"}')
        assert opened <= places, f"{opened:.0f} connections are open, where {places} are allowed"
        assert server.sample("berth_connections_max") == places
        assert evicted >= count - places, f"{evicted:.0f} connections made room"
        assert max(took) < 1, f"a probe took {max(took):.1f} s"
        assert max(took_private) < 1, f"a probe of the management port took {max(took_private):.1f} s"
        assert longest < 1, f"a client waited {longest:.1f} s for its answer"
        for client in clients:
            if client.socket:
                client.socket.close()

        # The management port has fewer places, and a scrape has to find one.
        idle = [server.connect(port=management) for _ in range(600)]
        for client in idle[::2]:
            client.sendall(VALID)
        started = time.monotonic()
        server.exposition()
        scrape = time.monotonic() - started
        assert scrape < 1, f"the scrape took {scrape:.1f} s"
        for client in idle:
            client.close()
        assert server.stop() == 0
    return (f"{count} clients at {places} places, {rounds} rounds: {evicted:.0f} idle connections made room, slowest answer "
            f"{longest * 1000:.0f} ms; {probed(took)}, on the management port {max(took_private) * 1000:.0f} ms; "
            f"scraped in {scrape * 1000:.0f} ms beside 600 idle connections")


@trial("every-place-taken")
def every_place_taken() -> str:
    """Each place has a request that takes long: a probe of the public port waits with the clients, and one that asks the
    management port whether the process lives does not."""
    places, count = 2000, 2100
    descriptors_for(count)
    management = free_port()
    settings = {"BERTH__SERVER__MAX_CONNECTIONS": str(places), "BERTH__MANAGEMENT__PORT": str(management)}
    with Berth(BERTH__DEBUG__ROUTES="true", **settings) as server, contextlib.ExitStack() as crowd_of_them:
        for _ in range(count):
            client = crowd_of_them.enter_context(server.connect())
            client.sendall(b"GET /debug/delay/10s HTTP/1.1\r\nHost: t\r\n\r\n")
        wait_until(lambda: server.sample("api_requests_in_flight") >= places, "the places are not taken", 5)
        with probes(server, port=management) as took:
            assert server.ask("/health", timeout=2) == 0, "a place was free"
        assert max(took) < 1, f"a probe took {max(took):.1f} s"
    return f"{count} clients with a request each at {places} places; on the management port {probed(took)}"
