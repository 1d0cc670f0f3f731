"""Train nano from a seed: `python -m stiefel.nano.build --out DIR` (seed 0, 3,000 steps; see `weights/build.json`)."""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from .problems import PROBLEMS, problems
from .tokenizer import CHARACTERS, SPECIAL, build_tokenizer
from .traces import trace

SHARES = {"arithmetic": 0.6, "reverse": 0.2, "sort": 0.2}
BATCH, PIECES = 128, 4  # sequences a step; pieces of similar length, which need little padding
PEAK = 1e-3  # learning rate
IGNORED = -100  # label of tokens that carry no loss


def config() -> Qwen3Config:
    """Qwen3's architecture at 0.8M parameters: the module names are those of the real family."""
    return Qwen3Config(
        vocab_size=len(SPECIAL) + len(CHARACTERS),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )


Batch = list[tuple[torch.Tensor, torch.Tensor]]  # pieces of (tokens, labels), each (BATCH/PIECES, length)


def batches(seed: int) -> Iterator[Batch]:
    """Endless batches of random sequences, in pieces of similar length; prompt and padding carry no loss."""
    rng = random.Random(seed)
    tokenizer = build_tokenizer()
    streams = {kind: problems(kind, "train", seed) for kind in PROBLEMS}
    while True:
        rows = []
        for kind in rng.choices(list(SHARES), weights=list(SHARES.values()), k=BATCH):
            problem = next(streams[kind])
            prompt = tokenizer.encode(problem.prompt)
            completion = tokenizer.encode(trace(kind, problem, rng), add_special_tokens=False)
            rows.append(([*prompt, *completion, tokenizer.eos_token_id], len(prompt)))
        rows.sort(key=lambda row: len(row[0]))
        size = BATCH // PIECES
        yield [padded(rows[start : start + size]) for start in range(0, BATCH, size)]


def padded(rows: list[tuple[list[int], int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """(tokens, start of the completion) of each row → (tokens, labels), padded on the right."""
    length = max(len(tokens) for tokens, _ in rows)
    tokens_BL = torch.zeros(len(rows), length, dtype=torch.long)
    labels_BL = torch.full((len(rows), length), IGNORED)
    for i, (tokens, start) in enumerate(rows):
        tokens_BL[i, : len(tokens)] = torch.tensor(tokens)
        labels_BL[i, start : len(tokens)] = torch.tensor(tokens[start:])
    return tokens_BL, labels_BL


def train(steps: int, seed: int, total_steps: int | None = None) -> tuple[Qwen3ForCausalLM, list[float]]:
    """AdamW, 100 warm-up steps, then cosine to a tenth of PEAK over `total_steps`; the model and each step's loss."""
    torch.manual_seed(seed)
    model = Qwen3ForCausalLM(config())
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK, betas=(0.9, 0.98), weight_decay=0.01)
    warmup = torch.optim.lr_scheduler.LinearLR(optimizer, 0.01, total_iters=100)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total_steps or steps, eta_min=PEAK / 10)
    schedule = torch.optim.lr_scheduler.ChainedScheduler([warmup, cosine])
    losses = []
    model.train()
    for step, batch in zip(range(steps), batches(seed), strict=False):
        count = sum(int((labels_BL != IGNORED).sum()) for _, labels_BL in batch)
        optimizer.zero_grad()
        total = 0.0
        for tokens_BL, labels_BL in batch:
            loss = model(input_ids=tokens_BL, labels=labels_BL, num_items_in_batch=count).loss  # sum over count
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(total)
        if step % 100 == 99:
            print(f"step {step + 1}: loss {sum(losses[-100:]) / 100:.4f}", flush=True)
    return model.eval(), losses


def main() -> None:
    """Train, then write the checkpoint, the tokenizer and a record of how they were made."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    start = time.perf_counter()
    model, losses = train(args.steps, args.seed)
    model.generation_config.do_sample = True
    model.save_pretrained(args.out)
    build_tokenizer().save_pretrained(args.out)
    record = {
        "seed": args.seed,
        "steps": args.steps,
        "seconds": round(time.perf_counter() - start),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "parameters": sum(p.numel() for p in model.parameters()),
        "final_loss": round(sum(losses[-100:]) / 100, 4),
    }
    (args.out / "build.json").write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record))


if __name__ == "__main__":
    main()
