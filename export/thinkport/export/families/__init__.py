"""Model architectures: what their configuration means, which weights they have, and what each is for."""

from thinkport.export.families.family import ExpertTensors, Family
from thinkport.export.families.registry import FAMILIES, family_of, shape_of
from thinkport.export.families.rope import cos_sin_tables, inv_freq_and_scaling
from thinkport.export.families.shape import DecoderShape, MixtureShape, Rope

__all__ = [
    "FAMILIES",
    "DecoderShape",
    "ExpertTensors",
    "Family",
    "MixtureShape",
    "Rope",
    "cos_sin_tables",
    "family_of",
    "inv_freq_and_scaling",
    "shape_of",
]
