#!/usr/bin/env python3
"""Where a training step's time goes, from a trace of `cajal train --trace FILE`.

    bench/summarise_trace.py FILE [--skip STEPS]

Prints one line an operation: calls and milliseconds a step, and its share of the step. The first
steps (two, unless --skip says otherwise) build primitives and touch memory, and are left out.
"""
import argparse
import collections
import json
import statistics


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    parser.add_argument("--skip", type=int, default=2)
    arguments = parser.parse_args()
    with open(arguments.file, encoding="utf-8") as stream:
        events = json.load(stream)["traceEvents"]
    steps = [e for e in events if e.get("cat") == "submission" and e["name"] == "train step"]
    steps = steps[arguments.skip:]
    if not steps:
        parser.error("no training step left in the trace; train for more of them")

    spent, calls = collections.Counter(), collections.Counter()
    for event in events:
        if event.get("cat") != "operation":
            continue
        if any(s["ts"] <= event["ts"] < s["ts"] + s["dur"] for s in steps):
            spent[event["name"]] += event["dur"] / 1e3
            calls[event["name"]] += 1
    total = sum(step["dur"] for step in steps) / 1e3
    count = len(steps)
    median = statistics.median(step["dur"] for step in steps) / 1e3
    print(f"{count} steps, {total / count:.2f} ms a step (median {median:.2f})")
    print(f"{'operation':26} {'calls':>6} {'ms':>9} {'share':>7}")
    for name, time in spent.most_common():
        print(f"{name:26} {calls[name] / count:6.0f} {time / count:9.3f} {time / total:7.1%}")
    rest = total - sum(spent.values())
    print(f"{'between operations':26} {'':6} {rest / count:9.3f} {rest / total:7.1%}")


main()
