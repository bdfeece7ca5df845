#!/usr/bin/env python3
"""Medians of benchmark runs of cajal and of PyTorch, from their JSON lines.

    bench/compare_runs.py FILE [--markdown]

As text: the runs of one model, and the ratio. As markdown: a row for every model and batch. Fails when
runs to be compared are not of the same model.
"""
import argparse
import collections
import json
import statistics
import sys


def name_of(run):
    if run["peer"] == "torch":
        return "torch " + run["mode"]
    name = "cajal" if run["dtype"] != "fp8" else "cajal fp8"
    return name + (" every-op" if run["sync"] == "every-op" else "")


def read(file):
    """{(preset, batch, seq): {name: [run]}}, in the order of the file."""
    table = {}
    with open(file, encoding="utf-8") as lines:
        for line in lines:
            if not line.startswith("{"):
                continue
            run = json.loads(line)
            where = (run["preset"], run["batch"], run["seq"])
            table.setdefault(where, collections.defaultdict(list))[name_of(run)].append(run)
    if not table:
        sys.exit(f"{sys.argv[0]}: no runs in {file}")
    return table


def require_one_model(where, runs):
    # Rows that pad a vocabulary may be counted or not; a different model differs by more.
    params = {name: of[0]["params"] for name, of in runs.items()}
    if max(params.values()) / min(params.values()) - 1 > 1e-3:
        sys.exit(f"{sys.argv[0]}: {where}: not the same model: parameters {params}")


def median(runs, key):
    values = [run[key] for run in runs if run.get(key) is not None]
    return statistics.median(values) if values else None


def peak_flops(runs):
    """Of bf16 on this device, as cajal knows it: both are measured by one yardstick."""
    for of in runs.values():
        for run in of:
            if run["peer"] == "cajal" and run.get("mfu") and run["dtype"] != "fp8":
                return run["tflops"] / run["mfu"]
    return None


def row(name, runs, peak):
    tflops = median(runs, "tflops")
    busy = median(runs, "gpu_busy" if runs[0]["peer"] == "torch" else "device_busy")
    return dict(name=name, ms=median(runs, "ms_per_step"), tokens=median(runs, "tokens_per_s"),
                tflops=tflops, mfu=tflops / peak if peak else None, busy=busy,
                mib=median(runs, "peak_bytes") / 2**20, waits=median(runs, "host_waits_per_step"))


def share(value, width=0):
    return f"{'-' if value is None else f'{value:.1%}':>{width}}"


def as_text(where, runs):
    peak = peak_flops(runs)
    rows = [row(name, of, peak) for name, of in runs.items()]
    wide = max(len(r["name"]) for r in rows)
    print(f"\n{'':{wide}}{'ms/step':>10}{'tokens/s':>10}{'GFLOP/s':>10}{'MFU':>8}{'busy':>8}"
          f"{'peak MiB':>10}  rounds (tokens/s)")
    for r in rows:
        rounds = " ".join(f"{run['tokens_per_s']:.0f}" for run in runs[r["name"]])
        print(f"{r['name']:{wide}}{r['ms']:10.2f}{r['tokens']:10.0f}{r['tflops'] * 1e3:10.1f}"
              f"{share(r['mfu'], 8)}{share(r['busy'], 8)}{r['mib']:10.0f}  {rounds}")
    ours = [r for r in rows if r["name"].startswith("cajal") and "every-op" not in r["name"]]
    for theirs in (r for r in rows if r["name"].startswith("torch")):
        version = runs[theirs["name"]][0]["version"]
        for mine in ours:
            print(f"{mine['name']} / {theirs['name']} ({version}): "
                  f"{mine['tokens'] / theirs['tokens']:.2f} times the tokens/s")


def as_markdown(table):
    print("| model | batch | | ms a step | tokens/s | MFU | busy | peak GiB | against the best torch |")
    print("| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for (preset, batch, _), runs in table.items():
        peak = peak_flops(runs)
        rows = [row(name, of, peak) for name, of in runs.items()]
        best = max((r["tokens"] for r in rows if r["name"].startswith("torch")), default=None)
        for r in rows:
            ratio = f"{r['tokens'] / best:.2f}" if best and r["name"].startswith("cajal") else ""
            print(f"| {preset} | {batch} | {r['name']} | {r['ms']:.2f} | {r['tokens']:.0f} | "
                  f"{share(r['mfu'])} | {share(r['busy'])} | {r['mib'] / 1024:.1f} | {ratio} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    parser.add_argument("--markdown", action="store_true")
    arguments = parser.parse_args()
    table = read(arguments.file)
    for where, runs in table.items():
        require_one_model(where, runs)
        if not arguments.markdown:
            as_text(where, runs)
    if arguments.markdown:
        as_markdown(table)


main()
