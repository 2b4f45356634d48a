"""Start to first answer, and swaps: how long they take, and what clients see of them."""

import re
import signal
import statistics
import subprocess
import time

import client
from client import Connection, Failure
from load import Target, command

STARTS = 9
EDITS = 7
SWAPS = 20
# From one swap to the next, in seconds.
SPACING = 0.3
# Of each connection between an answer and its next request, in milliseconds.
PAUSE = 8
PROBED_PATH = "/api/v1/credits/_ping"


def measure(workshop, report):
    report.attempt("start to first answer", lambda: _starts(workshop, report))
    report.attempt("a swap", lambda: _swaps(workshop, report))


def _starts(workshop, report):
    place, text, port = workshop.shipped()
    # The first start makes the databases and the signing key.
    workshop.run(place, text, port).stop()
    times = []
    for _ in range(STARTS):
        server = workshop.run(place, text, port)
        times.append(server.start_seconds * 1000)
        server.stop()
    median = statistics.median(times)
    report.row(
        "start to first answer, shipped plugins.conf", f"{median:.0f} ms", "",
        f"{min(times):.0f}–{max(times):.0f} ms over {STARTS} starts", "< 50 ms", median < 50)


def _swaps(workshop, report):
    # The limiter would end this load, and it is swaps that are measured.
    place, text, port = workshop.shipped(limit="6000000/1m burst 1000000 by identity name api")
    server = workshop.run(place, text, port)
    report.attempt("a swap by an edit", lambda: _edits(server, text, report))
    report.attempt("swaps by SIGHUP", lambda: _signals(server, report))
    _under_load(server, workshop.settings, report, "at a light load", PAUSE)
    _under_load(server, workshop.settings, report, "at full load", 0)
    server.stop()


def _edits(server, text, report):
    times = []
    for number in range(EDITS):
        edited = text.replace("max-age = 10m", f"max-age = {11 + number}m")
        times.append(_swap(server, lambda: server.configuration.write_text(edited)) * 1000)
    median = statistics.median(times)
    report.row(
        "a swap, from the edit of plugins.conf to the new generation's first answer", f"{median:.0f} ms", "",
        f"{min(times):.0f}–{max(times):.0f} ms over {EDITS} edits", "< 200 ms", median < 200)


def _signals(server, report):
    times = [_swap(server, lambda: _hang_up(server)) * 1000 for _ in range(EDITS)]
    median = statistics.median(times)
    report.row(
        "the same, from SIGHUP", f"{median:.0f} ms", "", f"{min(times):.0f}–{max(times):.0f} ms over {EDITS}",
        "< 200 ms", median < 200)


def _hang_up(server):
    server.process.send_signal(signal.SIGHUP)


def _swap(server, cause, seconds=3):
    """Seconds from the cause to the first answer of a next generation, asked for on new connections."""
    with Connection(server.port) as connection:
        old = client.generation(connection)
    begin = time.perf_counter()
    cause()
    while time.perf_counter() - begin < seconds:
        with Connection(server.port) as connection:
            if client.generation(connection) > old:
                taken = time.perf_counter() - begin
                # The one before is gone, too, before the next swap.
                time.sleep(0.1)
                return taken
        time.sleep(0.001)
    raise Failure(f"no new generation within {seconds} s: {server.complaint()}")


def _under_load(server, settings, report, what, pause):
    """The same load without swaps, with, with, and without: failed requests, and the 99th percentile."""
    usual, swapped, times, failed = [], [], [], []
    for swaps in (0, SWAPS // 2, SWAPS // 2, 0):
        output, taken = _load(server, settings, SWAPS // 2 * SPACING + 1.5, pause, swaps)
        times += taken
        failed += re.findall(r"(Non-2xx or 3xx responses: \d+|Socket errors: .*)", output)
        (swapped if swaps else usual).append(_percentile99(output))
    if failed:
        report.failed = True
    # On a machine that is busy with other things fewer fit into the load.
    report.row(
        f"{len(times)} swaps under load, {what}: failed requests", "; ".join(failed) or "0", "",
        f"a swap takes {statistics.median(times) * 1000:.0f} ms (at most {max(times) * 1000:.0f})", "0", not failed)
    with_swaps, without = statistics.mean(swapped), statistics.mean(usual)
    report.row(
        "the same: p99, beside p99 without swaps", f"{with_swaps:.2f} ms", f"without {without:.2f} ms",
        f"{with_swaps / without:.2f} ×", "≤ 2 ×" if pause else "", with_swaps <= 2 * without if pause else None)


def _load(server, settings, seconds, pause, swaps):
    """What wrk says of a load with at most so many swaps in it, and how long each took, in seconds."""
    script = ("pace.lua", (str(pause),)) if pause else ()
    begun = time.perf_counter()
    load = subprocess.Popen(
        command(Target(server, PROBED_PATH, *script), settings, round(seconds), ["--latency"]), stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True)
    taken = []
    try:
        time.sleep(0.5)
        while len(taken) < swaps and time.perf_counter() - begun < seconds - 2 * SPACING:
            begin = time.perf_counter()
            taken.append(_swap(server, lambda: _hang_up(server)))
            time.sleep(max(0, begin + SPACING - time.perf_counter()))
        output, _ = load.communicate(timeout=seconds + 20)
        return output, taken
    finally:
        if load.poll() is None:
            load.kill()
            load.wait()


def _percentile99(output):
    """In milliseconds."""
    found = re.search(r"99%\s+([\d.]+)(us|ms|s)", output)
    if not found:
        raise Failure(f"wrk says no 99th percentile: {' '.join(output.split())[:200]}")
    return float(found.group(1)) * {"us": 0.001, "ms": 1, "s": 1000}[found.group(2)]
