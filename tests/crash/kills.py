#!/usr/bin/env python3
"""SIGKILLs training runs at random moments, at least half of them inside a save, and looks at what
is left: scripts/test-crash.sh."""
import argparse
import collections
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time

import program as p

STEPS = 12
FLAGS = ["--preset", "tiny", "--vocab-size", "300", "--steps", str(STEPS), "--batch", "1", "--seq",
         "16", "--threads", "1", "--save-every", "2", "--eval-every", "0"]
LONGEST_RUN = 60.0


def wait_for_save(process, run, nth):
    """Returns when the nth save from now begins, or the process ends."""
    was = p.saving(run)
    while process.poll() is None:
        now = p.saving(run)
        if now and not was:
            nth -= 1
            if nth == 0:
                return
        was = now
        time.sleep(0.0002)


class Killer:
    def __init__(self, options, work):
        self.program = p.Program(options.cajal, FLAGS)
        self.random = random.Random(options.seed)
        self.work = work
        self.text = work / "text.txt"
        p.make_text(self.text)
        self.counts = collections.Counter()
        self.losses = []

    def reference(self):
        """Bits of a run that nothing disturbed, at every save where it can keep them all, and how
        long it and one of its saves take."""
        begin = time.monotonic()
        out = self.work / "reference"
        keeping = p.Program(self.program.binary, [*FLAGS, "--keep", "99"])
        if not keeping.has_flag("--keep"):
            keeping = self.program
        process = keeping.start(out, [self.text], False, None, self.work / "reference.log")
        saves = []
        while process.poll() is None:
            if p.saving(out):
                started = time.monotonic()
                while p.saving(out) and process.poll() is None:
                    time.sleep(0.0002)
                saves.append(time.monotonic() - started)
            time.sleep(0.0002)
        if process.returncode != 0:
            sys.exit(f"the run without kills failed: {(self.work / 'reference.log').read_text()}")
        self.run_seconds = time.monotonic() - begin
        self.save_seconds = sum(saves) / len(saves)
        self.at_step = {step: p.digests(folder) for step, _, folder in p.checkpoints(out)}
        self.wanted = self.at_step[STEPS]

    def kill_once(self, run, log, mode, aim):
        """Starts or goes on with `run`, kills it; whether it was in time, and inside a save."""
        process = self.program.start(run, [self.text], bool(p.checkpoints(run)), mode, log)
        if aim:
            wait_for_save(process, run, self.random.randint(1, 3))
            time.sleep(self.random.uniform(0, self.save_seconds))
        else:
            time.sleep(self.random.uniform(0, self.run_seconds))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait(LONGEST_RUN)
        return process.returncode == -signal.SIGKILL, p.saving(run)

    def look(self, run, log, mode):
        """Every promise about what a killed run leaves."""
        for step, _, folder in p.checkpoints(run):
            p.check_folder(folder)
            if step in self.at_step and p.digests(folder) != self.at_step[step]:
                raise p.Lost(f"{folder.name} has other bits than a run without kills had there")
        told = p.saved_steps(log)
        if told and p.newest_step(run) < told[-1]:
            raise p.Lost(f"step {told[-1]} was said to be saved and is not there")
        if p.checkpoints(run):
            self.program.check(run)
        copy = self.work / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        if run.exists():  # It may have been killed before it made anything.
            shutil.copytree(run, copy, symlinks=True)
        p.resume_or_begin(self.program, copy, [self.text], mode)
        p.same_end(copy, self.wanted)
        if [name for name in os.listdir(copy) if name.startswith(p.TEMPORARY)]:
            raise p.Lost(f"leftovers after a whole run: {os.listdir(copy)}")

    def chain(self, number, mode):
        """One run, killed up to three times on its way."""
        run = self.work / f"run-{number}"
        log = self.work / "log"
        for _ in range(3):
            wanted_inside = self.counts["inside " + mode] <= self.counts["outside " + mode]
            killed, inside = self.kill_once(run, log, mode, wanted_inside)
            if not killed:
                break
            place = ("inside " if inside else "outside ") + mode
            self.counts[place] += 1
            self.counts["kills"] += 1
            self.counts["no checkpoint yet"] += not p.checkpoints(run)
            try:
                self.look(run, log, mode)
            except (p.Lost, OSError, ValueError) as loss:
                self.losses.append(f"kill {self.counts['kills']} ({place} save): {loss}")
                if run.exists():
                    shutil.copytree(run, self.work / f"lost-{len(self.losses)}", symlinks=True)
                break
        shutil.rmtree(run, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cajal", required=True)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--keep", action="store_true", help="keep the folder in which runs were lost")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    work = pathlib.Path(tempfile.mkdtemp(prefix="cajal-kills-"))
    killer = Killer(options, work)
    killer.reference()
    print(f"a run takes {killer.run_seconds:.2f} s, a save {1000 * killer.save_seconds:.0f} ms", flush=True)
    modes = killer.program.checkpoint_modes()
    number = 0
    counts = killer.counts
    def enough():
        inside = sum(counts["inside " + mode] for mode in modes)
        return counts["kills"] >= options.kills and 2 * inside >= options.kills

    while not enough() and number < 4 * options.kills + 20:
        killer.chain(number, modes[number % len(modes)])
        number += 1
    for key in sorted(counts):
        print(f"  {key + (' save' if 'side' in key else ''):26} {counts[key]:5}")
    for loss in killer.losses:
        print(f"LOST: {loss}")
    inside = sum(counts["inside " + mode] for mode in modes)
    print(f"{counts['kills']} kills, {inside} inside a save, {len(killer.losses)} lost")
    if not (killer.losses and options.keep):
        shutil.rmtree(work)
    else:
        print(f"kept in {work}")
    sys.exit(0 if enough() and not killer.losses else 1)


if __name__ == "__main__":
    main()
