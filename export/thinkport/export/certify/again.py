"""Measures a finished artifact's certificate again: what `thinkport verify --checkpoint` calls."""

from pathlib import Path

from thinkport.export.certify.certify import measure
from thinkport.export.checkpoint import open_checkpoint
from thinkport.export.families import family_of
from thinkport.runtime.certificate import Certificate
from thinkport.runtime.manifest import read_manifest


def certify_again(folder: Path, checkpoint: str) -> Certificate:
    """The certificate of an artifact's graphs against a checkpoint, a folder or a Hub id; nothing is written.

    Raises:
        ThinkportError: artifact or checkpoint can't be read, or don't belong together.
    """
    manifest = read_manifest(folder)
    opened = open_checkpoint(checkpoint)
    family = family_of(opened.config)
    shape = family.shape(opened.config)
    family.check_weights(opened.tensors, shape)
    certificate, _ = measure(folder, manifest.graphs, manifest.model, opened, shape, advance=lambda _: None)
    return certificate
