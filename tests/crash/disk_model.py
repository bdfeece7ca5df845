"""What a disk may hold after a power cut, from a log of the calls that a run made (calls.cpp).

The model is weaker than ext4, btrfs or APFS promise, so that what survives here survives there:

- A file has the bytes of its last fsync for certain. Every later write may have reached the disk
  whole, in part (any of its 512-byte sectors), or not at all, whatever became of the others; where a
  later write has made the file longer, bytes that did not get there are zero.
- A folder has the names of its last fsync for certain. Every later change of a name (create, rename,
  link, symlink, unlink, mkdir, rmdir) may be on the disk or not: in the strict form those of one
  folder up to some moment (a journal), in the weak form any of them. A rename is one change.
- An fsync of a file says nothing of its name, nor that of a folder of what lies in it.
"""
import dataclasses
import os
import pathlib

SECTOR = 512


@dataclasses.dataclass
class File:
    durable: bytes = b""
    pending: list = dataclasses.field(default_factory=list)  # ("write", offset, bytes), ("trunc", n)


@dataclasses.dataclass
class Folder:
    durable: dict = dataclasses.field(default_factory=dict)  # name -> id or ("symlink", target)
    now: dict = dataclasses.field(default_factory=dict)
    pending: list = dataclasses.field(default_factory=list)  # Change


@dataclasses.dataclass(eq=False)
class Change:
    """Of one name, or a rename's two, in one folder or two."""
    parts: list  # (folder id, name, None or what it names, what it named before)


def read_log(file):
    """The calls in their order: tuples of text, a write's with its bytes last."""
    data = pathlib.Path(file).read_bytes()
    calls, place = [], 0
    while place < len(data):
        end = data.index(b"\n", place)
        call = data[place:end].decode().split("\t")
        place = end + 1
        if call[0] == "write":
            size = int(call[3])
            call[3] = data[place:place + size]
            place += size + 1
        calls.append(tuple(call))
    return calls


class Disk:
    def __init__(self):
        self.files = {}
        self.folders = {}
        self.root = None

    def apply(self, call):
        getattr(self, "do_" + call[0])(*call[1:])

    # ---- names ----

    def locate(self, path):
        """(id of the folder, name), as of now, through symbolic links of folders."""
        folder, parts = self.root, path.split("/")
        for part in parts[:-1]:
            folder = self.enter(folder, part)
        return folder, parts[-1]

    def enter(self, folder, name):
        found = self.folders[folder].now[name]
        while isinstance(found, tuple):
            found = self.folders[folder].now[found[1]]
        return found

    def change(self, *parts):
        """parts: (folder, name, new)."""
        done = Change([(folder, name, new, self.folders[folder].now.get(name))
                       for folder, name, new in parts])
        for folder, name, new, _ in done.parts:
            set_name(self.folders[folder].now, name, new)
        for folder in {part[0] for part in done.parts}:
            self.folders[folder].pending.append(done)

    def do_mkdir(self, number, path):
        self.folders[number] = Folder()
        if path == "":
            self.root = number
        else:
            self.change((*self.locate(path), number))

    def do_creat(self, number, path):
        self.files[number] = File()
        self.change((*self.locate(path), number))

    def do_symlink(self, target, path):
        self.change((*self.locate(path), ("symlink", target)))

    def do_link(self, old, new):
        folder, name = self.locate(old)
        self.change((*self.locate(new), self.folders[folder].now[name]))

    def do_rename(self, old, new):
        folder, name = self.locate(old)
        what = self.folders[folder].now[name]
        self.change((folder, name, None), (*self.locate(new), what))

    def do_unlink(self, path):
        self.change((*self.locate(path), None))

    do_rmdir = do_unlink

    # ---- contents ----

    def do_write(self, number, offset, data):
        self.files[number].pending.append(("write", int(offset), data))

    def do_trunc(self, number, size):
        self.files[number].pending.append(("trunc", int(size)))

    def do_fsync(self, number):
        if number in self.files:
            file = self.files[number]
            file.durable = contents(file, [(write, None) for write in file.pending])
            file.pending = []
        else:
            folder = self.folders[number]
            for change in folder.pending:
                self.make_durable(change)
            folder.pending = []

    def make_durable(self, change):
        for folder, name, new, _ in change.parts:
            set_name(self.folders[folder].durable, name, new)
            if change in self.folders[folder].pending and len(change.parts) > 1:
                other = self.folders[folder]
                other.pending = [kept for kept in other.pending if kept is not change]

    # ---- after the power cut ----

    def materialise(self, target, random, form):
        """Writes one state that the disk may be in. `form`: strict, weak, none or all."""
        chosen = self.choose_changes(random, form)
        names = {}
        for number, folder in self.folders.items():
            names[number] = dict(folder.durable)
        for change in chosen:
            for folder, name, new, _ in change.parts:
                set_name(names[folder], name, new)
        self.write_folder(names, self.root, pathlib.Path(target), random, form)

    def choose_changes(self, random, form):
        """Pending changes that are on the disk, in their order."""
        chosen, seen = [], set()
        for folder in self.folders.values():
            upto = random.randint(0, len(folder.pending))
            for place, change in enumerate(folder.pending):
                if id(change) in seen:
                    continue
                seen.add(id(change))
                if form == "all" or (form == "strict" and place < upto) or \
                        (form == "weak" and random.random() < 0.5):
                    chosen.append(change)
        return chosen

    def write_folder(self, names, number, target, random, form):
        target.mkdir()
        for name, what in names[number].items():
            if isinstance(what, tuple):
                os.symlink(what[1], target / name)
            elif what in self.files:
                (target / name).write_bytes(self.after_cut(self.files[what], random, form))
            else:
                self.write_folder(names, what, target / name, random, form)

    @staticmethod
    def after_cut(file, random, form):
        fates = []
        for write in file.pending:
            if form == "all":
                fates.append((write, None))
            elif form != "none":
                fate = random.choice(("lost", "whole", "torn"))
                if fate != "lost":
                    fates.append((write, random if fate == "torn" else None))
        return contents(file, fates)


def set_name(names, name, new):
    if new is None:
        names.pop(name, None)
    else:
        names[name] = new


def contents(file, fates):
    """The durable bytes with those writes on them; a torn one comes with a random generator."""
    data = bytearray(file.durable)
    for write, torn in fates:
        if write[0] == "trunc":
            del data[write[1]:]
            data.extend(bytes(write[1] - len(data)))
            continue
        _, offset, new = write
        if len(data) < offset + len(new):
            data.extend(bytes(offset + len(new) - len(data)))
        if torn is None:
            data[offset:offset + len(new)] = new
            continue
        for begin in range(0, len(new), SECTOR):
            if torn.random() < 0.5:
                data[offset + begin:offset + begin + SECTOR] = new[begin:begin + SECTOR]
    return bytes(data)
