"""Measures a finished artifact's certificate again: what `thinkport verify --checkpoint` calls."""

from pathlib import Path

from thinkport.export.certify.certify import measure
from thinkport.export.checkpoint import open_checkpoint
from thinkport.export.families import family_of
from thinkport.export.write.records import model_record
from thinkport.runtime.artifact.certificate import Certificate
from thinkport.runtime.artifact.manifest import ModelShape, read_manifest
from thinkport.runtime.errors import InputError


def certify_again(folder: Path, checkpoint: str) -> Certificate:
    """The certificate of an artifact's graphs against a checkpoint, a folder or a Hub id; nothing is written.

    Raises:
        InputError: the checkpoint is of another size than the artifact.
        ThinkportError: artifact or checkpoint can't be read.
    """
    manifest = read_manifest(folder)
    opened = open_checkpoint(checkpoint)
    family = family_of(opened.config)
    shape = family.shape(opened.config)
    _check_same(manifest.model, model_record(family.model_type, shape), checkpoint)
    family.check_weights(opened.tensors, shape)
    certificate, _ = measure(folder, manifest.graphs, manifest.model, opened, shape, advance=lambda _: None)
    return certificate


def _check_same(made: ModelShape, asked: ModelShape, checkpoint: str) -> None:
    """Figures against a model of other numbers would be figures of nothing."""
    ours, theirs = made.model_dump(), asked.model_dump()
    other = [f"{name} {theirs[name]} (the artifact: {ours[name]})" for name in ours if ours[name] != theirs[name]]
    if other:
        raise InputError(
            f"{checkpoint} is not the checkpoint that this artifact was made of: it has {', '.join(other)}; give the "
            "one that the manifest's `source` names"
        )
