"""Write the held-out questions, as many of each task: `python heldout.py FILE`."""

import argparse
import json
from pathlib import Path

from problems import TASKS, held_out_set

COUNT, SEED = 600, 2024


def main() -> None:
    """Read the command line and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    o = parser.parse_args()
    problems = held_out_set(COUNT, SEED, dict.fromkeys(TASKS, 1.0))
    lines = [json.dumps({"task": p.task, "question": p.question, "answer": p.answer}) for p in problems]
    o.file.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
