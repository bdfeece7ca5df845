#!/usr/bin/env python3
"""Scan, fix with a backup, verify: blocking GPU waits that nothing needs go, in one command.

    scripts/apply_performance_patch.py FILE... [--dry-run] [-- COMPILER FLAGS]

Over cajal-sync; the summary is made from what it measured before and after.
"""
import argparse
import json
import pathlib
import shutil
import subprocess
import sys


def find_program():
    root = pathlib.Path(__file__).resolve().parent.parent
    for folder in sorted((root / "build").glob("*")):
        if (folder / "cajal-sync").is_file():
            return str(folder / "cajal-sync")
    found = shutil.which("cajal-sync")
    if found is None:
        sys.exit("apply_performance_patch.py: cajal-sync is not built; "
                 "apt-get install libclang-19-dev llvm-19-dev, then scripts/test.sh")
    return found


def call(program, *arguments):
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def scan(program, files, flags):
    done = call(program, "scan", "--json", *files, "--", *flags)
    if done.returncode == 2:
        sys.exit(done.stderr.strip())
    return json.loads(done.stdout)


def count_word(files, word):
    return sum(pathlib.Path(file).read_text(errors="replace").count(word) for file in files)


def main():
    arguments = sys.argv[1:]
    flags = []
    if "--" in arguments:
        at = arguments.index("--")
        arguments, flags = arguments[:at], arguments[at + 1:]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--dry-run", action="store_true", help="show the edits and write nothing")
    chosen = parser.parse_args(arguments)
    program = find_program()

    before = scan(program, chosen.files, flags)
    words = ("waitUntilCompleted", "addCompletedHandler")
    counts = [count_word(chosen.files, word) for word in words]
    print("1. scan")
    print(call(program, "scan", *chosen.files, "--", *flags).stdout)

    print("2. fix")
    dry = ["--dry-run"] if chosen.dry_run else []
    done = call(program, "fix", *dry, *chosen.files, "--", *flags)
    print(done.stdout + done.stderr)
    if done.returncode != 0 or chosen.dry_run:
        return done.returncode

    print("3. verify")
    verified = call(program, "verify", *chosen.files, "--", *flags)
    print(verified.stdout + verified.stderr)

    after = scan(program, chosen.files, flags)
    print(f"{'':<24}{'before':>8}{'after':>8}")
    for key in ("waits", "required", "deferrable", "redundant", "unknown", "missing"):
        print(f"{key:<24}{before['summary'][key]:>8}{after['summary'][key]:>8}")
    for word, count in zip(words, counts):
        print(f"{word:<24}{count:>8}{count_word(chosen.files, word):>8}")
    print("back to the originals: cajal-sync restore " + " ".join(chosen.files))
    return verified.returncode


if __name__ == "__main__":
    sys.exit(main())
