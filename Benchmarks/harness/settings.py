"""What the environment says, where things are, and what machine this is."""

import dataclasses
import datetime
import os
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BENCHMARKS = ROOT / "Benchmarks"


@dataclasses.dataclass(frozen=True)
class Settings:
    """`ROUNDS`, `SECONDS_EACH`, `WORKERS`, `CONNECTIONS`, `RELEASE` and `BENCH_PYTHON`, from the environment."""

    rounds: int
    seconds: int
    workers: int
    connections: int
    release: pathlib.Path
    # A Python with FastAPI; scripts/bench makes it. Empty: there is none.
    python: str

    @staticmethod
    def read():
        def number(name, default):
            text = os.environ.get(name, str(default))
            if not text.isdigit() or int(text) < 1:
                raise SystemExit(f"bench: {name} is '{text}', and must be a whole number of at least 1")
            return int(text)

        return Settings(
            rounds=number("ROUNDS", 5),
            seconds=number("SECONDS_EACH", 1),
            workers=number("WORKERS", os.cpu_count() or 1),
            connections=number("CONNECTIONS", 64),
            release=pathlib.Path(os.environ.get("RELEASE", ROOT / ".build/release")).resolve(),
            python=os.environ.get("BENCH_PYTHON", ""),
        )


def machine(settings):
    """The line that a table of figures is worth nothing without."""
    cpu = re.search(r"^model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    nginx = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr
    version = subprocess.run(
        [settings.release / "bulkhead", "version"], capture_output=True, text=True, check=True
    ).stdout.splitlines()[0]
    return (
        f"{datetime.date.today().isoformat()}, {cpu.group(1) if cpu else 'unknown CPU'}, {os.cpu_count()} cores, "
        f"Linux {os.uname().release}, nginx {nginx.strip().rpartition('/')[2]}, {version}; "
        f"{settings.workers} workers each, {settings.connections} connections, {settings.rounds} pairs of "
        f"{settings.seconds} s runs a row, load average {os.getloadavg()[0]:.2f} at the start."
    )
