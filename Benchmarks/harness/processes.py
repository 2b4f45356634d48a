"""Processes that a benchmark starts, with all that they start: their CPU time, their memory and their end."""

import os
import pathlib
import resource
import signal
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")


def family(pid):
    """The process and all below it. One that ends meanwhile is left out."""
    found = [pid]
    for thread in _list(f"/proc/{pid}/task"):
        for child in (_read(f"/proc/{pid}/task/{thread}/children") or "").split():
            found += family(int(child))
    return found


def cpu_seconds(pid):
    """User and system time of the process, of all that live below it, and of those that it has reaped."""
    total = 0
    for member in family(pid):
        text = _read(f"/proc/{member}/stat")
        if text:
            # After the name in parentheses: utime, stime, cutime, cstime are the fields 12 to 15.
            total += sum(int(field) for field in text.rpartition(")")[2].split()[11:15])
    return total / TICKS


def memory(pid, key):
    """Bytes of the process and all below it; `key` is "Rss", or "Pss": shared pages by share."""
    return sum(_memory_of(member, key) for member in family(pid))


def _memory_of(pid, key):
    for line in (_read(f"/proc/{pid}/smaps_rollup") or "").splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    return 0


def _read(path):
    try:
        return pathlib.Path(path).read_text()
    except OSError:
        return None


def _list(path):
    try:
        return os.listdir(path)
    except OSError:
        return []


class Bystanders:
    """How much of the machine all processes take that are not of this run, from now on."""

    def __init__(self):
        self._busy, self._own, self._began = _busy_seconds(), _own_seconds(), time.monotonic()

    def share(self):
        """0 to 1, of all cores. Whatever this run has started must have ended."""
        busy = _busy_seconds() - self._busy - (_own_seconds() - self._own)
        return max(0, busy / ((time.monotonic() - self._began) * (os.cpu_count() or 1)))


def _busy_seconds():
    # user nice system idle iowait irq softirq steal
    fields = [int(field) for field in pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / TICKS


def _own_seconds():
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


class Server:
    """A server that answers on 127.0.0.1. Ends with `stop`, by process id, whatever it has started included."""

    running = []

    def __init__(self, command, port, errors, environment=None):
        self.port = port
        self.errors = errors
        with open(errors, "wb") as log:
            self.started = time.perf_counter()
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
                env={**os.environ, **(environment or {})})
        Server.running.append(self)

    @property
    def pid(self):
        return self.process.pid

    def complaint(self):
        """The last lines that it wrote."""
        return "; ".join(self.errors.read_text(errors="replace").splitlines()[-5:]) or "it says nothing"

    def stop(self):
        if self not in Server.running:
            return
        Server.running.remove(self)
        members = family(self.pid)
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            for member in members:
                try:
                    os.kill(member, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.process.wait()

    @staticmethod
    def stop_all():
        for server in list(Server.running):
            server.stop()
