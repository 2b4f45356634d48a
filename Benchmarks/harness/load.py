"""Load by wrk, and what it costs a server: CPU time per request, in pairs of runs that stand side by side."""

import dataclasses
import re
import statistics
import subprocess

from client import Failure
from processes import cpu_seconds
from settings import BENCHMARKS


@dataclasses.dataclass(frozen=True)
class Target:
    """A server, and what it is asked for. `script` is a file in Benchmarks/wrk, `arguments` are the script's."""

    server: object
    path: str
    script: str = ""
    arguments: tuple = ()
    port: int = 0


def command(target, settings, seconds, options=()):
    """The wrk command for this load. As many threads as the server has workers: else one of them may get it all."""
    url = f"http://127.0.0.1:{target.port or target.server.port}{target.path}"
    script = ["-s", BENCHMARKS / "wrk" / target.script] if target.script else []
    size = [f"-t{min(settings.workers, settings.connections)}", f"-c{settings.connections}", f"-d{seconds}s"]
    return ["wrk", *size, *options, *script, url, "--", *target.arguments]


def requests_in(output, what):
    """How many requests wrk counted.

    Raises: Failure if any answer was not 2xx, or any socket had an error.
    """
    failed = re.findall(r"(Non-2xx or 3xx responses: \d+|Socket errors: .*)", output)
    if failed:
        raise Failure(f"{what}: {'; '.join(failed)}")
    count = re.search(r"(\d+) requests in", output)
    if not count or int(count.group(1)) == 0:
        raise Failure(f"{what}: no requests: {' '.join(output.split())[:200]}")
    return int(count.group(1))


def microseconds(target, settings):
    """CPU time of all the server's processes per request, in microseconds."""
    before = cpu_seconds(target.server.pid)
    done = subprocess.run(
        command(target, settings, settings.seconds), capture_output=True, text=True, timeout=settings.seconds + 20)
    spent = cpu_seconds(target.server.pid) - before
    return spent * 1e6 / requests_in(done.stdout + done.stderr, target.path)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Medians: of each side's CPU time per request, and of the pairs' ratios, with the least and the greatest."""

    ours: float
    theirs: float
    ratio: float
    least: float
    greatest: float


def compare(ours, theirs, settings):
    """Runs both in alternation: A B, B A, A B… The first pair warms them up, and does not count."""
    pairs = []
    for number in range(settings.rounds + 1):
        order = [ours, theirs] if number % 2 else [theirs, ours]
        spent = {id(target): microseconds(target, settings) for target in order}
        pairs.append((spent[id(ours)], spent[id(theirs)]))
    pairs = pairs[1:]
    ratios = [a / b for a, b in pairs]
    return Comparison(
        statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs), statistics.median(ratios),
        min(ratios), max(ratios))
