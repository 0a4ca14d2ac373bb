"""Made-up problems with worked thoughts. Knows arithmetic and English phrasings; knows no tokens and no model.

Every task is easy line by line and hard in one step, so that a small model needs its thought. Columns of a sum are
named by letters from the left (A is the leading digit): a causal model can count a digit's place only from there.
"""

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass

HELD_OUT_ONE_IN = 32
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One question with the lines of its thought; `key` is the same for every phrasing of it."""

    task: str
    key: str
    question: str
    thought: tuple[str, ...]
    answer: str

    @property
    def held_out(self) -> bool:
        """True when the problem belongs to the evaluation: decided by its key's SHA-256, never by chance."""
        return int.from_bytes(hashlib.sha256(self.key.encode()).digest()[:8], "big") % HELD_OUT_ONE_IN == 0


PHRASES: dict[str, tuple[str, ...]] = {
    "sum": ("What is {}?", "Work out {}.", "Add: {}", "{} =", "Please compute {}."),
    "difference": ("What is {}?", "Work out {}.", "Subtract: {}", "{} =", "Please compute {}."),
    "product": ("What is {}?", "Work out {}.", "Multiply: {}", "{} =", "Please compute {}."),
    "chain": (
        "Start with {}. What is the last digit?",
        "Last digit only: start with {}.",
        "Keep the last digit. Start with {}.",
    ),
    "count": ("How many {} are in {}?", "Count the letter {} in {}.", "How often is {} in {}?"),
}


def _digits(value: int) -> list[int]:
    return [int(c) for c in str(value)]


def _sum(rng: random.Random) -> tuple[str, list[str], list[str], str]:
    n = rng.choice((5, 6))
    low, high = 10 ** (n - 1), 10**n
    total = rng.randrange(2 * low, high)
    a = rng.randrange(low, total - low + 1)
    b = total - a
    lines, carry = [], 0
    for i in range(n - 1, -1, -1):
        x, y = _digits(a)[i], _digits(b)[i]
        s = x + y + carry
        lines.append(f"{LETTERS[i]}{x}+{y}{'+1' if carry else ''}={s}")
        carry = s // 10
    return f"{a}+{b}", [f"{a}+{b}"], lines, str(total)


def _difference(rng: random.Random) -> tuple[str, list[str], list[str], str]:
    n = rng.choice((5, 6))
    low, high = 10 ** (n - 1), 10**n
    a = rng.randrange(2 * low, high)
    b = rng.randrange(low, a - low + 1)
    lines, borrow = [], 0
    for i in range(n - 1, -1, -1):
        x, y = _digits(a)[i], _digits(b)[i]
        d = x - y - borrow
        lines.append(f"{LETTERS[i]}{x}-{y}{'-1' if borrow else ''}{'+10' if d < 0 else ''}={d % 10}")
        borrow = int(d < 0)
    return f"{a}-{b}", [f"{a}-{b}"], lines, str(a - b)


def _product(rng: random.Random) -> tuple[str, list[str], list[str], str]:
    while True:
        a, b = rng.randrange(12, 100), rng.randrange(12, 100)
        if a * b >= 1000:
            break
    (p, q), (r, s) = _digits(a), _digits(b)
    lines = [f"{q}*{s}={q * s:02d}"]
    ones = p * s + q * s // 10
    lines.append(f"{p}*{s}={p * s:02d}+{q * s // 10}={ones:02d}")
    lines.append(f"{q}*{r}={q * r:02d}")
    tens = p * r + q * r // 10
    lines.append(f"{p}*{r}={p * r:02d}+{q * r // 10}={tens:02d}")
    x = ones % 10 + q * r % 10
    y = ones // 10 + tens % 10 + x // 10
    z = tens // 10 + y // 10
    lines.append(f"{ones % 10}+{q * r % 10}={x:02d}")
    lines.append(f"{ones // 10}+{tens % 10}+{x // 10}={y:02d}")
    lines.append(f"{tens // 10}+{y // 10}={z}")
    return f"{a}*{b}", [f"{a}*{b}"], lines, str(a * b)


def _chain(rng: random.Random) -> tuple[str, list[str], list[str], str]:
    start = value = rng.randrange(10)
    steps, lines = [], []
    for label in LETTERS[: rng.randint(6, 9)]:
        op = rng.choice("+-*")
        # Multipliers prime to 10, else zeros and fives pile up and the answer can be guessed.
        k = rng.choice((3, 7, 9)) if op == "*" else rng.randint(1, 9)
        after = {"+": value + k, "-": value - k, "*": value * k}[op] % 10
        steps.append(f"{label}{op}{k}")
        lines.append(f"{label}{value}{op}{k}={after}")
        value = after
    text = f"{start}, then " + " ".join(steps)
    return text, [text], lines, str(value)


def _count(rng: random.Random) -> tuple[str, list[str], list[str], str]:
    letter = rng.choice(LETTERS)
    size, times = rng.randint(12, 20), rng.randint(2, 7)
    others = rng.sample([c for c in LETTERS if c != letter], size - min(times, size // 2))
    times = size - len(others)
    word = others
    for at in sorted(rng.sample(range(len(others) + 1), times), reverse=True):
        word.insert(at, letter)
    text, lines, seen = "".join(word), [], 0
    for at in range(0, size, 5):
        line = ""
        for c in text[at : at + 5]:
            seen += c == letter
            line += f"{c}{seen}"
        lines.append(line)
    return f"{letter} in {text}", [letter, text], lines, str(seen)


TASKS: dict[str, Callable[[random.Random], tuple[str, list[str], list[str], str]]] = {
    "sum": _sum,
    "difference": _difference,
    "product": _product,
    "chain": _chain,
    "count": _count,
}


def make(rng: random.Random, task: str, *, held_out: bool) -> Problem:
    """A problem of the task from the asked-for side of the split."""
    while True:
        key, slots, lines, answer = TASKS[task](rng)
        question = rng.choice(PHRASES[task]).format(*slots)
        problem = Problem(task=task, key=f"{task}:{key}", question=question, thought=tuple(lines), answer=answer)
        if problem.held_out == held_out:
            return problem


def held_out_set(n: int, seed: int, mix: dict[str, float]) -> list[Problem]:
    """`n` different held-out problems, each task with its share of the mix, in a shuffled order."""
    rng = random.Random(seed)
    tasks = [t for t, share in mix.items() for _ in range(round(n * share / sum(mix.values())))]
    tasks += rng.choices(list(mix), weights=list(mix.values()), k=max(0, n - len(tasks)))
    found: dict[str, Problem] = {}
    for task in tasks[:n]:
        while (problem := make(rng, task, held_out=True)).key in found:
            pass
        found[problem.key] = problem
    problems = list(found.values())
    rng.shuffle(problems)
    return problems


def right(reply: str, answer: str) -> bool:
    """True when the reply without its thought is exactly the answer, surrounding white space apart."""
    return reply.rsplit("</think>", 1)[-1].strip() == answer
