"""A process that is stopped for a time, and one whose worker is held."""

import contextlib
import signal
import time

from common import Berth, free_port, near, probes, read_all, short_or_long, trial, wait_until
from surroundings.load import KEPT_ALIVE, NEW_CONNECTIONS, Loads


@trial("process-stopped")
def process_stopped() -> str:
    """SIGSTOP and SIGCONT, as of a machine that is paused or moved.

    A head that was sent in a pause longer than server.client_header_timeout may be told that it was
    late: actix reckons from a time that it looks up twice a second, so that it is over at once. All
    else has to be as if nothing had been.
    """
    pauses, header_timeout = short_or_long(((3,), 10), ((3, 6, 6), 5))
    waited, late = 0, 0
    with Berth(BERTH__SERVER__CLIENT_HEADER_TIMEOUT=f"{header_timeout}s", BERTH__LOG__ACCESS="false") as server:
        for pause in pauses:
            kinds = (KEPT_ALIVE, NEW_CONNECTIONS) if pause < header_timeout else (KEPT_ALIVE,)
            with Loads(server, *kinds) as loads, contextlib.ExitStack() as waiting:
                time.sleep(1)
                server.process.send_signal(signal.SIGSTOP)
                # They come meanwhile, and are whole before it goes on.
                clients = [waiting.enter_context(server.connect(30)) for _ in range(50)]
                for client in clients:
                    client.sendall(b"GET /api/v1/hello HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
                time.sleep(pause)
                server.process.send_signal(signal.SIGCONT)
                started = time.monotonic()
                for client in clients:
                    status = read_all(client)[9:12]
                    waited += 1
                    late += status == b"408"
                    assert status == b"200" or status == b"408" and pause >= header_timeout, \
                        f"what came in a pause of {pause} s got {status!r}"
                back = time.monotonic() - started
                near("all answers after the pause", back, 0, 2)
                time.sleep(0.5)
                with probes(server) as took:
                    time.sleep(1)
                near("a probe after the pause", max(took), 0, 1)
        code = server.stop()
    assert code == 0, f"it ended with {code}"
    return (f"pauses of {', '.join(map(str, pauses))} s: no request of the load failed; of {waited} that came meanwhile"
            f" {late} were late (408), the last {len(clients)} answered within {back * 1000:.0f} ms")


@trial("worker-stuck")
def worker_stuck() -> str:
    """A worker that handlers hold: /health on the management port is 503 from the thirtieth second on, until it runs.

    Less than that is no reason, nor is a process that is paused however long. The short form has no time for half a
    minute.
    """
    count, block, pause = short_or_long((2, 2, 3), (5, 10, 40))
    management = free_port()

    def health() -> int:
        return server.ask("/health", port=management)

    settings = {"BERTH__SERVER__WORKERS": "1", "BERTH__DEBUG__ROUTES": "true", "BERTH__MANAGEMENT__PORT": str(management)}
    with Berth(**settings) as server, contextlib.ExitStack() as open_ones:
        clients = [open_ones.enter_context(server.connect(60)) for _ in range(count)]
        for client in clients:
            client.sendall(b"GET /health HTTP/1.1\r\nHost: t\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        # What has come while the first is handled is handled together, and no timer is looked at between.
        for client in clients:
            client.sendall(b"GET /debug/block/%ds HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n" % block)
            time.sleep(0.2)
        if short_or_long(False, True):
            started = time.monotonic()
            wait_until(lambda: health() == 503, "a worker is stuck, and nothing says so", 60)
            stuck_after = time.monotonic() - started
            near("until the worker was found to be stuck", stuck_after, 28, 45)
            found = f"found to be stuck after {stuck_after:.0f} s"
        else:
            with probes(server, port=management):
                time.sleep(count * block - 1)
            found = f"not stuck in {count * block} s"
        for client in clients:
            read_all(client)
        back = wait_until(lambda: health() == 200, "the worker runs, and is said to be stuck", 5)
        if short_or_long(False, True):
            for said in ("stuck: 1 of 1 workers, for 30s", "all workers run again"):
                wait_until(lambda said=said: server.log().count(said) == 1, f"'{said}' is not in the log, once", 5)

        server.process.send_signal(signal.SIGSTOP)
        time.sleep(pause)
        server.process.send_signal(signal.SIGCONT)
        with probes(server, port=management):
            time.sleep(2)
        assert server.stop() == 0
    return f"{found}, well again {back:.1f} s after; well at once after a pause of {pause} s"
