"""Clients that come when they come, whether or not those before them have been answered."""

import asyncio
import math
import random
import time
from typing import NamedTuple


class Seen(NamedTuple):
    """What came of a load: for each request that was answered with 200, in seconds, how long after it was due."""

    seconds: float
    latencies: list[float]
    refused: int
    failed: list[str]

    @property
    def answered(self) -> float:
        """A second."""
        return len(self.latencies) / self.seconds

    def within(self, part: float) -> float:
        """In how many seconds this part of them was answered."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, math.ceil(part * len(ordered)))] if ordered else math.inf


# So many clients, each worker having as many as the others. More come where all of them wait for an answer.
CLIENTS = 64


class Connections:
    """Those that wait for their next request, which any of them may be the next to send."""

    def __init__(self, port: int):
        self.port = port
        self.idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.draw = random.Random(1)

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    def any(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        place = self.draw.randrange(len(self.idle))
        self.idle[place], self.idle[-1] = self.idle[-1], self.idle[place]
        return self.idle.pop()

    async def ask(self, target: str) -> tuple[int, str]:
        """The status of an answer, and what its Retry-After says."""
        reader, writer = self.any() if self.idle else await self.open()
        writer.write(f"GET {target} HTTP/1.1\r\nHost: t\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
        fields = dict(line.split(": ", 1) for line in head[1:] if line)
        await reader.readexactly(int(fields.get("content-length", 0)))
        if fields.get("connection") == "close":
            writer.close()
        else:
            self.idle.append((reader, writer))
        return int(head[0].split()[1]), fields.get("retry-after", "")


async def come(port: int, target: str, rate: float, after: float, seconds: float) -> Seen:
    connections, seen = Connections(port), Seen(seconds, [], 0, [])
    connections.idle.extend(await asyncio.gather(*(connections.open() for _ in range(CLIENTS))))
    refused = 0

    async def one(due: float) -> None:
        nonlocal refused
        try:
            status, retry_after = await asyncio.wait_for(connections.ask(target), 30)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            seen.failed.append(repr(error))
            return
        now = time.monotonic()
        if not begin + after <= now < begin + after + seconds:
            return
        if status == 200:
            seen.latencies.append(now - due)
        elif status == 503 and retry_after:
            refused += 1
        else:
            seen.failed.append(f"{status}, Retry-After: {retry_after!r}")

    begin = due = time.monotonic()
    draw = random.Random(1)
    requests = set()
    while due < begin + after + seconds:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        request = asyncio.create_task(one(due))
        requests.add(request)
        request.add_done_callback(requests.discard)
        due += draw.expovariate(rate)
    # Those who are late are not waited for: they are what is to be seen.
    for request in requests:
        request.cancel()
    await asyncio.gather(*requests, return_exceptions=True)
    for _, writer in connections.idle:
        writer.close()
    return seen._replace(refused=refused)


def load(port: int, target: str, rate: float, seconds: float, after: float = 2) -> Seen:
    """Has so many requests a second come at random, and looks at those that are answered in so many seconds `after` the
    first has come."""
    return asyncio.run(come(port, target, rate, after, seconds))
