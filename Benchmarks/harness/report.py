"""The table: a row as soon as it is known, and whether any of them failed."""

import sys

from client import Failure


class Report:
    """Prints Markdown on standard output. `failed` is true once a row has."""

    def __init__(self, machine):
        self.failed = False
        print(machine, "", "| what | Bulkhead | other | ratio or figure | target | holds? |",
              "| --- | --- | --- | --- | --- | --- |", sep="\n", flush=True)

    def row(self, what, ours, other, figure, target="", holds=None):
        verdict = "" if holds is None else "yes" if holds else "**no**"
        print("|", " | ".join([what, ours, other, figure, target, verdict]), "|", flush=True)

    def comparison(self, what, comparison, target=None, other="nginx"):
        """CPU time per request of both, and their ratio, which is to be at most `target`."""
        self.row(
            what, f"{comparison.ours:.2f} µs", f"{other} {comparison.theirs:.2f} µs",
            f"{comparison.ratio:.2f} ({comparison.least:.2f}–{comparison.greatest:.2f})",
            f"≤ {target:.2f}" if target else "", comparison.ratio <= target if target else None)

    def attempt(self, what, measure):
        """Runs a measurement that reports its own rows. What it fails with is the row instead."""
        try:
            measure()
        except (Failure, OSError) as failure:
            self.failed = True
            print(f"bench: {what}: {failure}", file=sys.stderr)
            self.row(what, "failed", "", str(failure).replace("|", "/").replace("\n", " "), "", False)

    def end(self, bystanders, seconds):
        """What else the machine was busy with: more than a few per cent make the figures worse, the ratios less so."""
        print(f"\nIn {seconds:.0f} s, of which other processes took {bystanders:.0%} of the machine.", flush=True)
