#!/usr/bin/env python3
"""Whether runs of one training on several devices and types learn the same.

    scripts/compare_curves.py NAME=RUN NAME=RUN[:TOLERANCE] ... [--out PREFIX]

Each RUN is a run's directory, or its metrics.jsonl; the first is what the others are held against, step
by step: |loss - loss of the first| <= TOLERANCE. Prints a markdown table. With --out also PREFIX.csv
with every step, PREFIX.md with the table and, where matplotlib is there, PREFIX.png. Exits 1 when a
curve leaves its tolerance.
"""
import argparse
import csv
import json
import math
import pathlib
import sys


class Curve:
    def __init__(self, argument):
        name, _, where = argument.partition("=")
        if not where:
            sys.exit(f"compare_curves.py: '{argument}' is no NAME=RUN")
        path, _, tolerance = where.rpartition(":")
        if path:
            where = path
        self.name, self.tolerance = name, float(tolerance) if path else None
        file = pathlib.Path(where)
        if file.is_dir():
            file = file / "metrics.jsonl"
        self.losses, self.held_out = {}, {}
        with open(file, encoding="utf-8") as lines:
            for line in lines:
                record = json.loads(line)
                # A loss that is not finite is written as null.
                if "loss" in record:
                    self.losses[record["step"]] = read(record["loss"])
                elif "val_loss" in record:
                    self.held_out[record["step"]] = read(record["val_loss"])
        if not self.losses:
            sys.exit(f"compare_curves.py: no steps in {file}")

    def difference(self, other, step):
        return abs(self.losses[step] - other.losses[step])

    def worst(self, other, steps):
        """The step where it is farthest from `other`; not a number is farther than any."""
        return max(steps, key=lambda s: (math.isnan(self.difference(other, s)), self.difference(other, s)))

    def agrees(self, other, steps):
        return all(self.difference(other, s) <= self.tolerance for s in steps)


def read(loss):
    return math.nan if loss is None else loss


def common_steps(curves):
    steps = set(curves[0].losses)
    for curve in curves[1:]:
        if set(curve.losses) != steps:
            sys.exit(f"compare_curves.py: {curve.name} has {len(curve.losses)} steps, "
                     f"{curves[0].name} has {len(steps)}")
    return sorted(steps)


def shown(steps):
    """The first, the last and a few between."""
    marks = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, steps[0], steps[-1]}
    return [s for s in steps if s in marks]


def table_of(curves, steps):
    first, others = curves[0], curves[1:]
    lines = ["| step | " + " | ".join(c.name for c in curves) + " |",
             "| ---: |" + " ---: |" * len(curves)]
    for step in shown(steps):
        lines.append(f"| {step} | " + " | ".join(f"{c.losses[step]:.5f}" for c in curves) + " |")
    if all(c.held_out for c in curves):
        last = [c.held_out[max(c.held_out)] for c in curves]
        lines.append("| held-out text | " + " | ".join(f"{loss:.5f}" for loss in last) + " |")
    lines.append("")
    for curve in others:
        step = curve.worst(first, steps)
        line = f"{curve.name}: differs from {first.name} by at most {curve.difference(first, step):.2e} (step {step})"
        if curve.tolerance is not None:
            verdict = "within" if curve.agrees(first, steps) else "NOT within"
            line += f", {verdict} {curve.tolerance:g}"
        lines.append(line)
    return "\n".join(lines) + "\n"


def write_csv(file, curves, steps):
    with open(file, "w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["step"] + [c.name for c in curves])
        for step in steps:
            rows.writerow([step] + [c.losses[step] for c in curves])


def plot(file, curves, steps):
    try:
        import matplotlib
        matplotlib.use("Agg")
        import matplotlib.pyplot as pyplot
    except ImportError:
        print(f"no matplotlib for this python: {file} is not drawn", file=sys.stderr)
        return
    figure, (above, below) = pyplot.subplots(2, 1, sharex=True, figsize=(8, 7),
                                             height_ratios=[2, 1], layout="constrained")
    for i, curve in enumerate(curves):
        # Curves lie on each other: the first is the widest.
        above.plot(steps, [curve.losses[s] for s in steps], label=curve.name, linewidth=3.5 if i == 0 else 1.2)
        if i > 0:
            gap = [max(curve.difference(curves[0], s), 1e-9) for s in steps]
            line, = below.plot(steps, gap, label=curve.name, linewidth=1, color=f"C{i}")
            if curve.tolerance is not None:
                below.axhline(curve.tolerance, color=line.get_color(), linestyle=":", linewidth=1)
    above.set_ylabel("loss (nats)")
    above.legend()
    below.set_yscale("log")
    below.set_ylabel(f"|difference| from {curves[0].name}")
    below.set_xlabel("step")
    figure.savefig(file, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN[:TOLERANCE]")
    parser.add_argument("--out", metavar="PREFIX")
    arguments = parser.parse_args()
    curves = [Curve(argument) for argument in arguments.runs]
    if len(curves) < 2:
        parser.error("there is nothing to compare with")
    steps = common_steps(curves)
    table = table_of(curves, steps)
    print(table, end="")
    if arguments.out:
        write_csv(arguments.out + ".csv", curves, steps)
        pathlib.Path(arguments.out + ".md").write_text(table, encoding="utf-8")
        plot(arguments.out + ".png", curves, steps)
    if not all(c.tolerance is None or c.agrees(curves[0], steps) for c in curves[1:]):
        sys.exit(1)


main()
