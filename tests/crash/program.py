"""The program under test and what its runs leave behind, for kills.py, power.py and faults.py."""
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import struct
import subprocess

TENSORS = ("model.safetensors", "optimizer.safetensors")
FILES = ("config.json", "tokenizer.json", "trainer_state.json", "manifest.json") + TENSORS
CHECKPOINT = re.compile(r"checkpoint-(\d+)(\.\d+)?$")
TEMPORARY = ".cajal-tmp-"


class Lost(Exception):
    """A promise was broken; the message says which."""


def make_text(file, seed=1, lines=400):
    """Words of a made-up language: enough to train on, the same everywhere."""
    random_ = random.Random(seed)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(random_.choice(letters) for _ in range(random_.randint(2, 8))) for _ in range(300)]
    text = "\n".join(" ".join(random_.choice(words) for _ in range(12)) for _ in range(lines))
    pathlib.Path(file).write_text(text + "\n")


def make_small_model(folder, tokenizer):
    """A GPT-2 of some thousand weights with that tokenizer.json: a save of it is a few writes."""
    folder = pathlib.Path(folder)
    folder.mkdir()
    shutil.copy(tokenizer, folder / "tokenizer.json")
    root = json.loads(pathlib.Path(tokenizer).read_text())
    vocab = len(root["model"]["vocab"]) + len(root["added_tokens"])
    width, positions, inner = 16, 32, 32
    config = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": vocab,
              "n_positions": positions, "n_ctx": positions, "n_embd": width, "n_layer": 1,
              "n_head": 2, "n_inner": inner, "activation_function": "gelu_new"}
    (folder / "config.json").write_text(json.dumps(config))
    shapes = {"wte.weight": [vocab, width], "wpe.weight": [positions, width],
              "h.0.ln_1.weight": [width], "h.0.ln_1.bias": [width],
              "h.0.attn.c_attn.weight": [width, 3 * width], "h.0.attn.c_attn.bias": [3 * width],
              "h.0.attn.c_proj.weight": [width, width], "h.0.attn.c_proj.bias": [width],
              "h.0.ln_2.weight": [width], "h.0.ln_2.bias": [width],
              "h.0.mlp.c_fc.weight": [width, inner], "h.0.mlp.c_fc.bias": [inner],
              "h.0.mlp.c_proj.weight": [inner, width], "h.0.mlp.c_proj.bias": [width],
              "ln_f.weight": [width], "ln_f.bias": [width]}
    random_ = random.Random(2)
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, shape in shapes.items():
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        if "ln_" in name and name.endswith("weight"):
            values = [1.0] * count
        else:
            values = [random_.gauss(0, 0.02) for _ in range(count)]
        header["transformer." + name] = {"dtype": "F32", "shape": shape,
                                         "data_offsets": [len(data), len(data) + 4 * count]}
        data += struct.pack(f"<{count}f", *values)
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)


def checkpoints(run):
    """(step, again, folder), oldest first."""
    found = []
    if run.is_dir():
        for entry in run.iterdir():
            match = CHECKPOINT.fullmatch(entry.name)
            if match and entry.is_dir() and not entry.is_symlink():
                found.append((int(match[1]), float(match[2] or 0), entry))
    return sorted(found)


def saving(run):
    """Whether a checkpoint is being written, or an old one removed."""
    try:
        for name in os.listdir(run):
            if name.startswith(TEMPORARY):
                with os.scandir(run / name) as entries:
                    if any(entry.is_dir() and not entry.name.startswith("tokens") for entry in entries):
                        return True
    except FileNotFoundError:  # Gone since it was listed.
        pass
    return False


def digests(folder):
    """Hashes of the tensors of a checkpoint."""
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in TENSORS}


def check_tensors(file):
    """The header's claims against the file's size, without cajal."""
    data = file.read_bytes()
    if len(data) < 8:
        raise Lost(f"{file} has {len(data)} bytes")
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    end = max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
    if 8 + size + end != len(data):
        raise Lost(f"{file} has {len(data)} bytes, not {8 + size + end}")


def check_folder(folder):
    """Whatever has a checkpoint's name is whole."""
    for name in FILES:
        if not (folder / name).is_file():
            raise Lost(f"{folder} looks whole and has no {name}")
    for name in TENSORS:
        check_tensors(folder / name)
    for name in FILES:
        if not name.endswith(".json"):
            continue
        try:
            json.loads((folder / name).read_text())
        except ValueError as error:
            raise Lost(f"{folder / name} is no JSON: {error}") from error


class Program:
    """cajal with the flags that all runs of one experiment share."""

    def __init__(self, binary, flags):
        self.binary = os.path.abspath(binary)
        self.flags = flags
        self.help = self.call("train", "--help").stdout
        self.commands = self.call("--help").stdout

    def call(self, *arguments, **options):
        """Runs to the end; text output, no exception for a failure."""
        options.setdefault("timeout", 120)
        return subprocess.run([self.binary, *map(str, arguments)], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, errors="replace", check=False, **options)

    def has_flag(self, flag):
        return flag + " " in self.help

    def checkpoint_modes(self):
        return ["async", "sync"] if self.has_flag("--checkpoint") else ["sync"]

    def arguments(self, out, data, resume=False, mode=None):
        arguments = ["train", *([] if resume else data), "--out", str(out), *self.flags]
        if resume:
            arguments = ["train", "--resume", "--out", str(out), *self.flags]
            if "--init" in arguments:
                place = arguments.index("--init")
                del arguments[place:place + 2]
        if mode and self.has_flag("--checkpoint"):
            arguments += ["--checkpoint", mode]
        return arguments

    def train(self, out, data, resume=False, mode=None, **options):
        return self.call(*self.arguments(out, data, resume, mode), **options)

    def start(self, out, data, resume, mode, log, **options):
        """Begins a run, its output to the file `log`."""
        with open(log, "w") as output:
            return subprocess.Popen([self.binary, *self.arguments(out, data, resume, mode)],
                                    stdout=output, stderr=subprocess.STDOUT, **options)

    def check(self, run):
        """The program's own look at the newest checkpoint: every checksum, then one token."""
        if re.search(r"^ +check\b", self.commands, re.M):
            checked = self.call("check", run)
            if checked.returncode != 0:
                wrong = [line for line in checked.stdout.splitlines() if not line.endswith("  ok")]
                names = {line.split()[0] for line in wrong if not line.startswith(" ")}
                if names != {"latest"}:  # Missing or behind: the next resume mends it.
                    raise Lost(f"cajal check: {' / '.join(wrong)} {checked.stderr.strip()}")
        opened = self.call("generate", run, "--prompt", "a", "--max-tokens", "1")
        if opened.returncode != 0:
            raise Lost(f"the checkpoint does not open: {opened.stderr.strip()}")


def saved_steps(log):
    """Steps that the program's output has called saved."""
    text = pathlib.Path(log).read_text(errors="replace")
    return [int(step) for step in re.findall(r"^step (\d+) saved", text, re.M)]


def newest_step(run):
    found = checkpoints(run)
    return found[-1][0] if found else -1


def resume_or_begin(program, run, data, mode=None):
    """Runs to the end, from the newest checkpoint or, where there is none, anew."""
    resume = bool(checkpoints(run))
    ended = program.train(run, data, resume=resume, mode=mode)
    if ended.returncode != 0:
        action = "resume" if resume else "a new start"
        raise Lost(f"{action} fails ({ended.returncode}): {ended.stderr.strip()}")


def same_end(run, wanted):
    """The run's last checkpoint has the bits of a run that nothing disturbed."""
    found = checkpoints(run)
    if not found:
        raise Lost("no checkpoint at the end")
    if digests(found[-1][2]) != wanted:
        raise Lost(f"step {found[-1][0]} has other bits than a run that was not disturbed")
