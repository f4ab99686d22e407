"""The servers that bench.py compares, and what it asks of them while they run. Needs wrk, and Linux."""

import contextlib
import os
import pathlib
import re
import socket
import subprocess
import time

OUT = pathlib.Path("target/bench").absolute()
TARGET = "/api/v1/hello?name=Ada"
TICKS = os.sysconf("SC_CLK_TCK")

# The latencies that wrk's own summary does not have.
LUA = """
done = function(summary, latency, requests)
    io.write(string.format("result %d %d %d %d %d %d\\n", summary.requests, summary.duration,
        latency:percentile(50), latency:percentile(99), latency:percentile(99.9),
        summary.errors.connect + summary.errors.read + summary.errors.write
        + summary.errors.status + summary.errors.timeout))
end
"""

# All that can be on: a file that is watched, a check, the management port, the routes for debugging with
# the faults that come with them.
EVERYTHING = """
log.format = "json"
management.port = 0
debug.routes = true
[[readiness.checks]]
name = "itself"
url = "tcp://127.0.0.1:PORT"
"""

# The same answer, an id per request, and the fields of Berth's own line; one worker, and a line that is
# written at once. nginx knows milliseconds.
NGINX = r"""
user root;
daemon off;
worker_processes 1;
pid FOLDER/nginx.pid;
error_log stderr;
events {
    worker_connections 8192;
}
http {
    map $http_traceparent $trace_id {
        "~^[0-9a-f]{2}-(?<trace>[0-9a-f]{32})-" $trace;
        default "";
    }
    map $request_completion $aborted {
        OK false;
        default true;
    }
    log_format access escape=json
        '{"ts":"$time_iso8601","level":"INFO","target":"access","msg":"request","method":"$request_method",'
        '"route":"/api/v1/hello","path":"$uri","status":$status,"latency_s":$request_time,'
        '"bytes":$body_bytes_sent,"client_ip":"$remote_addr","request_id":"$request_id",'
        '"trace_id":"$trace_id","user_agent":"$http_user_agent","aborted":$aborted}';
    access_log /dev/stderr access;
    client_body_temp_path FOLDER/nginx-client-body;
    proxy_temp_path FOLDER/nginx-proxy;
    fastcgi_temp_path FOLDER/nginx-fastcgi;
    uwsgi_temp_path FOLDER/nginx-uwsgi;
    scgi_temp_path FOLDER/nginx-scgi;
    keepalive_requests 1000000000;
    default_type application/json;
    server {
        listen 127.0.0.1:PORT;
        location = /api/v1/hello {
            add_header Cache-Control no-store;
            add_header X-Request-Id $request_id;
            return 200 '{"message":"Hello, $arg_name!","timestamp":"$time_iso8601","pod":"$hostname"}';
        }
    }
}
"""


class Kind:
    """One of the servers that are compared."""

    def __init__(self, name, command, file="", text="", many=False, **settings):
        self.name, self.command, self.settings = name, command, settings
        self.file, self.text = file, text  # That it reads; with PORT and FOLDER in it.
        self.many = many  # Whether it is of interest with very many connections.
        self.rounds, self.many_rounds = [], []


def all_kinds(berth: str, bench: str) -> list[Kind]:
    """The first is what the others are compared with."""
    return [
        Kind("raw actix-web", [bench, "raw"], many=True),
        Kind("ready-made middleware", [bench, "ready-made"]),
        Kind("axum, metrics + JSON log", [bench, "axum"], many=True),
        Kind("nginx, JSON log", ["nginx", "-e", "stderr", "-c", OUT / "nginx.conf"], "nginx.conf", NGINX, many=True),
        Kind("Berth, metrics", [berth], BERTH__LOG__ACCESS="false"),
        Kind("Berth, metrics + text log", [berth], BERTH__LOG__FORMAT="text"),
        Kind("Berth, metrics + JSON log", [berth], many=True, BERTH__LOG__FORMAT="json"),
        Kind("Berth, all on", [berth], "settings.toml", EVERYTHING, BERTH_CONFIG=str(OUT / "settings.toml")),
    ]


class Server:
    """It, while it runs. What it logs goes into a pipe that is read, as in a container."""

    def __init__(self, kind: Kind):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        env = {"PATH": os.environ["PATH"], "PORT": str(self.port), "BERTH__SERVER__WORKERS": "1",
               "BERTH__SERVER__HOST": "127.0.0.1", "HOSTNAME": "bench", **kind.settings}
        if kind.file:
            (OUT / kind.file).write_text(kind.text.replace("PORT", str(self.port)).replace("FOLDER", str(OUT)))
        start = time.perf_counter()
        self.process = subprocess.Popen(kind.command, env=env, stderr=subprocess.PIPE)
        self.reader = subprocess.Popen(["cat"], stdin=self.process.stderr, stdout=subprocess.DEVNULL)
        self.process.stderr.close()
        self.first_answer = self.wait(start)

    def wait(self, start: float) -> float:
        """Seconds from the start to the first 200."""
        request = f"GET {TARGET} HTTP/1.1\r\nHost: b\r\n\r\n".encode()
        while time.perf_counter() - start < 10:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)) as client:
                client.sendall(request)
                if client.recv(4096).startswith(b"HTTP/1.1 200"):
                    return time.perf_counter() - start
            time.sleep(0.0002)
        raise SystemExit(f"{self.process.args} does not answer")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if len(self.processes()) > 1:
            # It ends those that it has started.
            self.process.terminate()
        else:
            self.process.kill()
        self.process.wait()
        self.reader.wait()

    def processes(self) -> list[int]:
        """Itself, and those that it has started."""
        pid = self.process.pid
        return [pid, *map(int, pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]

    def cpu(self) -> float:
        """Seconds of user and system time so far, of all processes and threads."""
        ticks = 0
        for pid in self.processes():
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICKS

    def memory(self) -> float:
        """Resident memory in MB (10^6 bytes); what its processes share counts once."""
        kilobytes = 0
        for pid in self.processes():
            rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            kilobytes += int(re.search(r"^Pss:\s+(\d+) kB", rollup, re.M)[1])
        return kilobytes * 1024 / 1e6

    def load(self, seconds: float, connections: int) -> dict:
        script = OUT / "wrk.lua"
        script.write_text(LUA)
        before = self.cpu()
        done = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script,
             f"http://127.0.0.1:{self.port}{TARGET}"], capture_output=True, text=True, check=True)
        cpu = self.cpu() - before
        requests, micros, p50, p99, p999, errors = map(
            int, re.search(r"^result (.*)$", done.stdout, re.M)[1].split())
        assert errors == 0, f"{self.process.args[0]}: {done.stdout}"
        return {"requests": requests, "rps": requests / micros * 1e6, "cpu": cpu / requests * 1e6,
                "p50": p50, "p99": p99, "p999": p999}
