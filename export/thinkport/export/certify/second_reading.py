"""What transformers itself makes of a checkpoint, over one prompt: a reading that shares no code with the export.

A setting that the export misreads, such as a head of its own that is taken for a tied one, is in its float32 reference
too, so that certificates agree with the mistake. Knows transformers and peft. Must not know graphs.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
from numpy.typing import NDArray

from thinkport.export.checkpoint import Checkpoint
from thinkport.export.checkpoint.folder import names_of_weights
from thinkport.export.checkpoint.tied_tables import EMBEDDING, LM_HEAD
from thinkport.runtime.artifact.goldens import Golden
from thinkport.runtime.artifact.manifest import Task

MOST_DIFFERENCE = 1e-3  # of the logits' spread; two float32 readings of one model differ by some 1e-5
_ROOM = 1.3  # bytes that loading takes over those of float32 weights


class SecondReading(NamedTuple):
    """What came of it, in words; `passed` is None where transformers could not read the checkpoint here."""

    passed: bool | None
    detail: str


def second_reading(checkpoint: Checkpoint, golden: Golden, adapter: Path | None) -> SecondReading:
    """Hold a golden's logits, or hidden states of a model that embeds, against those of transformers."""
    obstacle = _obstacle(checkpoint, adapter)
    if obstacle is not None:
        return SecondReading(None, obstacle)
    try:
        found = _outputs(checkpoint, golden, adapter)[golden.rows][:, golden.sample_ids]
    except Exception as error:  # transformers, torch and peft raise whatever they like
        reason = " ".join(str(error).split())
        return SecondReading(None, f"not read by transformers, which says: {reason:.200}")
    difference = float(np.sqrt(np.square(found - golden.sample_logits).mean()) / golden.sample_logits.std())
    said = f"differ by {difference:.1g} of their spread over {len(golden.rows)} positions of {golden.name}"
    if difference <= MOST_DIFFERENCE:
        return SecondReading(True, f"transformers reads it alike: logits {said}")
    return SecondReading(
        False,
        f"transformers reads another model: logits {said}, expected at most {MOST_DIFFERENCE:g}: this is another "
        "checkpoint than the artifact's, or the export misread it; report it with the checkpoint's name",
    )


def _obstacle(checkpoint: Checkpoint, adapter: Path | None) -> str | None:
    """Why transformers can't read it here; None where it can."""
    if checkpoint.quantized:
        return "not read by transformers: it needs other packages for weights that are quantized"
    if not _knows_all(checkpoint):
        return "not read by transformers: it does not know the names that the tensors have in the file"
    needed = _ROOM * 4 * sum(int(np.prod(entry.shape)) for entry in checkpoint.tensors.values())
    free = psutil.virtual_memory().available
    if needed > free:
        return f"not read by transformers: that takes {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free"
    try:
        if adapter is not None:
            import peft  # noqa: F401 - whether it is here
    except ImportError:
        return "not read by transformers: to merge the adapter it needs peft; pip install peft"
    return None


def _knows_all(checkpoint: Checkpoint) -> bool:
    """Whether every tensor has a name in the file that transformers knows; it would make up what it can't find."""
    names = names_of_weights(checkpoint.folder) or ()
    known = {*names, *(f"model.{name}" for name in names)}  # as a model without a head around it is saved
    tables = {EMBEDDING, LM_HEAD}  # of two that are tied, one may be missing
    return bool(known & checkpoint.tensors.keys()) and checkpoint.tensors.keys() <= known | tables


@contextmanager
def _in_silence() -> Iterator[None]:
    """Keep transformers from drawing bars and from warning of what it decides itself; a library is silent."""
    from transformers.utils import logging

    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _outputs(checkpoint: Checkpoint, golden: Golden, adapter: Path | None) -> NDArray[np.float32]:
    """Logits, or hidden states after the final norm, after every token of a golden: float32 (tokens, columns)."""
    import torch
    import transformers

    embeds = checkpoint.task is Task.EMBEDDING
    kind: Any = transformers.AutoModel if embeds else transformers.AutoModelForCausalLM
    with _in_silence(), torch.inference_mode():
        model = kind.from_pretrained(checkpoint.folder, dtype=torch.float32, local_files_only=True)
        if adapter is not None:
            from peft import PeftModel

            model = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
        given = model.eval()(torch.from_numpy(golden.ids.copy())[None])
    return np.asarray((given.last_hidden_state if embeds else given.logits)[0].float().numpy())
