"""Bulkhead beside nginx and FastAPI, in one run on one machine. Prints a table in Markdown; see Benchmarks/README.md.

    python3 Benchmarks/harness [throughput] [shop] [phases] [watchers] [memory] [lifecycle]      default: all

Exit status 1 if an answer was not 2xx, a socket had an error, or a row could not be measured.
"""

import secrets
import signal
import sys
import time

import lifecycle
import memory
import phases
import shop
import throughput
import watchers
from processes import Bystanders
from report import Report
from servers import Workshop
from settings import Settings, machine

PARTS = {
    "throughput": throughput, "shop": shop, "phases": phases, "watchers": watchers, "memory": memory,
    "lifecycle": lifecycle,
}
# A run that hangs ends, and all that it has started with it.
LONGEST = 600


def stop(*_):
    raise SystemExit("bench: interrupted, or out of time")


def main():
    names = sys.argv[1:] or list(PARTS)
    for name in names:
        if name not in PARTS:
            raise SystemExit(f"bench: there is no part '{name}'; there are {', '.join(PARTS)}")
    settings = Settings.read()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, stop)
    signal.alarm(LONGEST)
    report = Report(machine(settings))
    bystanders, began = Bystanders(), time.monotonic()
    workshop = Workshop(settings, secrets.token_hex(32))
    try:
        for name in names:
            PARTS[name].measure(workshop, report)
    finally:
        workshop.close()
    report.end(bystanders.share(), time.monotonic() - began)
    return 1 if report.failed else 0


sys.exit(main())
