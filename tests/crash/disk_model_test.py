#!/usr/bin/env python3
"""The model of a disk after a power cut (disk_model.py) loses what it may lose and nothing else."""
import pathlib
import random
import tempfile
import unittest

import disk_model

BEGIN = [("mkdir", "1", "")]


def states(calls, form, count=60):
    """The different folders that a cut after `calls` may leave, as {name: bytes or link}."""
    found = []
    for seed in range(count):
        disk = disk_model.Disk()
        for call in BEGIN + calls:
            disk.apply(call)
        with tempfile.TemporaryDirectory() as work:
            root = pathlib.Path(work, "root")
            disk.materialise(root, random.Random(seed), form)
            state = {str(path.relative_to(root)): path.read_bytes() if path.is_file() else None
                     for path in root.rglob("*")}
        if state not in found:
            found.append(state)
    return found


class AfterACut(unittest.TestCase):
    def test_flushed_file_and_name_stay(self):
        calls = [("creat", "2", "a"), ("write", "2", "0", b"old"), ("fsync", "2"), ("fsync", "1")]
        for form in ("strict", "weak", "none", "all"):
            self.assertEqual(states(calls, form), [{"a": b"old"}])

    def test_name_without_a_flushed_folder_may_go(self):
        calls = [("creat", "2", "a"), ("write", "2", "0", b"old"), ("fsync", "2")]
        self.assertCountEqual(states(calls, "weak"), [{"a": b"old"}, {}])
        self.assertEqual(states(calls, "none"), [{}])

    def test_rename_without_a_flush_may_leave_an_empty_file(self):
        """The classic: write, rename, no fsync of the file."""
        calls = [("creat", "2", "a"), ("write", "2", "0", b"old"), ("fsync", "2"), ("fsync", "1"),
                 ("creat", "3", "t"), ("write", "3", "0", b"new"), ("rename", "t", "a"), ("fsync", "1")]
        found = states(calls, "weak")
        self.assertIn({"a": b""}, found)
        self.assertIn({"a": b"new"}, found)
        self.assertNotIn({"a": b"old"}, found)

    def test_flushed_rename_is_old_or_new(self):
        calls = [("creat", "2", "a"), ("write", "2", "0", b"old"), ("fsync", "2"), ("fsync", "1"),
                 ("creat", "3", "t"), ("write", "3", "0", b"new"), ("fsync", "3"), ("rename", "t", "a")]
        for state in states(calls, "weak"):
            self.assertIn(state["a"], (b"old", b"new"))

    def test_later_write_may_outlive_an_earlier_one(self):
        calls = [("creat", "2", "a"), ("fsync", "1"), ("write", "2", "0", b"1"), ("write", "2", "1", b"2")]
        found = [state["a"] for state in states(calls, "weak")]
        self.assertIn(b"\0" b"2", found)

    def test_write_may_be_torn_at_a_sector(self):
        new = bytes([1]) * disk_model.SECTOR + bytes([2]) * disk_model.SECTOR
        calls = [("creat", "2", "a"), ("fsync", "1"), ("write", "2", "0", new)]
        found = [state["a"] for state in states(calls, "weak", 200)]
        self.assertIn(bytes(disk_model.SECTOR) + new[disk_model.SECTOR:], found)

    def test_journal_keeps_the_order_of_names(self):
        calls = [("creat", "2", "a"), ("creat", "3", "b")]
        self.assertNotIn({"b": b""}, states(calls, "strict"))
        self.assertIn({"b": b""}, states(calls, "weak"))

    def test_rename_between_folders_is_one_change(self):
        calls = [("mkdir", "2", "d"), ("creat", "3", "d/a"), ("fsync", "2"), ("fsync", "1"),
                 ("rename", "d/a", "a")]
        self.assertCountEqual(states(calls, "weak"), [{"d": None, "d/a": b""}, {"d": None, "a": b""}])
        self.assertEqual(states([*calls, ("fsync", "1")], "none"), [{"d": None, "a": b""}])


if __name__ == "__main__":
    unittest.main()
