"""Accuracy of a checkpoint on held-out problems, thinking and not: `python evaluate.py CHECKPOINT`.

Weights are used in fp32, sampling is Qwen3's preset of each mode. Knows nothing of how the checkpoint was trained.
"""

import argparse
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache

from problems import right

BATCH = 128
LONGEST_REPLY = 160


@dataclass(frozen=True, kw_only=True)
class Preset:
    """How one mode samples."""

    temperature: float
    top_p: float
    top_k: int = 20


PRESETS = {
    True: Preset(temperature=0.6, top_p=0.95),
    False: Preset(temperature=0.7, top_p=0.8),
}


@dataclass(frozen=True, kw_only=True)
class Question:
    """A line of heldout.jsonl."""

    task: str
    question: str
    answer: str


def load_questions(path: Path, n: int) -> list[Question]:
    """The first `n` lines; their order is already shuffled over the tasks."""
    found = [Question(**json.loads(line)) for line in path.read_text().splitlines()]
    if len(found) < n:
        raise ValueError(f"{path} holds {len(found)} questions, {n} were asked for: lower --n")
    return found[:n]


def sample(logits: Tensor, preset: Preset, generator: torch.Generator) -> Tensor:
    """One id a row from (rows, vocabulary) logits: temperature, then top-k, then top-p."""
    top, ids = (logits / preset.temperature).topk(preset.top_k)
    p = top.softmax(-1)
    p = p.masked_fill(p.cumsum(-1) - p >= preset.top_p, 0.0)
    return ids.gather(1, torch.multinomial(p, 1, generator=generator))[:, 0]


class Replier(Protocol):
    """Anything that answers questions in one of the two modes."""

    def replies(self, questions: list[str], *, think: bool, preset: Preset, seed: int) -> list[str]:
        """One reply a question, in their order."""
        ...


class Checkpoint:
    """A Hugging Face folder opened for batched generation in fp32."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.ends = torch.tensor(self.model.generation_config.eos_token_id)

    @torch.inference_mode()
    def replies(self, questions: list[str], *, think: bool, preset: Preset, seed: int) -> list[str]:
        """The reply to each question, markers of a thought kept, the end marker left out."""
        generator = torch.Generator().manual_seed(seed)
        prompts = [
            self.tokenizer.apply_chat_template(
                [{"role": "user", "content": q}], add_generation_prompt=True, enable_thinking=think, tokenize=False
            )
            for q in questions
        ]
        texts: list[str] = []
        for at in range(0, len(prompts), BATCH):
            texts += self._batch(prompts[at : at + BATCH], preset, generator)
        return texts

    def _batch(self, prompts: list[str], preset: Preset, generator: torch.Generator) -> list[str]:
        made = self.tokenizer(prompts, padding=True, padding_side="left", return_tensors="pt", add_special_tokens=False)
        ids, mask = made["input_ids"], made["attention_mask"]
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        cache = DynamicCache(config=self.model.config)
        done = torch.zeros(len(prompts), dtype=torch.bool)
        produced: list[Tensor] = []
        while len(produced) < LONGEST_REPLY and not bool(done.all()):
            logits = self.model(ids, mask, positions, cache, logits_to_keep=1).logits[:, -1]
            chosen = torch.where(done, self.ends[0], sample(logits, preset, generator))
            produced.append(chosen)
            done |= torch.isin(chosen, self.ends)
            ids, positions = chosen[:, None], positions[:, -1:] + 1
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], 1)
        rows = torch.stack(produced, 1)
        return [self.tokenizer.decode([i for i in row.tolist() if i not in self.ends]) for row in rows]


def table(replier: Replier, questions: list[Question], seeds: list[int]) -> str:
    """A Markdown table of the accuracy in percent by task and mode, over all seeds."""
    asked = Counter(q.task for q in questions)
    correct: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    spread: dict[bool, list[float]] = {True: [], False: []}
    for think, preset in PRESETS.items():
        for seed in seeds:
            replies = replier.replies([q.question for q in questions], think=think, preset=preset, seed=seed)
            good = [q.task for q, reply in zip(questions, replies, strict=True) if right(reply, q.answer)]
            correct[think].update(good)
            spread[think].append(100 * len(good) / len(questions))
    lines = ["| task | n | thinking | not thinking |", "|---|---|---|---|"]
    for task, n in sorted(asked.items()):
        a, b = (100 * correct[think][task] / (n * len(seeds)) for think in (True, False))
        lines.append(f"| {task} | {n} | {a:.1f} | {b:.1f} |")
    a, b = (sum(spread[think]) / len(seeds) for think in (True, False))
    lines.append(f"| all | {len(questions)} | {a:.1f} | {b:.1f} |")
    each = "; ".join(f"seed {s}: {x:.1f} / {y:.1f}" for s, x, y in zip(seeds, spread[True], spread[False], strict=True))
    return "\n".join([*lines, "", f"Thinking / not thinking by seed, all tasks: {each}."])


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--n", type=int, default=500)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--questions", type=Path, help="default: heldout.jsonl in the checkpoint's folder")
    o = parser.parse_args()
    questions = load_questions(o.questions or o.checkpoint / "heldout.jsonl", o.n)
    print(table(Checkpoint(o.checkpoint), questions, o.seeds))


if __name__ == "__main__":
    main()
