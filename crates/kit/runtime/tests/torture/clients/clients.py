"""Clients and proxies as they are in use, whose requests ask for an upgrade: to h2c, or to WebSocket. A
server that does not upgrade has to answer each as if that had not been asked for, and to keep the
connection or to say that it does not."""

import contextlib
import http.client
import pathlib
import random
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from typing import NamedTuple

import common
from common import Berth, free_port, short_or_long, trial, wait_until

LARGEST_BODY = 20_000
THREADS = 4
JAVA_THREADS = 2  # The fewer there are, the sooner a connection is used again.
SECONDS = 5  # In which a request has to be answered.


class Seen(NamedTuple):
    """What a client saw of its requests of one method."""

    client: str
    kind: str  # The method, and what the client asked to upgrade to.
    requests: int
    failures: int
    first: str  # How the first one failed.

    def __str__(self) -> str:
        return f"{self.client}: {self.failures} of {self.requests:,} {self.kind} failed: {self.first}"


@trial("clients")
def clients() -> str:
    """All clients and proxies are tried, whatever the first of them sees."""
    count = short_or_long(1000, 5000)
    seen: list[Seen] = []
    absent = ""
    with Berth(BERTH__DEBUG__ROUTES="true", BERTH__LOG__ACCESS="false") as server:
        if has_java():
            seen += java(server, count)
        else:
            absent = "; no Java: there is no JDK here"
        with nginx(server) as (websocket, mapped):
            seen += through("nginx (WebSocket)", websocket, count)
            seen += through("nginx (WebSocket by map)", mapped, count)
        with haproxy(server) as port:
            seen += through("HAProxy", port, count)
        for arguments in (("--http1.1",), ("--http1.1", "--parallel"), ("--http2",), ("--http2", "--parallel")):
            seen += curl(server, arguments, count)
        server.alive()
        assert server.sample("berth_panics_total") == 0, "something panicked"
        code = server.stop()
    assert code == 0, f"it ended with {code}"
    failed = [str(one) for one in seen if one.failures]
    assert not failed, "; ".join(failed) + absent
    names = ", ".join(dict.fromkeys(one.client for one in seen))
    return f"{names}: 0 of {sum(one.requests for one in seen):,} requests failed{absent}"


# Java

def has_java() -> bool:
    """Whether there is a Java that compiles what it runs."""
    if not shutil.which("java"):
        return False
    modules = subprocess.run(["java", "--list-modules"], capture_output=True, text=True)
    return "jdk.compiler" in modules.stdout


def java(server: Berth, count: int) -> list[Seen]:
    source = pathlib.Path(__file__).with_name("Requests.java")
    ran = subprocess.run(["java", source, f"http://127.0.0.1:{server.port}", str(count), str(JAVA_THREADS),
                          str(LARGEST_BODY)], capture_output=True, text=True, timeout=900)
    assert ran.returncode == 0, f"Requests.java ended with {ran.returncode}: {ran.stderr}"
    return [Seen("Java", f"{method}s", int(requests), int(failures), how) for method, requests, failures, how in
            re.findall(r"^(GET|POST) (\d+) (\d+) (.*)$", ran.stdout, re.MULTILINE)]


# Proxies. Each is told to try nothing twice, so that its clients see what is not answered.

NGINX = """\
user root;
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/client_body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream berth {{
        server 127.0.0.1:{berth};
        keepalive 16;
    }}
    map $http_upgrade $connection_upgrade {{
        default upgrade;
        ''      close;
    }}
    proxy_http_version 1.1;
    proxy_next_upstream off;
    server {{
        listen 127.0.0.1:{websocket};
        location / {{
            proxy_pass http://berth;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
        }}
    }}
    server {{
        listen 127.0.0.1:{mapped};
        location / {{
            proxy_pass http://berth;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
        }}
    }}
}}
"""

HAPROXY = """\
global
    maxconn 1000
    log stderr format raw daemon notice
defaults
    mode http
    log global
    timeout connect 2s
    timeout client 30s
    timeout server 30s
    timeout http-keep-alive 30s
    retries 0
    no option redispatch
listen berth
    bind 127.0.0.1:{port}
    http-reuse always
    server berth 127.0.0.1:{berth}
"""


@contextlib.contextmanager
def proxy(command: list, folder: pathlib.Path, port: int) -> Iterator[None]:
    """It runs until the end of a `with`."""
    with open(folder / "output", "w") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        wait_until(lambda: process.poll() is not None or answers(port), f"{command[0]} does not start: {folder}/output")
        assert process.poll() is None, f"{command[0]} has ended: {(folder / 'output').read_text()}"
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        finally:
            process.kill()


def answers(port: int) -> bool:
    with contextlib.suppress(OSError, http.client.HTTPException), connection(port) as client:
        client.request("GET", "/health")
        return client.getresponse().status == 200
    return False


@contextlib.contextmanager
def nginx(server: Berth) -> Iterator[tuple[int, int]]:
    """Its two ports: with the lines that most copy for WebSocket, and with those of its documentation."""
    folder = common.WORK / "nginx"
    folder.mkdir()
    websocket, mapped = free_port(), free_port()
    (folder / "nginx.conf").write_text(
        NGINX.format(folder=folder, berth=server.port, websocket=websocket, mapped=mapped))
    with proxy(["nginx", "-e", folder / "error.log", "-c", folder / "nginx.conf"], folder, mapped):
        yield websocket, mapped


@contextlib.contextmanager
def haproxy(server: Berth) -> Iterator[int]:
    folder = common.WORK / "haproxy"
    folder.mkdir()
    port = free_port()
    (folder / "haproxy.cfg").write_text(HAPROXY.format(port=port, berth=server.port))
    with proxy(["haproxy", "-db", "-f", folder / "haproxy.cfg"], folder, port):
        yield port


def connection(port: int) -> contextlib.closing:
    return contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS))


# What a client of a proxy asks for, which is passed on.
WISHES = {
    "": {},
    " for h2c": {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c",
                 "HTTP2-Settings": "AAMAAABkAAQCAAAAAAIAAAAA"},
    " for WebSocket": {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                       "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="},
}


def through(name: str, port: int, count: int) -> list[Seen]:
    """Some threads with a connection each, which is kept. Of ten requests, one asks for h2c and one for
    WebSocket."""
    # By method and wish, the requests, and what failed.
    requests = {(method, wish): 0 for method in ("GET", "POST") for wish in WISHES}
    faults: dict[tuple[str, str], list[str]] = {kind: [] for kind in requests}
    share = count // THREADS
    plans = []
    for _ in range(THREADS):
        plan = [(method, wish) for method in ("GET", "POST")
                for wish in random.choices(list(WISHES), (8, 1, 1), k=share)]
        random.shuffle(plan)
        plans.append(plan)
        for kind in plan:
            requests[kind] += 1

    def run(thread: int) -> None:
        with connection(port) as client:
            for number, (method, wish) in enumerate(plans[thread]):
                try:
                    wrong = (get(client, f"{thread}-{number}", WISHES[wish]) if method == "GET"
                             else post(client, WISHES[wish]))
                except (OSError, http.client.HTTPException) as error:
                    wrong = repr(error)
                if wrong:
                    faults[method, wish].append(wrong)
                    # A new connection for the next one.
                    client.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [Seen(name, f"{method}s{wish}", requests[method, wish], len(wrong), first(wrong))
            for (method, wish), wrong in faults.items()]


def first(faults: list[str]) -> str:
    return faults[0] if faults else ""


def random_body() -> bytes:
    """Half of them are short: their answers seldom begin before their end, so the connection is kept."""
    return random.randbytes(random.randint(0, random.choice((500, LARGEST_BODY))))


def get(client: http.client.HTTPConnection, name: str, headers: dict[str, str]) -> str:
    """What is wrong with the answer, or nothing."""
    client.request("GET", f"/api/v1/hello?name={name}", headers=headers)
    answer = client.getresponse()
    return wrong_greeting(name, answer.status, answer.read())


def post(client: http.client.HTTPConnection, headers: dict[str, str]) -> str:
    body = random_body()
    # Of some, the client does not know the length: they go in chunks.
    whole = random.random() < 0.75
    client.request("POST", "/debug/echo", body if whole else iter([body[:300], body[300:]]), headers)
    answer = client.getresponse()
    return wrong_echo(body, answer.status, answer.read())


def wrong_greeting(name: str, status: int, body: bytes) -> str:
    if status != 200:
        return f"status {status}"
    right = body.startswith(b'{"message":"Hello, %s!"' % name.encode()) and body.endswith(b"}")
    return "" if right else f"the body is {body[:200]}"


def wrong_echo(sent: bytes, status: int, body: bytes) -> str:
    if status != 200:
        return f"status {status}"
    return "" if sent == body else f"the body is {len(body)} bytes that are not the {len(sent)} that were sent"


# curl

TRANSFER = """\
url = "{url}"
output = "{output}"
write-out = "{number} %{{http_code}} %{{num_connects}} %{{errormsg}}\\n"
max-time = {seconds}
noproxy = "*"
{version}
{more}
"""


def curl(server: Berth, arguments: tuple[str, ...], count: int) -> list[Seen]:
    """One process that sends all, on connections that it keeps."""
    name = " ".join(("curl", *arguments))
    folder = common.WORK / name.replace(" ", "")
    folder.mkdir()
    bodies = [random_body() for _ in range(40)]
    for index, body in enumerate(bodies):
        (folder / f"body-{index}").write_bytes(body)
    version, *parallel = arguments
    base = f"http://127.0.0.1:{server.port}"
    order = ["GET", "POST"] * count
    random.shuffle(order)
    transfers = []
    for number, method in enumerate(order):
        url = f"{base}/api/v1/hello?name=curl-{number}"
        more = ""
        if method == "POST":
            url = f"{base}/debug/echo"
            more = f'data-binary = "@{folder}/body-{number % len(bodies)}"'
        transfers.append(TRANSFER.format(url=url, output=folder / str(number), number=number, more=more,
                                         seconds=SECONDS, version=version.removeprefix("--")))
    (folder / "transfers").write_text("next\n".join(transfers))
    if parallel:
        parallel += ["--parallel-immediate", "--parallel-max", str(THREADS)]
    ran = subprocess.run(["curl", "--disable", "--silent", *parallel, "--config", folder / "transfers"],
                         capture_output=True, text=True, timeout=900)
    told = {int(number): (int(status), error) for number, status, error in
            re.findall(r"^(\d+) (\d+) \d+ (.*)$", ran.stdout, re.MULTILINE)}
    connects = sum(map(int, re.findall(r"^\d+ \d+ (\d+) ", ran.stdout, re.MULTILINE)))

    faults: dict[str, list[str]] = {"GET": [], "POST": []}
    for number, method in enumerate(order):
        status, wrong = told.get(number, (0, f"curl ended with {ran.returncode} and said nothing of it"))
        output = folder / str(number)
        # Where there is nothing to write, curl makes no file.
        body = output.read_bytes() if output.exists() else b""
        if not wrong and method == "GET":
            wrong = wrong_greeting(f"curl-{number}", status, body)
        elif not wrong:
            wrong = wrong_echo(bodies[number % len(bodies)], status, body)
        if wrong:
            faults[method].append(wrong)
    # A new one follows a body whose answer has begun before its end.
    if connects > count and not any(faults.values()):
        faults["GET"].append(f"{connects} connections for {2 * count} requests: they are not kept")
    shutil.rmtree(folder)
    return [Seen(name, f"{method}s", count, len(wrong), first(wrong)) for method, wrong in faults.items()]
