#!/usr/bin/env python3
"""The peer: one GPT training step in PyTorch, the way a careful PyTorch user writes it.

One step = zero grad, forward, cross entropy, backward, clip to 1.0, AdamW, on random tokens.
Prints one JSON line a mode: ms per step (median of blocks), tokens/s, model FLOP/s utilisation, how
busy a GPU was, peak memory, and the loss curve's two ends. FLOP = (6 N + 12 L d T) a token, position
embeddings left out of N (PaLM, appendix B).

  torch_gpt.py --preset gpt2-124m --batch 32 --mode compile,graphs
modes: eager | compile | graphs (torch.compile mode=reduce-overhead, CUDA graphs) | blocks (every
block compiled by itself, PyTorch's recipe for deep models, whose compilation takes minutes else)

On a CPU, PyTorch from Debian needs a real BLAS and a warm heap to be a fair peer; bench/compare_torch.sh
sees to both:
  apt-get install python3-torch libopenblas0-openmp
  LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu/openblas-openmp MALLOC_MMAP_MAX_=0 \\
  MALLOC_TRIM_THRESHOLD_=4000000000 MALLOC_TOP_PAD_=268435456 \\
  /usr/bin/python3 torch_gpt.py --preset cajal-20m --batch 4 --mode eager --dtype fp32 --steps 1 --blocks 5
"""
import argparse
import contextlib
import gc
import json
import os
import resource
import statistics
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

PRESETS = {  # vocabulary, width, layers, heads, feed-forward, sequence length
    "cajal-20m": (1776, 512, 6, 8, 2048, 512),
    "gpt2-124m": (50304, 768, 12, 12, 3072, 1024),
    "gpt2-350m": (50304, 1024, 24, 16, 4096, 1024),
    "gpt2-774m": (50304, 1280, 36, 20, 5120, 1024),
    "gpt2-1558m": (50304, 1600, 48, 25, 6400, 1024),
}


def attention(q, k, v):
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    length = q.shape[-2]  # torch 1.x has no fused attention
    future = torch.ones(length, length, dtype=torch.bool, device=q.device).triu(1)
    scores = (q @ k.transpose(-1, -2) * (q.shape[-1] ** -0.5)).masked_fill(future, float("-inf"))
    return scores.softmax(-1).to(v.dtype) @ v


class Block(nn.Module):
    def __init__(self, width, heads, feed_forward):
        super().__init__()
        self.heads = heads
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, feed_forward), nn.Linear(feed_forward, width)

    def forward(self, x):
        batch, length, width = x.shape
        qkv = self.qkv(self.ln1(x)).view(batch, length, 3, self.heads, width // self.heads)
        a = attention(*qkv.permute(2, 0, 3, 1, 4))
        x = x + self.proj(a.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(F.gelu(self.up(self.ln2(x)), approximate="tanh"))


class GPT(nn.Module):
    def __init__(self, vocabulary, width, layers, heads, feed_forward, length):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.blocks = nn.ModuleList(Block(width, heads, feed_forward) for _ in range(layers))
        self.ln = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.wte.weight
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, 0, 0.02)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, tokens, targets):
        x = self.wte(tokens) + self.wpe.weight[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.ln(x))
        return F.cross_entropy(logits.view(-1, logits.size(-1)).float(), targets.view(-1))


class Trainer:
    """A model, its optimizer and eight batches of random tokens."""

    def __init__(self, args, mode):
        vocabulary, _, _, _, _, length = PRESETS[args.preset]
        self.device, self.bf16 = args.device, args.dtype == "bf16"
        cuda = args.device == "cuda"
        place = torch.device(args.device)
        # Initialised there, where torch can: on a CPU the large ones take minutes.
        with place if hasattr(place, "__enter__") else contextlib.nullcontext():
            self.model = GPT(*PRESETS[args.preset]).to(place)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=3e-4, betas=(0.9, 0.95),
                                           weight_decay=0.1, **(dict(fused=True) if cuda else {}))
        self.call = self.model
        if mode == "compile":
            self.call = torch.compile(self.model)
        elif mode == "graphs":
            self.call = torch.compile(self.model, mode="reduce-overhead")
        elif mode == "blocks":
            for block in self.model.blocks:
                block.compile()
        real = 50257 if vocabulary == 50304 else vocabulary
        shape = (8, args.batch, length)
        self.tokens = torch.randint(0, real, shape, device=args.device)
        self.targets = torch.randint(0, real, shape, device=args.device)
        self.done = 0

    def step(self):
        i = self.done % 8
        with torch.autocast(self.device, torch.bfloat16, enabled=self.bf16):
            loss = self.call(self.tokens[i], self.targets[i])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.done += 1
        return loss


def gpu_busy(trainer):
    """Share of wall time in which a kernel ran, over five steps: the union of kernel intervals."""
    from torch.profiler import ProfilerActivity, profile

    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as prof:
        began = time.perf_counter()
        for _ in range(5):
            trainer.step()
        torch.cuda.synchronize()
        wall = time.perf_counter() - began
    spans = sorted((e.time_range.start, e.time_range.end)
                   for e in prof.events() if e.device_type.name == "CUDA")
    total, end = 0.0, -1.0
    for start, stop in spans:
        start = max(start, end)
        if stop > start:
            total += stop - start
            end = stop
    return total / 1e6 / wall


def peak_bytes(cuda):
    if cuda:
        return torch.cuda.max_memory_allocated()
    # Linux counts the resident size in KiB, macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def parse_arguments():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--preset", default="gpt2-124m", choices=PRESETS)
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--mode", default="compile", help="one or several with commas between")
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu",
                   choices=["cpu", "cuda"])
    p.add_argument("--dtype", default="bf16", choices=["bf16", "fp32", "tf32"])
    p.add_argument("--steps", type=int, default=10)
    p.add_argument("--blocks", type=int, default=5)
    p.add_argument("--threads", type=int, default=0, help="CPU threads; 0 = all cores")
    p.add_argument("--peak", type=float, default=989e12, help="FLOP/s that 100 percent means (GPU)")
    return p.parse_args()


def measure(args, mode):
    _, width, layers, _, _, length = PRESETS[args.preset]
    cuda = args.device == "cuda"
    torch.manual_seed(0)
    trainer = Trainer(args, mode)
    sync = torch.cuda.synchronize if cuda else (lambda: None)

    # What is compiled, recorded as a graph and timed comes within the first steps.
    first = trainer.step().item()
    for _ in range(7 if cuda else 1):
        trainer.step()
    sync()
    times = []
    for _ in range(args.blocks):
        began = time.perf_counter()
        for _ in range(args.steps):
            loss = trainer.step()
        sync()
        times.append((time.perf_counter() - began) / args.steps)
        last = loss.item()  # a graph's memory, which the next step overwrites
    busy = gpu_busy(trainer) if cuda else None

    seconds = statistics.median(times)
    tokens = args.batch * length
    parameters = sum(p.numel() for p in trainer.model.parameters())
    flops = (6 * (parameters - length * width) + 12 * layers * width * length) * tokens
    return dict(
        peer="torch", version=torch.__version__, preset=args.preset, batch=args.batch, seq=length,
        mode=mode, dtype=args.dtype, device=torch.cuda.get_device_name() if cuda else "cpu",
        threads=torch.get_num_threads(), params=parameters, ms_per_step=round(seconds * 1e3, 3),
        spread=[round(min(times) * 1e3, 3), round(max(times) * 1e3, 3)],
        tokens_per_s=round(tokens / seconds), tflops=round(flops / seconds / 1e12, 4),
        mfu=round(flops / seconds / args.peak, 4) if cuda else None,
        gpu_busy=busy and round(busy, 4), peak_bytes=peak_bytes(cuda),
        first_loss=round(first, 4), last_loss=round(last, 4))


def forget(cuda):
    """Leaves nothing of one mode to the next."""
    gc.collect()
    if hasattr(torch, "_dynamo"):
        torch._dynamo.reset()
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def main():
    args = parse_arguments()
    modes = args.mode.split(",")
    for mode in modes:
        if mode not in ("eager", "compile", "graphs", "blocks"):
            sys.exit(f"torch_gpt.py: no mode {mode}; choose eager, compile, graphs or blocks")
    torch.set_num_threads(args.threads or os.cpu_count())
    if args.dtype == "tf32":
        torch.set_float32_matmul_precision("high")
    for mode in modes:
        print(json.dumps(measure(args, mode)), flush=True)
        forget(args.device == "cuda")


main()
