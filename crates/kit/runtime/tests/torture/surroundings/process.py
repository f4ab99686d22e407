"""A process that is stopped for a time."""

import contextlib
import signal
import time

from common import Berth, near, probes, read_all, short_or_long, trial
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
