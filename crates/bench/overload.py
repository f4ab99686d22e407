#!/usr/bin/env python3
"""Loads a service with more than it can answer, with and without server.max_in_flight = "auto".

    crates/bench/overload.py BERTH [--docs]

BERTH is the static release binary, with debug routes. Prints a table; with --docs, it and its plot are those of
docs/overload.md, docs/overload.svg.
"""

import argparse
import math
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "crates/kit/runtime/tests/torture"))

import common  # noqa: E402
from connections.overload import COMPUTING, limited  # noqa: E402
from surroundings.open_loop import Seen, load  # noqa: E402

PAGE, PLOT = ROOT / "docs/overload.md", ROOT / "docs/overload.svg"
MULTIPLES = (0.25, 0.5, 1, 2, 3, 5, 10)
SECONDS = 6

# How long after the load began it is looked at: the limit is found by then.
SETTLED = 4

# How long a client waits for its answer, in seconds: what comes later is of no use to it.
PATIENCE = 1


def seen(most: str | None, target: str, capacity: float) -> list[Seen]:
    """What comes of each multiple, in a process of its own."""
    all_of_them = []
    for times in MULTIPLES:
        with limited(most) as server:
            # It knows what is usual.
            load(server.port, target, capacity / 4, 0, after=2)
            all_of_them.append(load(server.port, target, capacity * times, SECONDS, after=SETTLED))
    return all_of_them


def useful(one: Seen) -> float:
    return sum(latency <= PATIENCE for latency in one.latencies) / one.seconds


def chart(left: int, title: str, ticks: dict[float, str], top: float, lines: list[tuple[str, list[float]]]) -> list[str]:
    """Both axes are logarithmic where `top` is over 100."""
    width, height, bottom = 300, 200, 240
    x = lambda times: left + width * math.log(times / MULTIPLES[0]) / math.log(MULTIPLES[-1] / MULTIPLES[0])
    least = min(ticks)
    y = lambda value: bottom - height * (
        math.log(max(value, least) / least) / math.log(top / least) if least else value / top)
    parts = [f'<text x="{left}" y="24" font-weight="bold">{title}</text>',
             f'<path d="M{left} {bottom - height}V{bottom}H{left + width}" fill="none" stroke="black"/>']
    for times in MULTIPLES:
        parts.append(f'<text x="{x(times):.0f}" y="{bottom + 18}" text-anchor="middle">{times:g}</text>')
    for value, text in ticks.items():
        parts.append(f'<text x="{left - 6}" y="{y(value) + 4:.0f}" text-anchor="end">{text}</text>'
                     f'<line x1="{left}" x2="{left + width}" y1="{y(value):.0f}" y2="{y(value):.0f}" stroke="#dddddd"/>')
    for colour, values in lines:
        points = " ".join(f"{x(times):.0f},{y(value):.1f}" for times, value in zip(MULTIPLES, values))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
    return parts


def plot(capacity: float, without: list[Seen], auto: list[Seen]) -> str:
    colours = {"without a limit": "#cc0000", 'max_in_flight = "auto"': "#3465a4"}
    good = [[useful(one) / capacity * 100 for one in kind] for kind in (without, auto)]
    late = [[one.within(0.99) * 1000 for one in kind] for kind in (without, auto)]
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 300" font-family="sans-serif" font-size="13">',
             '<rect width="760" height="300" fill="white"/>',
             *chart(60, "answered within a second, % of what can be", {0: "0", 50: "50", 100: "100"}, 110,
                    list(zip(colours.values(), good))),
             *chart(440, "99th percentile, ms", {10: "10", 100: "100", 1000: "1,000", 10000: "10,000"}, 10000,
                    list(zip(colours.values(), late)))]
    for place, (name, colour) in enumerate(colours.items()):
        at = 60 + 380 * place
        parts.append(f'<rect x="{at}" y="277" width="24" height="4" fill="{colour}"/>'
                     f'<text x="{at + 32}" y="284">{name.replace(chr(34), "&quot;")}</text>')
    parts.append('<text x="730" y="284" text-anchor="end">load, as a multiple of the capacity</text>')
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("berth")
    parser.add_argument("--docs", action="store_true", help="take the figures over into docs/overload.md")
    given = parser.parse_args()
    common.prepare(given.berth, False)
    target, most_ever, most = COMPUTING
    with limited(None) as server:
        capacity = load(server.port, target, 2 * most_ever, 4).answered
    without, auto = seen(None, target, capacity), seen(most, target, capacity)
    rows = ["| load | answered within 1 s, without and with `auto` | p99, ms | refused |", "|---|---|---|---|"]
    for times, one, other in zip(MULTIPLES, without, auto):
        share = [f"{useful(each) / min(times * capacity, capacity):.0%}" for each in (one, other)]
        late = [f"{each.within(0.99) * 1000:,.0f}" for each in (one, other)]
        rows.append(f"| {times:g} × | {share[0]}, {share[1]} | {late[0]}, {late[1]} | {other.refused / SECONDS:.0f} a second |")
    text = ("A handler that computes for 20 ms (`/debug/block/20ms`), two workers, clients that come at random whether or not "
            f"others have been answered; {capacity:.0f} requests a second can be answered. {SECONDS} s each, {SETTLED} after "
            "the load began. What was answered within a second is a part of what came, or could be answered at most.\n\n"
            + "\n".join(rows) + "\n\n![With and without a limit](overload.svg)\n")
    print(text)
    if given.docs:
        before, rest = PAGE.read_text().split("<!-- overload -->\n")
        after = rest.split("<!-- /overload -->\n")[1]
        PAGE.write_text(f"{before}<!-- overload -->\n{text}<!-- /overload -->\n{after}")
        PLOT.write_text(plot(capacity, without, auto))


if __name__ == "__main__":
    main()
