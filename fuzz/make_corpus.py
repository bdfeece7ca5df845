#!/usr/bin/env python3
"""Writes the seeds in fuzz/corpus: small files of every kind that cajal reads, sound and broken.

    fuzz/make_corpus.py [FOLDER]

They are checked in, so that a build needs no Python; the fuzzers grow from them. Nothing in them
comes from anywhere else.
"""
import json
import pathlib
import struct
import sys

ROOT = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "corpus"


def put(target, name, contents):
    folder = ROOT / target
    folder.mkdir(parents=True, exist_ok=True)
    data = contents if isinstance(contents, bytes) else contents.encode()
    (folder / name).write_bytes(data)


def safetensors(header, data):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def make_safetensors():
    one = {"a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}
    two = {"__metadata__": {"format": "pt"}, **one,
           "b": {"dtype": "BF16", "shape": [3], "data_offsets": [16, 22]}}
    empty = {"e": {"dtype": "I32", "shape": [0, 5], "data_offsets": [0, 0]}}
    scalar = {"s": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}}
    put("safetensors", "one", safetensors(one, bytes(range(16))))
    put("safetensors", "two", safetensors(two, bytes(range(22))))
    put("safetensors", "empty", safetensors(empty, b""))
    put("safetensors", "scalar", safetensors(scalar, b"\0\0\x80\x3f"))
    put("safetensors", "cut", safetensors(one, bytes(12)))
    put("safetensors", "null_metadata", safetensors({"__metadata__": None, **one}, bytes(16)))
    huge = {"a": {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 16]}}
    put("safetensors", "huge", safetensors(huge, bytes(16)))
    put("safetensors", "deep", safetensors(b'{"a":' + b"[" * 300, b""))
    put("safetensors", "page", b"<!DOCTYPE html><html><head><title>Not Found</title>")
    put("safetensors", "pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")


def make_index():
    files = {"wte.weight": "model-00001-of-00002.safetensors", "ln_f.bias": "model-00002-of-00002.safetensors"}
    put("safetensors_index", "sound", json.dumps({"metadata": {"total_size": 9}, "weight_map": files}))
    for name, file in (("outside", "../../x"), ("absolute", "/etc/passwd"), ("dots", ".."),
                       ("nul", "a\0b"), ("backslash", "..\\x"), ("number", 3)):
        put("safetensors_index", name, json.dumps({"weight_map": {"wte.weight": file}}))
    put("safetensors_index", "twice", '{"weight_map":{"a":"x","a":"y"}}')
    put("safetensors_index", "deep", '{"weight_map":' + "[" * 2000)


def make_config():
    config = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": 300,
              "n_positions": 64, "n_ctx": 64, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_inner": 128,
              "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5,
              "initializer_range": 0.02, "tie_word_embeddings": True, "bos_token_id": 299,
              "eos_token_id": 299, "torch_dtype": "float32"}
    put("config_json", "gpt2", json.dumps(config))
    put("config_json", "no_inner", json.dumps({**config, "n_inner": None}))
    put("config_json", "big", json.dumps({**config, "n_embd": 1 << 24, "n_layer": 4096}))
    put("config_json", "type", json.dumps({**config, "model_type": "line\nend"}))
    put("config_json", "fraction", json.dumps({**config, "n_head": 4.5, "vocab_size": 1e300}))
    put("config_json", "deep", '{"model_type":' + "[" * 2000)


def alphabet():
    """GPT-2's letters for bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters, extra = {}, 0
    for byte in range(256):
        if byte in plain:
            letters[byte] = chr(byte)
        else:
            letters[byte] = chr(256 + extra)
            extra += 1
    return letters


def make_tokenizer():
    letters = alphabet()
    vocab = {letters[byte]: byte for byte in range(256)}
    merges = []
    for left, right in (("t", "h"), ("th", "e"), (letters[32], "the"), ("a", "a"), ("aa", "aa")):
        merges.append([left, right])
        vocab[left + right] = len(vocab)
    end = {"id": len(vocab), "content": "<|endoftext|>", "single_word": False, "lstrip": False,
           "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                  "use_regex": True}
    root = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [end],
            "normalizer": None, "pre_tokenizer": byte_level, "post_processor": None,
            "decoder": byte_level,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "byte_fallback": False,
                      "vocab": vocab, "merges": merges}}
    dump = lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    put("tokenizer_json", "pairs", dump(root))
    root["model"]["merges"] = [" ".join(pair) for pair in merges]
    put("tokenizer_json", "strings", dump(root))
    root["model"]["merges"] = [["t", "zz"]]
    put("tokenizer_json", "missing", dump(root))
    put("tokenizer_json", "other", dump({"model": {"type": "WordPiece", "vocab": {}}}))
    put("tokenizer_json", "deep", '{"model":' + "[" * 2000)


def make_shards():
    def shard(tokens, magic=20240520, version=1, count=None):
        header = [magic, version, len(tokens) if count is None else count] + [0] * 253
        return struct.pack("<256i", *header) + struct.pack(f"<{len(tokens)}H", *tokens)

    put("token_shard", "sound", shard(list(range(64))))
    put("token_shard", "large_tokens", shard([39999, 40000, 65535] * 12))
    put("token_shard", "empty", shard([]))
    put("token_shard", "negative", shard([1, 2, 3], count=-1))
    put("token_shard", "claims_more", shard([1, 2, 3], count=2**31 - 1))
    put("token_shard", "version_2", shard([1, 2, 3, 4], version=2))
    put("token_shard", "short", shard([])[:100])


def make_toml():
    put("settings_toml", "flags", 'preset = "tiny"\nsteps = 100\nlr = 3e-4\ndata = ["a.txt", "b"]\n'
        'resume = true\n# a comment\n"save-every" = 10\n')
    put("settings_toml", "table", "[train]\nsteps = 1\n[[a]]\nb = 1979-05-27T07:32:00Z\n")
    put("settings_toml", "strings", 'a = """two\nlines"""\nb = \'raw\'\nc = "\\u00e9\\n"\nd = 0x1F\n'
        "e = inf\nf = -nan\ng.h = 1\ni = {j = 1}\n")
    put("settings_toml", "deep", "a = " + "[" * 300)
    put("settings_toml", "broken", 'steps = = 3\nx = "\x01\n')


def make_state():
    state = {"format": 1, "step": 70, "seed": 1337,
             "options": {"preset": "tiny", "data": ["a.txt"], "dtype": "fp32", "batch": 4, "seq": 64,
                         "accumulate": 1, "steps": 100, "minutes": 0.0, "lr": 0.003,
                         "schedule": "cosine", "warmup": 10, "clip": 1.0, "weight_decay": 0.1,
                         "dropout": 0.0, "vocab_size": 300, "seed": 1337},
             "loader": {"epoch": 1, "window": 12},
             "optimizer": {"applied": 70, "skipped": 0, "skipped_in_row": 0},
             "seconds": 12.5, "tokens": 17920, "best_validation_loss": 3.25,
             "last_validation_loss": None}
    put("trainer_state", "sound", json.dumps(state, indent=2))
    put("trainer_state", "negative", json.dumps({**state, "step": -1}))
    put("trainer_state", "unknown", json.dumps({**state, "li\nne": 1}))
    options = {**state["options"], "batch": 1e300, "lr": 1e300, "accumulate": 1.5}
    put("trainer_state", "numbers", json.dumps({**state, "options": options}))
    put("trainer_state", "cut", json.dumps(state)[:200])
    put("trainer_state", "deep", json.dumps(state).replace('{"epoch"', "[" * 2000 + '{"epoch"'))


def make_manifest():
    files = [{"name": name, "bytes": 9, "xxh3": "0123456789abcdef"}
             for name in ("config.json", "model.safetensors", "trainer_state.json")]
    root = {"format": 1, "validation_loss": 3.5, "files": files}
    put("manifest", "sound", json.dumps(root))
    put("manifest", "no_loss", json.dumps({"format": 1, "files": []}))
    for name, odd in (("outside", "../x"), ("absolute", "/etc/passwd"), ("dot", "."), ("self", "manifest.json"),
                      ("line", "a\nb"), ("nul", "a\0b")):
        put("manifest", name, json.dumps({**root, "files": [{**files[0], "name": odd}]}))
    put("manifest", "twice", json.dumps({**root, "files": [files[0], files[0]]}))
    put("manifest", "cut", json.dumps(root)[:70])


def make_metrics():
    line = {"step": 1, "loss": 5.5, "grad_norm": 1.25, "lr": 0.0003, "tokens_per_s": 1000.0,
            "device_busy": 1.0, "host_waits": 0, "host_blocked_ms": 0.0, "skipped": 0}
    lines = [json.dumps({**line, "step": step}) for step in (1, 2, 3, 100, 101, 102)]
    lines.insert(3, json.dumps({"step": 3, "val_loss": None}))
    put("metrics", "sound", "\n".join(lines) + "\n")
    put("metrics", "cut", "\n".join(lines)[:-20])
    put("metrics", "odd", '\n\n{}\n[]\n{"step":1.5}\n{"step":-1}\n{"step":99999999999999999999}\n'
        '{"step":18446744073709551615}\nnull\n{"step":"1"}\n{"step":1,"step":200}\n')
    put("metrics", "deep", "[" * 2000 + "\n" + '{"step":1}\n')


def make_text():
    texts = {
        "ascii": b"The cat's on the mat; it isn't 12 o'clock.\n\n  \tand more   \n",
        "unicode": "na\u00efve \u0434\u043e\u043c \u732b \U0001f408 \u2028 \u00a0x\u00bd\n".encode(),
        "bad_byte": b"good line\nbad \xff byte\ngood line\n",
        "cut_character": b"caf\xc3",
        "bom": b"\xef\xbb\xbftext\n",
        "utf16": "text\n".encode("utf-16"),
        "latin1": "caf\u00e9 na\u00efve\n".encode("latin-1"),
        "nul": b"te\0xt\n",
        "one_word": b"a" * 600,
        "spaces": b" " * 300 + b"x" + b"\r\n" * 100,
        "end_of_text": b"one<|endoftext|>two<|endoftext|>",
    }
    for name, text in texts.items():
        put("words", name, text)
        put("text_corpus", name, b"\x03" + text)


make_safetensors()
make_index()
make_config()
make_tokenizer()
make_shards()
make_toml()
make_state()
make_manifest()
make_metrics()
make_text()
