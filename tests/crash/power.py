#!/usr/bin/env python3
"""Power cuts: records what a training run asks of the disk, builds states that the disk may be in
after a cut at any moment (disk_model.py), and resumes from each: scripts/test-crash.sh.

This is a log of library calls and a model of our own, not dm-log-writes below a real file system."""
import argparse
import collections
import os
import pathlib
import random
import re
import shutil
import sys
import tempfile

import disk_model
import program as p

STEPS = 8


def record(program, options, work, data, mode):
    """Runs with the recorder. Returns the log's calls and the digests at the end."""
    run = work / f"recorded-{mode}"
    log = work / f"log-{mode}"
    environment = {**os.environ, "LD_PRELOAD": os.path.abspath(options.preload),
                   "CAJAL_DISK_ROOT": str(run), "CAJAL_DISK_LOG": str(log)}
    ended = program.train(run, data, mode=mode, env=environment)
    if ended.returncode != 0:
        sys.exit(f"the recorded run failed: {ended.stderr}")
    calls = disk_model.read_log(log)
    require_faithful(calls, run, work)
    return calls, p.digests(p.checkpoints(run)[-1][2])


def require_faithful(calls, run, work):
    """The log, replayed whole, is the folder that the run left: the recorder missed nothing."""
    disk = disk_model.Disk()
    for call in calls:
        disk.apply(call)
    copy = work / "faithful"
    disk.materialise(copy, random.Random(0), "all")
    if tree(copy) != tree(run):
        sys.exit(f"the recorder missed a call: {sorted(set(tree(copy).items()) ^ set(tree(run).items()))[:5]}")
    shutil.rmtree(copy)


def tree(root):
    found = {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = pathlib.Path(folder, name)
            shown = str(path.relative_to(root))
            if path.is_symlink():
                found[shown] = os.readlink(path)
            elif path.is_file():
                found[shown] = path.read_bytes()
            else:
                found[shown] = None
    return found


class Published:
    """Follows the log: the newest checkpoint whose name the disk has for certain."""

    def __init__(self):
        self.step = -1
        self.renamed = -1
        self.root = None

    def see(self, call):
        if call[0] == "mkdir" and call[2] == "":
            self.root = call[1]
        if call[0] == "rename" and (match := re.fullmatch(r"checkpoint-(\d+)(\.\d+)?", call[2])):
            self.renamed = int(match[1])
        if call[0] == "fsync" and call[1] == self.root:
            self.step = self.renamed


def check_state(program, state, published, data, mode, wanted):
    """Every promise about a disk after a cut."""
    found = p.checkpoints(state)
    if published >= 0:
        if not found or found[-1][0] < published:
            raise p.Lost(f"checkpoint {published} was published and is gone")
        for step, _, folder in found:
            if step == published:
                p.check_folder(folder)
        program.check(state)
    p.resume_or_begin(program, state, data, mode)
    p.same_end(state, wanted)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cajal", required=True)
    parser.add_argument("--preload", required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--states", type=int, default=10)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    random_ = random.Random(options.seed)
    work = pathlib.Path(tempfile.mkdtemp(prefix="cajal-power-"))
    text = work / "text.txt"
    p.make_text(text, lines=60)
    p.make_small_model(work / "model", options.tokenizer)
    program = p.Program(options.cajal, ["--init", str(work / "model"), "--steps", str(STEPS), "--batch",
                                        "2", "--seq", "16", "--threads", "1", "--save-every", "2",
                                        "--eval-every", "0", "--seed", "3"])
    modes = program.checkpoint_modes()
    recordings = {mode: record(program, options, work, [text], mode) for mode in modes}
    counts, losses = collections.Counter(), []
    for number in range(options.states):
        mode = modes[number % len(modes)]
        calls, wanted = recordings[mode]
        form = ("strict", "weak", "weak", "none")[number // len(modes) % 4]
        prefix = random_.randint(1, len(calls))
        disk, published = disk_model.Disk(), Published()
        for call in calls[:prefix]:
            disk.apply(call)
            published.see(call)
        state = work / "state"
        disk.materialise(state, random.Random(options.seed + number), form)
        try:
            check_state(program, state, published.step, [text], mode, wanted)
        except (p.Lost, OSError, ValueError) as loss:
            losses.append(f"state {number} ({mode}, {form}, {prefix} of {len(calls)} calls, "
                          f"published {published.step}): {loss}")
            disk.materialise(work / f"lost-{len(losses)}", random.Random(options.seed + number), form)
        counts[f"{mode}, {form}"] += 1
        counts["before the first checkpoint"] += published.step < 0
        shutil.rmtree(state)
    for key in sorted(counts):
        print(f"  {key:28} {counts[key]:5}")
    for loss in losses:
        print(f"LOST: {loss}")
    print(f"{options.states} disks after a power cut, {len(losses)} lost")
    if losses and options.keep:
        print(f"kept in {work}")
    else:
        shutil.rmtree(work)
    sys.exit(1 if losses else 0)


if __name__ == "__main__":
    main()
