"""Bodies that are too large or never end, and clients that do not read their answers."""

import contextlib
import select
import socket
import threading
import time

from connections.attacks import at_rest, descriptors_for, in_megabytes, probed
from common import Berth, probes, read_all, short_or_long, trial, wait_until

HUGE = 100_000_000
PIECE = b"x" * 65536
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

LARGE_ANSWER = b"GET /debug/bytes/67108864 HTTP/1.1\r\nHost: t\r\n\r\n"


def head(target: str, *lines: str, method: str = "POST") -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: t", *lines, "", ""]).encode()


def upload(server: Berth, start: bytes, pieces, patience: float = 0.0) -> tuple[bytes, float]:
    """Sends a body, and reads meanwhile, until the server closes: what came back, and the seconds that
    it took. `patience` is for the answer to come before the body is sent."""
    began = time.monotonic()
    received = b""
    with server.connect() as client, contextlib.suppress(ConnectionResetError, BrokenPipeError):
        client.sendall(start)
        # Until there is a final status, as a client does that has said Expect.
        while patience and not received.removeprefix(CONTINUE) and select.select([client], [], [], patience)[0]:
            received += client.recv(65536)
        if received.removeprefix(CONTINUE):
            pieces = iter(())
        client.setblocking(False)
        rest = memoryview(next(pieces, b""))
        while True:
            readable, writable, _ = select.select([client], [client] if rest else [], [], 10)
            assert readable or writable, "the server has neither read nor closed for 10 s"
            if writable:
                rest = rest[client.send(rest):] or memoryview(next(pieces, b""))
            if readable:
                if not (part := client.recv(65536)):
                    break
                received = (received + part)[:1_000_000]
    return received, time.monotonic() - began


@trial("huge-bodies")
def huge_bodies() -> str:
    """100 MB, with a length or in chunks, announced or not, for endpoints that take a body or none."""
    length, chunked, expect = f"Content-Length: {HUGE}", "Transfer-Encoding: chunked", "Expect: 100-continue"
    chunk = b"10000\r\n" + PIECE + b"\r\n"
    cases = [
        ("length to POST", head("/debug/echo", length), PIECE, 0.0, 413),
        ("length to POST, Expect", head("/debug/echo", length, expect), PIECE, 1.0, 413),
        ("length to GET", head("/health", length, method="GET"), PIECE, 0.0, 413),
        ("length to nothing", head("/nothing", length), PIECE, 0.0, 413),
        ("chunks to a route without bodies", head("/health", chunked), chunk, 0.0, 405),
        ("chunks to GET", head("/health", chunked, method="GET"), chunk, 0.0, 200),
        ("chunks to GET, Expect", head("/health", chunked, expect, method="GET"), chunk, 1.0, 200),
        # The answer begins with the first chunk, and breaks off where the body becomes too large.
        ("chunks to POST", head("/debug/echo", chunked), chunk, 0.0, 200),
    ]
    times = short_or_long(1, 20)
    longest = 0.0
    with Berth(BERTH__DEBUG__ROUTES="true") as server, at_rest(server) as memory, probes(server) as took:
        peak = server.memory()
        for _ in range(times):
            for name, start, piece, patience, status in cases:
                received, seconds = upload(server, start, (piece for _ in range(HUGE // len(PIECE))), patience)
                # actix says 100 before anybody can object; what counts is the status that follows. A
                # reset may take it along, where the client has not stopped to read.
                answer = received.removeprefix(CONTINUE)
                assert not answer or answer.startswith(b"HTTP/1.1 %d " % status), f"{name}: {answer[:80]}"
                assert answer or not patience, f"{name}: no answer"
                # What is still in the kernel's buffers, and what is thrown away for a second before the close.
                assert seconds < 3, f"{name}: {seconds:.1f} s until it was refused"
                peak = max(peak, server.memory())
                longest = max(longest, seconds)
        memory.append(peak)
    return (f"{times * len(cases)} bodies of 100 MB refused, after at most {longest:.1f} s; "
            f"{probed(took)}, memory {in_megabytes(memory)}")


@trial("endless-bodies")
def endless_bodies() -> str:
    """Chunks without an end, as fast as they go, whether or not somebody wants them."""
    count = short_or_long(10, 50)
    chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
    endless = [
        ("POST", "/debug/echo", chunk), ("POST", "/health", chunk), ("GET", "/health", chunk),
        ("POST", "/nothing", chunk),
        # Of one byte each, one chunk that says it is 2^60 bytes, and a trailer without an end.
        ("POST", "/health", b"1\r\nx\r\n" * 1000), ("GET", "/health", b"1000000000000000\r\n" + b"x" * 100_000),
        ("POST", "/debug/echo", b"0\r\n" + b"X: y\r\n" * 10_000),
    ]
    longest = [0.0]
    faults: list[str] = []

    def run(method: str, target: str, piece: bytes) -> None:
        until = time.monotonic() + 6

        def pieces():
            yield piece
            # The first piece decides what it is, and what follows is only more of it.
            more = piece if piece.startswith((b"8000", b"1\r\n")) else piece.partition(b"\r\n")[2]
            while time.monotonic() < until:
                yield more

        began = time.monotonic()
        with contextlib.suppress(OSError, AssertionError):
            upload(server, head(target, "Transfer-Encoding: chunked", method=method), pieces())
        seconds = time.monotonic() - began
        longest[0] = max(longest[0], seconds)
        if seconds > 5:
            faults.append(f"{method} {target} {piece[:10]} was held for {seconds:.1f} s")

    with Berth(BERTH__DEBUG__ROUTES="true", BERTH__SERVER__REQUEST_TIMEOUT="2s") as server:
        with at_rest(server) as memory, probes(server) as took:
            threads = [threading.Thread(target=run, args=case) for case in endless for _ in range(count)]
            for thread in threads:
                thread.start()
            peak = server.memory()
            while any(thread.is_alive() for thread in threads):
                peak = max(peak, server.memory())
                time.sleep(0.05)
            memory.append(peak)
            assert not faults, f"{len(faults)} of {len(threads)}: {faults[0]}"
    return (f"{len(threads)} endless bodies of {len(endless)} kinds, ended after at most {longest[0]:.1f} s; "
            f"{probed(took)}, memory {in_megabytes(memory)}")


def with_small_window(server: Berth, size: int) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    # As on a network. A segment of the loopback device is larger than the window, which makes TCP wait.
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)
    client.settimeout(10)
    client.connect(("127.0.0.1", server.port))
    return client


# Of requests that actix keeps for later ones, 128 a worker, with what was read along with them. In MB.
KEPT = 8


@trial("unread-answers")
def unread_answers() -> str:
    """Clients that ask for 64 MiB and never read, beside one that reads slowly and one that is quick."""
    count = short_or_long(400, 4000)
    descriptors_for(count)
    slow_took: list[str] = []

    def read_slowly() -> None:
        """80 kB a second for twice as long as the others last."""
        with with_small_window(server, 16_384) as client:
            client.sendall(LARGE_ANSWER)
            began = time.monotonic()
            got = 0
            while time.monotonic() - began < 7:
                part = client.recv(8192)
                if not part:
                    slow_took.append(f"a slow reader was cut off after {time.monotonic() - began:.1f} s")
                    return
                got += len(part)
                time.sleep(0.1)
            slow_took.append(f"{got / 1000 / 7:.0f} kB/s")

    def run_slowly() -> None:
        try:
            read_slowly()
        except OSError as error:
            slow_took.append(f"a slow reader was cut off: {error}")

    with Berth(BERTH__DEBUG__ROUTES="true", BERTH__SERVER__REQUEST_TIMEOUT="2s",
               BERTH__SERVER__CLIENT_HEADER_TIMEOUT="2s") as server:
        with at_rest(server, KEPT) as memory, probes(server) as took:
            base = server.descriptors()
            slow = threading.Thread(target=run_slowly)
            slow.start()
            began = time.monotonic()
            unread = [with_small_window(server, 4096) if number % 2 else server.connect() for number in range(count)]
            for client in unread:
                client.sendall(LARGE_ANSWER)
            wait_until(lambda: server.descriptors() >= base + count, "they are not all connected", 5)
            memory.append(server.memory())
            each = (memory[-1] - memory[0]) / count
            assert each < 0.12, f"an unread answer takes {each:.2f} MB"
            # The slow one, and a probe, may stay.
            ended = wait_until(lambda: server.descriptors() <= base + 4, "an unread answer is never given up", 20)
            ended = time.monotonic() - began
            assert ended < 8, f"an unread answer was given up after {ended:.1f} s, and the limit is 2 s"
            with server.connect() as quick:
                quick.sendall(LARGE_ANSWER.replace(b"Host: t", b"Host: t\r\nConnection: close"))
                size = len(read_all(quick))
                assert size > 67_108_864, f"{size} bytes of 64 MiB"
            slow.join()
            assert slow_took[0].endswith("kB/s"), slow_took[0]
            for client in unread:
                client.close()
    return (f"{count} clients that do not read, all gone after {ended:.1f} s (limit 2 s); a slow one kept at "
            f"{slow_took[0]}; {probed(took)}, memory {in_megabytes(memory)}")


@trial("unread-pipelines")
def unread_pipelines() -> str:
    """Clients that send requests without an end on one connection, and read no answer."""
    count = short_or_long(50, 500)
    requests = b"GET /health HTTP/1.1\r\nHost: t\r\n\r\n" * 4000
    with Berth(BERTH__SERVER__REQUEST_TIMEOUT="2s", BERTH__SERVER__CLIENT_HEADER_TIMEOUT="2s",
               BERTH__LOG__ACCESS="false") as server:
        with at_rest(server, KEPT) as memory, probes(server) as took:
            base = server.descriptors()
            clients = [server.connect() for _ in range(count)]
            for client in clients:
                client.setblocking(False)
            offsets = [0] * count
            began = time.monotonic()
            peak = sent = 0
            while server.descriptors() > base + 4 or time.monotonic() - began < 1:
                assert time.monotonic() - began < 15, "an unread pipeline is never given up"
                for number, client in enumerate(clients):
                    with contextlib.suppress(OSError):
                        went = client.send(requests[offsets[number]:])
                        offsets[number] = (offsets[number] + went) % len(requests)
                        sent += went
                peak = max(peak, server.memory())
                time.sleep(0.005)
            ended = time.monotonic() - began
            memory.append(peak)
            each = (peak - memory[0]) / count
            assert each < 2, f"an unread connection takes {each:.1f} MB"
            for client in clients:
                client.close()
    return (f"{count} clients with {sent / 1e6:.0f} MB of requests and no reader: {each:.2f} MB each, gone after "
            f"{ended:.1f} s; {probed(took)}, memory {in_megabytes(memory)}")
