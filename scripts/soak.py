#!/usr/bin/env python3
"""A long training run whose process is watched: nothing may grow, and no step may become slower.

  scripts/soak.py [--cajal FILE] [--every S] [--out DIR] -- FLAGS OF cajal train

Starts `cajal train` with the flags given, on text that it makes itself where none is named, and
looks at the process every S seconds (5): resident and virtual memory (pinned host memory is part of
the latter), open files, threads; on an NVIDIA GPU also what the process holds there. Prints a line a
tenth of the run, then the verdict: of each figure the largest in the second quarter of the run and
in the last one, and the median time of a step in the same quarters. Exits 1 where the last quarter
is over the second one by more than the allowance printed beside it, or where the run failed.
"""
import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

MIB = 1024.0


def make_text(file):
    """Sentences with a structure that a model can learn."""
    draw = random.Random(7)
    words = "lamp river stone queue kite morning bridge letter pump page".split()
    with open(file, "w", encoding="utf-8") as out:
        for _ in range(60000):
            out.write("The " + " ".join(draw.choice(words) for _ in range(8)) + ".\n")


def look(pid):
    """What the process holds now, by name; nothing once it has ended."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            status = dict(line.split(":", 1) for line in file if ":" in line)
        held = {
            "resident MiB": int(status["VmRSS"].split()[0]) / MIB,
            "virtual MiB": int(status["VmSize"].split()[0]) / MIB,
            "threads": int(status["Threads"]),
            "open files": len(os.listdir(f"/proc/{pid}/fd")),
        }
    except (OSError, KeyError, ValueError):
        return None
    gpu = subprocess.run(
        ["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"],
        capture_output=True, text=True, check=False) if look.gpu else None
    for line in gpu.stdout.splitlines() if gpu else []:
        held["GPU MiB"] = float(line.split(",")[1])
    return held


look.gpu = False


def quarter(values, which):
    """The second or the last quarter."""
    size = len(values)
    return values[size // 4 : size // 2] if which == 2 else values[size * 3 // 4 :]


def milliseconds_a_step(metrics, tokens):
    """Of the steps, in order; those behind an evaluation or a checkpoint count as they were."""
    times = []
    with open(metrics, encoding="utf-8") as file:
        for line in file:
            entry = json.loads(line)
            if entry.get("tokens_per_s"):
                times.append(1e3 * tokens / entry["tokens_per_s"])
    return times


def verdict(name, before, after, allowance):
    good = after <= before + allowance
    print(f"{name:<14} {before:12.2f} {after:12.2f}   allowed +{allowance:.2f}  {'flat' if good else 'GROWS'}")
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cajal", default="build/release/cajal")
    parser.add_argument("--every", type=float, default=5.0)
    parser.add_argument("--out", help="the run's directory (default: a temporary one)")
    parser.add_argument("flags", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    flags = [flag for flag in options.flags if flag != "--"]
    look.gpu = any(flag.startswith("cuda") for flag in flags)

    with tempfile.TemporaryDirectory() as folder:
        out = options.out or os.path.join(folder, "run")
        command = [options.cajal, "train"]
        if not flags or flags[0].startswith("-"):
            text = os.path.join(folder, "text.txt")
            make_text(text)
            command.append(text)
        with open(os.path.join(folder, "log"), "w+", encoding="utf-8", errors="replace") as log:
            run = subprocess.Popen(command + flags + ["--out", out], stdout=log, stderr=log)
            seen = []
            while run.poll() is None:
                held = look(run.pid)
                if held:
                    seen.append(held)
                time.sleep(options.every)
            log.seek(0)
            lines = log.read().splitlines()
        metrics = os.path.join(out, "metrics.jsonl")
        plan = next((line for line in lines if line.startswith("a step")), "= 1 tokens")
        tokens = int(plan.split("=")[1].split()[0].replace(",", "").replace("'", ""))
        times = milliseconds_a_step(metrics, tokens) if os.path.exists(metrics) else []

    for i in range(0, len(seen), max(1, len(seen) // 10)):
        print(f"{i * options.every:7.0f} s  " + "  ".join(f"{k} {v:.0f}" for k, v in seen[i].items()))
    print("\n".join(lines[-16:]))
    print(f"exit status {run.returncode}, {len(times)} steps in metrics.jsonl, {len(seen)} looks")
    if run.returncode != 0 or len(seen) < 8 or len(times) < 8:
        sys.exit(1)
    print(f"\n{'':<14} {'2nd quarter':>12} {'last quarter':>12}")
    good = []
    for name in seen[len(seen) // 2]:
        before, after = (max(h.get(name, 0.0) for h in quarter(seen, q)) for q in (2, 4))
        # An allocator's pools settle slowly; a leak of one block a step would be far over this.
        good.append(verdict(name, before, after, 0.0 if name in ("threads", "open files") else 16.0))
    before, after = (statistics.median(quarter(times, q)) for q in (2, 4))
    good.append(verdict("ms a step", before, after, 0.05 * before))
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
