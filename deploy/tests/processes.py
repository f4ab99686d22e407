"""What tests need of the processes that they start; nothing but the standard library is needed here."""

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(url: str, timeout: float = 5) -> tuple[int, str]:
    """The status and the body; an error status is an answer, too."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def wait_for(url: str, process: subprocess.Popen, seconds: float = 15) -> None:
    """Returns when `url` answers 200."""
    deadline = time.monotonic() + seconds
    while True:
        assert process.poll() is None, f"ended with {process.returncode} before {url} answered"
        try:
            if get(url, timeout=1)[0] == 200:
                return
        except OSError:
            pass
        assert time.monotonic() < deadline, f"{url} does not answer"
        time.sleep(0.02)


def clean_environment(**settings: str) -> dict[str, str]:
    """The environment without settings of whoever runs the tests."""
    ours = {"PORT", "ENVIRONMENT", "APP_NAME", "VERSION"}
    env = {k: v for k, v in os.environ.items() if k not in ours and not k.startswith("BERTH_")}
    return env | settings
