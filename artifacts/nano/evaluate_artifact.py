"""Accuracy of an exported artifact on the same problems: `python evaluate_artifact.py ARTIFACT`.

Runs thinkport's own runtime, with the presets of the artifact's manifest. Compare its table with `evaluate.py`'s.
"""

import argparse
from pathlib import Path

from evaluate import LONGEST_REPLY, Preset, load_questions, table
from thinkport.runtime import Model

HELD_OUT = Path(__file__).resolve().parents[1] / "checkpoints" / "nano-qwen3" / "heldout.jsonl"


class Artifact:
    """An artifact opened for one question at a time."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def replies(self, questions: list[str], *, think: bool, preset: Preset, seed: int) -> list[str]:
        """The answer to each question; the manifest's own presets are used, which have the same values."""
        del preset
        return [
            self.model.generate(
                question, enable_thinking=think, max_tokens=LONGEST_REPLY, seed=len(questions) * seed + number
            ).answer
            for number, question in enumerate(questions)
        ]


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--n", type=int, default=500)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    o = parser.parse_args()
    with Model.load(o.artifact) as model:
        print(table(Artifact(model), load_questions(HELD_OUT, o.n), o.seeds))


if __name__ == "__main__":
    main()
