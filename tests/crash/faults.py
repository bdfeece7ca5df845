#!/usr/bin/env python3
"""Failing disks, vanishing data and other misfortunes, each while a training runs: one clear line
with a remedy, the documented exit status, the last checkpoint whole, and the same bits after a
resume. scripts/test-crash.sh."""
import argparse
import collections
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import program as p

STEPS = 6
FAILURE, USAGE = 1, 2


class Skipped(Exception):
    """The experiment cannot be made here; the message says why."""


class Experiments:
    def __init__(self, options, work):
        self.options = options
        self.work = work
        self.text = work / "text.txt"
        p.make_text(self.text, lines=60)
        p.make_small_model(work / "model", options.tokenizer)
        self.program = p.Program(options.cajal, [
            "--init", str(work / "model"), "--steps", str(STEPS), "--batch", "2", "--seq", "16",
            "--threads", "1", "--save-every", "2", "--eval-every", "0", "--seed", "3"])
        self.modes = self.program.checkpoint_modes()
        reference = work / "reference"
        p.resume_or_begin(self.program, reference, [self.text])
        self.wanted = p.digests(p.checkpoints(reference)[-1][2])
        self.rows = collections.OrderedDict()
        self.losses = []

    def disk(self, run, **settings):
        """The environment in which the preloaded library does that to the files below `run`."""
        return {**os.environ, "LD_PRELOAD": os.path.abspath(self.options.preload),
                "CAJAL_DISK_ROOT": str(run), **{f"CAJAL_DISK_{k}": v for k, v in settings.items()}}

    def fresh(self):
        run = self.work / "run"
        shutil.rmtree(run, ignore_errors=True)
        return run

    def count(self, row, trial):
        """Makes one trial; a broken promise becomes a line of the report."""
        self.rows.setdefault(row, [0, 0])
        self.rows[row][0] += 1
        try:
            trial()
        except (p.Lost, OSError, ValueError, subprocess.TimeoutExpired) as loss:
            self.rows[row][1] += 1
            self.losses.append(f"{row}: {loss}")

    # ---- what every failure has to be ----

    def refused_well(self, ended, status, *words):
        lines = [line for line in ended.stderr.splitlines() if "error:" in line]
        if ended.returncode != status:
            raise p.Lost(f"exit {ended.returncode}, not {status}: {ended.stderr.strip()[-300:]}")
        if len(lines) != 1:
            raise p.Lost(f"{len(lines)} error lines: {ended.stderr.strip()[-300:]}")
        if "; " not in lines[0]:
            raise p.Lost(f"no remedy: {lines[0]}")
        for word in words:
            if word not in lines[0]:
                raise p.Lost(f"'{word}' is not in: {lines[0]}")

    def nothing_lost(self, run, at_least=-1):
        for _, _, folder in p.checkpoints(run):
            p.check_folder(folder)
        if p.newest_step(run) < at_least:
            raise p.Lost(f"checkpoint {at_least} is gone")
        if p.checkpoints(run):
            self.program.check(run)
        p.resume_or_begin(self.program, run, [self.text])
        p.same_end(run, self.wanted)

    # ---- the disk ----

    def failing_call(self, row, fault, mode, error, data=None):
        """One run with that fault; returns whether the fault came to pass."""
        run = self.fresh()
        ended = self.program.train(run, data or [self.text], mode=mode,
                                   env=self.disk(run, FAULT=fault, FROM="checkpoint-4"))
        if ended.returncode == 0:  # There was no such call any more, or none that matters.
            p.same_end(run, self.wanted)
            return False

        def trial():
            self.refused_well(ended, FAILURE, error)
            self.nothing_lost(run, at_least=2)

        self.count(row, trial)
        return True

    def every_call_of_a_save(self):
        """The nth write, fsync, ... of the second save fails, for every n there is."""
        faults = [("write", "ENOSPC", "No space left on device", ""),
                  ("write", "ENOSPC", "No space left on device", ":once"),
                  ("write", "EIO", "Input/output error", ":once"),
                  ("fsync", "EIO", "Input/output error", ":once"),
                  ("open", "EROFS", "Read-only file system", ""),
                  ("rename", "EIO", "Input/output error", ":once"),
                  ("name", "ENOSPC", "No space left on device", ":once")]
        for call, error, words, once in faults:
            for mode in self.modes:
                row = f"{error} at the nth {call}{' and after' if not once else ''} of a save ({mode})"
                nth, quiet = 1, 0
                while quiet < 4:
                    came = self.failing_call(row, f"{call}:{nth}:{error}{once}", mode, words)
                    quiet = 0 if came else quiet + 1
                    nth += self.options.stride

    def reading(self):
        run = self.fresh()
        p.resume_or_begin(self.program, run, [self.text])
        for nth in range(1, 12):
            copy = self.work / "copy"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(run, copy, symlinks=True)
            ended = self.program.train(copy, [], resume=True,
                                       env=self.disk(copy, FAULT=f"read:{nth}:EIO"))
            if ended.returncode == 0:
                continue

            def trial(ended=ended, copy=copy):
                self.refused_well(ended, FAILURE, "Input/output error")
                self.nothing_lost(copy, at_least=STEPS)

            self.count("EIO at the nth read of a resume and after", trial)

    def odd_disks(self):
        for row, settings in (("every call interrupted once (EINTR)", {"EINTR": "1"}),
                              ("every write short", {"SHORT": "1"}),
                              ("interrupted and short", {"EINTR": "1", "SHORT": "1"}),
                              ("a wall clock that jumps by years", {"CLOCK": "1"})):
            for mode in self.modes:
                def trial(settings=settings, mode=mode):
                    run = self.fresh()
                    ended = self.program.train(run, [self.text], mode=mode, env=self.disk(run, **settings))
                    if ended.returncode != 0:
                        raise p.Lost(f"exit {ended.returncode}: {ended.stderr.strip()[-300:]}")
                    p.same_end(run, self.wanted)
                self.count(row, trial)

    def full_disks(self):
        """A tmpfs of every size from too small for anything to large enough."""
        mount = self.work / "tmpfs"
        mount.mkdir()
        row = "a full file system (tmpfs of growing size)"
        for kilobytes in range(16, 1600, 48 * self.options.stride):
            made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", str(mount)],
                                  capture_output=True, text=True, check=False)
            if made.returncode != 0:
                raise Skipped(f"{row}: cannot mount: {made.stderr.strip()}")
            try:
                run = mount / "run"
                ended = self.program.train(run, [self.text])
                if ended.returncode == 0:
                    return

                def trial(ended=ended, run=run):
                    status = FAILURE if ended.returncode != USAGE else USAGE  # Refused at the start.
                    self.refused_well(ended, status, "space")
                    copy = self.work / "run"
                    shutil.rmtree(copy, ignore_errors=True)
                    if run.exists():
                        shutil.copytree(run, copy, symlinks=True)
                    self.nothing_lost(copy)

                self.count(row, trial)
            finally:
                subprocess.run(["umount", str(mount)], check=False)
        raise p.Lost(f"{row}: no size was enough")

    def read_only(self):
        def trial():
            mount = self.work / "read-only"
            mount.mkdir()
            made = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", str(mount)],
                                  capture_output=True, text=True, check=False)
            if made.returncode != 0:
                raise Skipped(f"a read-only file system: cannot mount: {made.stderr.strip()}")
            try:
                self.refused_well(self.program.train(mount / "run", [self.text]), USAGE, "Read-only")
            finally:
                subprocess.run(["umount", str(mount)], check=False)
        self.count("a read-only file system", trial)

    # ---- data and directories ----

    def long_run(self, data, extra=()):
        """A run that goes on until it is stopped; waits for its first checkpoint."""
        run = self.fresh()
        program = p.Program(self.options.cajal,
                            [*self.program.flags, "--steps", "1000000", "--save-every", "50", *extra])
        log = self.work / "log"
        with open(log, "w") as output:
            process = subprocess.Popen([program.binary, *program.arguments(run, data)],
                                       stdout=subprocess.DEVNULL, stderr=output)
        deadline = time.monotonic() + 30
        while not p.checkpoints(run) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        if process.poll() is not None:
            raise p.Lost(f"the run ended by itself: {log.read_text().strip()}")
        return run, process, log

    def changed_data(self):
        shards = self.work / "shards"
        shutil.copytree(self.work / "reference" / "tokens", shards)
        shard = next(path for path in shards.iterdir() if path.suffix == ".bin")
        whole = shard.read_bytes()
        text = self.work / "changing.txt"

        def after(change, data):
            def trial():
                shard.write_bytes(whole)
                shutil.copy(self.text, text)
                run, process, log = self.long_run([data])
                change()
                time.sleep(0.5)
                if process.poll() is None:  # It needs the data no more, or has it: then it goes on.
                    process.send_signal(signal.SIGTERM)
                process.wait(30)
                told = log.read_text()
                if process.returncode not in (128 + signal.SIGTERM, FAILURE):
                    raise p.Lost(f"exit {process.returncode}: {told.strip()[-200:]}")
                if process.returncode == FAILURE and told.count("error:") != 1:
                    raise p.Lost(f"no one clear line: {told.strip()[-200:]}")
                for _, _, folder in p.checkpoints(run):
                    p.check_folder(folder)
                self.program.check(run)
            return trial

        self.count("a token shard removed during the run", after(shard.unlink, shard))
        self.count("a token shard cut short during the run", after(lambda: os.truncate(shard, 1500), shard))
        self.count("a token shard emptied during the run", after(lambda: os.truncate(shard, 0), shard))
        self.count("a text removed during the run", after(text.unlink, text))
        self.count("a text cut short during the run", after(lambda: os.truncate(text, 100), text))

    def two_runs(self):
        def trial():
            run, process, _ = self.long_run([self.text])
            try:
                second = self.program.train(run, [self.text])
                self.refused_well(second, USAGE, str(run))
                resumed = self.program.train(run, [], resume=True)
                self.refused_well(resumed, USAGE, "in use")
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(30)
            if process.returncode != 128 + signal.SIGTERM:
                raise p.Lost(f"the first run ended with {process.returncode}")
            self.program.check(run)
        self.count("two runs on one directory", trial)

    def copies(self):
        for row, links, lost in (("a copied directory", True, False),
                                 ("a copy with what its links name", False, False),
                                 ("a copy that lost its links", True, True)):
            def trial(links=links, lost=lost):
                run = self.fresh()
                process = self.program.start(run, [self.text], False, None, self.work / "log")
                while process.poll() is None and not p.checkpoints(run):
                    time.sleep(0.001)
                process.kill()
                process.wait(30)
                copy = self.work / "copy"
                shutil.rmtree(copy, ignore_errors=True)
                shutil.copytree(run, copy, symlinks=links, ignore_dangling_symlinks=True)
                shutil.rmtree(run)
                if lost:
                    for path in copy.iterdir():
                        if path.is_symlink():
                            path.unlink()
                self.nothing_lost(copy)
            self.count(row, trial)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cajal", required=True)
    parser.add_argument("--preload", required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--stride", type=int, default=1, help="try every STRIDEth call of a save")
    parser.add_argument("--only", default="", help="experiments whose name has this in it")
    options = parser.parse_args()
    work = pathlib.Path(tempfile.mkdtemp(prefix="cajal-faults-"))
    experiments = Experiments(options, work)
    for experiment in (experiments.every_call_of_a_save, experiments.reading, experiments.odd_disks,
                       experiments.full_disks, experiments.read_only, experiments.changed_data,
                       experiments.two_runs, experiments.copies):
        if options.only not in experiment.__name__:
            continue
        try:
            experiment()
        except Skipped as reason:
            print(f"SKIPPED: {reason}")
        except p.Lost as loss:
            experiments.losses.append(str(loss))
    print(f"{'fault':62} {'times':>6} {'lost':>5}")
    for row, (times, lost) in experiments.rows.items():
        print(f"{row:62} {times:6} {lost:5}")
    for loss in experiments.losses:
        print(f"LOST: {loss}")
    times = sum(row[0] for row in experiments.rows.values())
    print(f"{times} faults, {len(experiments.losses)} lost")
    shutil.rmtree(work)
    sys.exit(1 if experiments.losses else 0)


if __name__ == "__main__":
    main()
