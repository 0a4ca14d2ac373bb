"""Train the nano checkpoint from scratch: `python train.py FOLDER`, again to resume. Knows the schedule and the model.

Every batch is made from the seed and its step number alone, so a resumed run sees the same data as an unbroken one.
"""

import argparse
import json
import random
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import Qwen3Config, Qwen3ForCausalLM

from conversations import Encoded, encode, example
from tokenizer import build, save

IGNORED = -100


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The whole run: how long, how fast, on which shares of tasks from which step on."""

    steps: int = 1800
    half: int = 32  # examples a step that think, and as many that do not
    rate: float = 2e-3
    warmup: int = 100
    cooldown: int = 800
    decay: float = 0.1
    seed: int = 1
    save_every: int = 100
    # Counting lagged after the first look, so its share was raised.
    mixes: tuple[tuple[int, Mapping[str, float]], ...] = (
        (0, {"sum": 0.24, "difference": 0.22, "product": 0.22, "chain": 0.22, "count": 0.10}),
        (400, {"sum": 0.21, "difference": 0.20, "product": 0.20, "chain": 0.19, "count": 0.20}),
    )

    def mix(self, step: int) -> Mapping[str, float]:
        """The shares in force at a step."""
        return [shares for start, shares in self.mixes if start <= step][-1]


@dataclass(kw_only=True)
class Progress:
    """What a run has done so far: steps, tokens with padding, tokens under the loss, seconds."""

    step: int = 0
    tokens: int = 0
    learned: int = 0
    seconds: float = 0.0


def config(tokenizer: Tokenizer) -> dict[str, Any]:
    """config.json in the flat form in which Qwen3 checkpoints are published."""
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": tokenizer.token_to_id("<|endoftext|>"),
        "eos_token_id": tokenizer.token_to_id("<|im_end|>"),
        "head_dim": 128,
        "hidden_act": "silu",
        "hidden_size": 256,
        "initializer_range": 0.02,
        "intermediate_size": 768,
        "max_position_embeddings": 8192,
        "max_window_layers": 3,
        "model_type": "qwen3",
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-06,
        "rope_scaling": None,
        "rope_theta": 10000,
        "sliding_window": None,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "use_sliding_window": False,
        "vocab_size": tokenizer.get_vocab_size(),
    }


def generation_config(tokenizer: Tokenizer) -> dict[str, Any]:
    """generation_config.json with Qwen3's sampling preset for thinking."""
    end, pad = tokenizer.token_to_id("<|im_end|>"), tokenizer.token_to_id("<|endoftext|>")
    return {
        "bos_token_id": pad,
        "do_sample": True,
        "eos_token_id": [end, pad],
        "pad_token_id": pad,
        "temperature": 0.6,
        "top_k": 20,
        "top_p": 0.95,
        "transformers_version": "4.51.0",
    }


def export(model: Qwen3ForCausalLM, tokenizer: Tokenizer, folder: Path) -> None:
    """Write the model as a Hugging Face folder with bf16 weights; the tied output matrix is not written twice."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config(tokenizer), indent=2) + "\n")
    (folder / "generation_config.json").write_text(json.dumps(generation_config(tokenizer), indent=2) + "\n")
    save(folder, tokenizer)
    weights = {k: v.detach().to(torch.bfloat16).contiguous() for k, v in model.state_dict().items()}
    weights.pop("lm_head.weight", None)
    partial = folder / "model.safetensors.partial"
    save_file(weights, partial, metadata={"format": "pt"})
    partial.replace(folder / "model.safetensors")


def batches(tokenizer: Tokenizer, plan: Plan, step: int) -> list[tuple[Tensor, Tensor]]:
    """(ids, labels) of one step, each (rows, length) int64 and padded on the right; alike lengths go together."""
    rng = random.Random(f"{plan.seed} {step}")
    groups = []
    for think in (True, False):
        rows = encode(tokenizer, [example(rng, plan.mix(step), think=think) for _ in range(plan.half)])
        rows.sort(key=lambda row: len(row.ids))
        size = -(-len(rows) // (2 if think else 3))
        groups += [rows[at : at + size] for at in range(0, len(rows), size)]
    return [_padded(group) for group in groups]


def _padded(rows: list[Encoded]) -> tuple[Tensor, Tensor]:
    length = -(-max(len(r.ids) for r in rows) // 8) * 8
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    labels = torch.full((len(rows), length), IGNORED)
    for i, row in enumerate(rows):
        ids[i, : len(row.ids)] = torch.tensor(row.ids)
        labels[i, row.start - 1 : len(row.ids) - 1] = torch.tensor(row.ids[row.start :])
    return ids, labels


class Loss(nn.Module):
    """Summed cross entropy over the learned tokens."""

    def __init__(self, model: Qwen3ForCausalLM) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, labels: Tensor) -> Tensor:
        """The sum over labels that are not ignored; both tensors (rows, length) int64."""
        hidden = self.model.model(input_ids=ids, use_cache=False).last_hidden_state
        logits = self.model.lm_head(hidden).float()
        return nn.functional.cross_entropy(
            logits.flatten(0, 1), labels.flatten(), reduction="sum", ignore_index=IGNORED
        )


def rate_at(plan: Plan, step: int) -> float:
    """Warm-up, a plateau, then a straight line to zero; the plateau lets the length be set by the clock."""
    return plan.rate * min(1.0, (step + 1) / plan.warmup, (plan.steps - step) / plan.cooldown)


def optimizers(model: nn.Module, plan: Plan) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for the embedding and the norm scales."""
    inner = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    table = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" in n]
    scales = [p for p in model.parameters() if p.ndim < 2]
    groups: list[dict[str, Any]] = [{"params": table}, {"params": scales, "weight_decay": 0.0}]
    return [
        torch.optim.AdamW(groups, lr=plan.rate, betas=(0.9, 0.95), weight_decay=plan.decay),
        torch.optim.Muon(inner, lr=plan.rate, weight_decay=plan.decay, adjust_lr_fn="match_rms_adamw"),
    ]


class Run:
    """A model in training with all that a resumed run needs; `folder` holds state.pt, training.log and checkpoint/."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        torch.manual_seed(plan.seed)
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.plan, self.tokenizer, self.progress = folder, plan, build(), Progress()
        self.model = Qwen3ForCausalLM(Qwen3Config(**config(self.tokenizer))).float()
        self.loss_of = Loss(self.model)
        self.steppers = optimizers(self.model, plan)
        if (folder / "state.pt").exists():
            state = torch.load(folder / "state.pt", weights_only=True)
            self.model.load_state_dict(state["model"])
            for stepper, saved in zip(self.steppers, state["optimizers"], strict=True):
                stepper.load_state_dict(saved)
            self.progress = Progress(**{f.name: state[f.name] for f in fields(Progress)})

    def save(self) -> None:
        """Write state and checkpoint; a half-written file never takes the place of a whole one."""
        state = {
            "model": self.model.state_dict(),
            "optimizers": [o.state_dict() for o in self.steppers],
            **asdict(self.progress),
        }
        partial = self.folder / "state.partial"
        torch.save(state, partial)
        partial.replace(self.folder / "state.pt")
        export(self.model, self.tokenizer, self.folder / "checkpoint")

    def advance(self) -> float:
        """One step of the optimizers over one set of batches; returns the mean loss of a learned token."""
        now, total = self.progress, 0.0
        made = batches(self.tokenizer, self.plan, now.step)
        count = sum(int((labels != IGNORED).sum()) for _, labels in made)
        for stepper in self.steppers:
            stepper.zero_grad()
            for group in stepper.param_groups:
                group["lr"] = rate_at(self.plan, now.step)
        for ids, labels in made:
            with torch.autocast("cpu", torch.bfloat16):
                loss = self.loss_of(ids, labels) / count
            loss.backward()
            total += loss.item()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for stepper in self.steppers:
            stepper.step()
        now.step += 1
        now.tokens += sum(ids.numel() for ids, _ in made)
        now.learned += count
        return total


def train(folder: Path, plan: Plan) -> None:
    """Run the plan from the last saved state in the folder, or from its beginning."""
    torch.set_num_threads(2)
    run = Run(folder, plan)
    now, losses = run.progress, []
    with (folder / "training.log").open("a", buffering=1) as log:
        log.write(f"# {plan}, from step {now.step}\n")
        before, began = now.seconds, time.monotonic()
        while now.step < plan.steps:
            losses.append(run.advance())
            now.seconds = before + time.monotonic() - began
            if now.step % 20 == 0:
                log.write(
                    f"step {now.step} loss {sum(losses) / len(losses):.4f} tokens {now.tokens} "
                    f"learned {now.learned} seconds {now.seconds:.0f}\n"
                )
                losses.clear()
            if now.step % plan.save_every == 0 or now.step == plan.steps:
                run.save()


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=Plan.steps)
    parser.add_argument("--cooldown", type=int, default=Plan.cooldown)
    o = parser.parse_args()
    train(o.folder, Plan(steps=o.steps, cooldown=o.cooldown))


if __name__ == "__main__":
    main()
