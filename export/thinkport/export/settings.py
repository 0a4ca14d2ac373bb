"""What an export is asked to do."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

from thinkport.deploy.targets import KvDtype, Target, target
from thinkport.export.errors import RecipeError
from thinkport.export.quantize.recipes import DEFAULT_RECIPE, Recipe, recipe_named
from thinkport.runtime.errors import InputError

Precision = Literal["int4", "fp32"]
Kv = Literal["fp32", "fp16", "int8"]

MIN_AGREEMENT = 0.5  # a graph that computes something else is near 0, int4 of noise above 0.9

_KV_DTYPES: Mapping[Kv, KvDtype] = MappingProxyType({"fp32": "float32", "fp16": "float16", "int8": "int8"})


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """One export, checked when made.

    Attributes:
        checkpoint: a local folder, or a Hub id `owner/name[@revision]`.
        output: the artifact's folder.
        target: where the graph is to run.
        precision: `int4` quantizes by `recipe`; `fp32` stops before quantizing.
        recipe: a recipe's name; None is the default one for int4.
        kv: the KV cache's numbers; None is the target's best, and fp32 for a yardstick (precision fp32, or not fused).
        fuse: False stops before fusing: the graph as traced, a yardstick.
        certificate: whether to hold the artifact against its checkpoint when it is written.
        min_agreement: the least mean correlation of a graph's logits with the checkpoint's, -1 to 1.
        enable_thinking: what the artifact's replies do if nobody says otherwise; None leaves it to the chat template.
        force: replace an artifact at `output`.
        workers: threads that quantize; None is one a core.

    Raises:
        RecipeError: a recipe with fp32, or an unknown one.
        InputError: an unknown target, precision or kv, a kv that the target or an unfused graph can't have, or no
            worker.
    """

    checkpoint: str
    output: Path
    target: str = "cpu"
    precision: Precision = "int4"
    recipe: str | None = None
    kv: Kv | None = None
    fuse: bool = True
    certificate: bool = True
    min_agreement: float = MIN_AGREEMENT
    enable_thinking: bool | None = None
    force: bool = False
    workers: int | None = None

    def __post_init__(self) -> None:
        target(self.target)
        if self.precision not in get_args(Precision):
            raise InputError(f"unknown precision {self.precision!r}, expected one of: {', '.join(get_args(Precision))}")
        if not -1 <= self.min_agreement <= 1:
            raise InputError(f"min_agreement is {self.min_agreement}, expected a correlation from -1 to 1")
        if self.workers is not None and self.workers < 1:
            raise InputError(f"workers is {self.workers}, expected 1 or more, or None for one a core")
        if self.precision == "fp32" and self.recipe is not None:
            raise RecipeError(f"recipe {self.recipe!r} with precision fp32, which does not quantize: leave one out")
        if self.quantization is not None:
            _check_recipe(self.quantization, target(self.target))
        if self.kv is not None:
            _check_kv(self.kv, target(self.target), fuse=self.fuse)

    @property
    def quantization(self) -> Recipe | None:
        """The recipe to apply; None for fp32."""
        return None if self.precision == "fp32" else recipe_named(self.recipe or DEFAULT_RECIPE)

    @property
    def kv_dtype(self) -> KvDtype:
        """The type of the KV cache, as ONNX Runtime calls it."""
        if self.kv is not None:
            return _KV_DTYPES[self.kv]
        yardstick = self.precision == "fp32" or not self.fuse
        return "float32" if yardstick else target(self.target).kv_dtypes[0]


def _check_kv(kv: Kv, where: Target, *, fuse: bool) -> None:
    """Refuse a cache that the target's attention operator, or a graph without that operator, doesn't take."""
    if kv not in _KV_DTYPES:
        raise InputError(f"unknown kv {kv!r}, expected one of: {', '.join(_KV_DTYPES)}")
    if _KV_DTYPES[kv] not in where.kv_dtypes:
        allowed = ", ".join(name for name, dtype in _KV_DTYPES.items() if dtype in where.kv_dtypes)
        raise InputError(
            f"target {where.name} is not given a {kv} KV cache, which its attention doesn't take or is slow with; "
            f"expected one of: {allowed}"
        )
    if not fuse and kv != "fp32":
        raise InputError(
            f"kv {kv!r} in a graph that is not fused: attention spelled out takes a float32 cache only; leave out "
            "--kv or --no-fuse"
        )


def _check_recipe(recipe: Recipe, where: Target) -> None:
    """Refuse what the target's matrix operator doesn't take."""
    for how in (recipe.attention, recipe.mlp, recipe.lm_head, recipe.embedding):
        if how.bits not in where.weight_bits or how.group_size not in where.group_sizes:
            raise RecipeError(
                f"recipe {recipe.name!r} has {how.bits} bits in groups of {how.group_size}; target {where.name} takes "
                f"{where.weight_bits} bits in groups of {where.group_sizes}: choose another recipe"
            )
