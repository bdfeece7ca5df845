#!/usr/bin/env python3
"""Makes added_tokens.json beside it: encodings by Hugging Face tokenizers (0.23) of texts with added
tokens, for changes to the tokenizer.json beside it.

    pip install tokenizers; make_added_tokens.py [SEED]

Each entry: the change as a JSON merge patch (RFC 7386), texts, their ids, and their ids where
special tokens stay text.
"""
import json
import pathlib
import random
import sys

from tokenizers import Tokenizer

HERE = pathlib.Path(__file__).parent
BASE = json.loads((HERE / "tokenizer.json").read_text())
SIZE = len(BASE["model"]["vocab"])
FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")
CONTENTS = ["<x>", "<x><y>", "<x", "x y", "the", "éß", "日", "\n\n", " a", "a", "  ", "<|endoftext|>"]
PIECES = ["<x>", "<y>", "<x", ">", " ", "  ", "\n", "\u00a0", "a", "the", "x y", "_", "1", "é", "ß",
          "日", "Q", "ab", "!", "\u0301", "<|endoftext|>", "\t", "🙂", "\u3000"]


def added(number, content, **flags):
    return {"id": number, "content": content, **{f: flags.get(f, False) for f in FLAGS}}


def changes(r):
    """Lists of added tokens, some with ids that leave gaps, and what else changes encodings."""
    old = BASE["added_tokens"]
    for flag in FLAGS:
        yield {"added_tokens": old + [added(SIZE, "<x>", **{flag: True})]}
    yield {"added_tokens": old + [added(SIZE + 7, "<y>"), added(SIZE, "<x>")]}
    yield {"added_tokens": old + [added(3, "<x>"), added(3, "<x>", lstrip=True), added(9, "a")]}
    for _ in range(20):
        tokens = [added(SIZE + i, c, **{f: r.random() < 0.3 for f in FLAGS})
                  for i, c in enumerate(r.sample(CONTENTS, 6))]
        yield {"added_tokens": old + tokens}
    missing = {"vocab": {"Q": None, "a": None}, "merges": []}
    yield {"model": missing}
    yield {"model": {**missing, "unk_token": "<|endoftext|>"}}
    yield {"model": {**missing, "unk_token": "<|endoftext|>", "fuse_unk": True}}


def patched(target, patch):
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = patched(result.get(key), value)
    return result


def main():
    r = random.Random(int(sys.argv[1]) if len(sys.argv) > 1 else 20240520)
    entries = []
    for change in changes(r):
        tokenizer = Tokenizer.from_str(json.dumps(patched(BASE, change)))
        texts = ["".join(r.choice(PIECES) for _ in range(r.randrange(1, 25))) for _ in range(25)]
        ids = [tokenizer.encode(t).ids for t in texts]
        tokenizer.encode_special_tokens = True
        plain = [tokenizer.encode(t).ids for t in texts]
        entries.append({"change": change, "texts": texts, "ids": ids, "plain": plain})
    (HERE / "added_tokens.json").write_text(
        "[\n" + ",\n".join(json.dumps(e, ensure_ascii=False) for e in entries) + "\n]\n")


main()
