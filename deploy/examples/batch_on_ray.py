"""Answers the prompts of a file on a Ray cluster: `python batch_on_ray.py ARTIFACT PROMPTS -o OUT.jsonl`.

The rows, and the lines that come out, are those of `thinkport batch`. Each worker loads the artifact once; where one
dies, Ray starts another and gives it the rows of the pieces that were not finished.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from thinkport.runtime import Thinking, ThinkportError
from thinkport.runtime.batch.batch_replies import BatchReplies
from thinkport.runtime.batch.prompt_rows import PromptRow, read_rows
from thinkport.runtime.batch.row_replies import failed
from thinkport.runtime.extras import require


def options() -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", help="a folder that every machine has at this path, or an id on the Hub")
    parser.add_argument("prompts", type=Path, help="a file of prompts, as `thinkport batch` takes it")
    parser.add_argument("-o", "--output", type=Path, required=True, help="a new file")
    parser.add_argument("--address", help="of the cluster, such as auto; without it, a Ray of this machine alone")
    parser.add_argument("--workers", type=int, default=2, help="each has the model in its memory")
    parser.add_argument("--threads", type=int, default=1, help="of each worker")
    parser.add_argument("--piece", type=int, default=10, help="rows that a worker answers before it hands them back")
    parser.add_argument("--provider", default="cpu")
    parser.add_argument("--kernels", default="auto")
    parser.add_argument("--think", action=argparse.BooleanOptionalAction)
    parser.add_argument("--think-budget", type=int)
    parser.add_argument("--system")
    parser.add_argument("--max-tokens", type=int)
    parser.add_argument("--temperature", type=float)
    parser.add_argument("--seed", type=int)
    return parser.parse_args()


def columns_of(row: PromptRow) -> dict[str, str]:
    """A row as a table has it; nested values are JSON, which keeps their types."""
    if row.body is not None:
        return {"custom_id": str(row.id), "body": json.dumps(row.body)}
    return {"id": str(row.id), "messages": json.dumps(list(row.messages))}


def answer(asked: argparse.Namespace, rows: list[PromptRow], worker: type[BatchReplies] = BatchReplies) -> list[str]:
    """The lines of the rows, in their order; exactly one each.

    Raises:
        RuntimeError: Ray lost a row, or answered one twice.
    """
    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    alone: dict[str, Any] = {"include_dashboard": False, "num_cpus": asked.workers * asked.threads + 1}
    alone |= {"_node_ip_address": "127.0.0.1"}
    ray.init(**({"address": asked.address} if asked.address else alone))
    loading = {name: getattr(asked, name) for name in ("provider", "kernels", "threads")}
    replies = {
        "loading": loading | {"deterministic": True},
        "thinking": Thinking(enabled=asked.think, budget=asked.think_budget),
        "system": asked.system,
        "max_tokens": asked.max_tokens,
        "sampling": None if asked.temperature is None else {"temperature": asked.temperature},
        "seed": asked.seed,
    }
    pieces = -(-len(rows) // asked.piece)
    answered = ray.data.from_items([columns_of(row) for row in rows], override_num_blocks=pieces).map_batches(
        worker,
        fn_constructor_args=[asked.artifact],
        fn_constructor_kwargs=replies,
        batch_size=asked.piece,
        compute=ray.data.ActorPoolStrategy(size=asked.workers),
        num_cpus=asked.threads,
    )
    found: dict[str, str] = {}
    for row in answered.iter_rows():
        if row["id"] in found:
            raise RuntimeError(f"the row {row['id']!r} was answered twice")
        found[row["id"]] = row["line"]
    ray.shutdown()
    if lost := [row.id for row in rows if str(row.id) not in found]:
        raise RuntimeError(f"no answer to {len(lost)} rows, the first of them {lost[0]!r}")
    return [found[str(row.id)] for row in rows]


def main() -> None:
    """Read, answer and write; the output appears once it is whole."""
    asked = options()
    try:
        require("ray", "ray", "pyarrow", "pandas")
        if asked.output.exists():
            sys.exit(f"{asked.output} is there already: name another output, or delete it")
        rows = read_rows(asked.prompts)
        try:
            asked.output.parent.mkdir(parents=True, exist_ok=True)  # rather than fail once all is answered
        except OSError as error:
            sys.exit(f"{asked.output} can't be written: {error.strerror}")
        lines = answer(asked, rows)
    except ThinkportError as error:
        sys.exit(str(error))
    half = asked.output.with_name(f"{asked.output.name}.half")
    half.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    half.replace(asked.output)
    wrong = sum(failed(json.loads(line)) for line in lines)
    sys.stderr.write(f"{len(lines) - wrong} of {len(lines)} rows answered, {wrong} failed: {asked.output}\n")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
