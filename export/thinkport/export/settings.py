"""What an export is asked to do."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

from pydantic import ByteSize, TypeAdapter, ValidationError

from thinkport.deploy.targets import TARGETS, Activations, KvDtype, Target, target
from thinkport.export.errors import RecipeError
from thinkport.export.quantize.recipes import (
    BESIDE_KEPT,
    BUDGETED,
    DEFAULT_RECIPES,
    KEPT,
    RECIPES,
    ModelRecipe,
    recipe_named,
)
from thinkport.runtime.artifact.certificate import MIN_AGREEMENT
from thinkport.runtime.artifact.manifest import Task
from thinkport.runtime.artifact.verdict import Grade
from thinkport.runtime.errors import InputError

Precision = Literal["int4", "int8", "fp32"]
Kv = Literal["fp32", "fp16", "int8"]

_KV_DTYPES: Mapping[Kv, KvDtype] = MappingProxyType({"fp32": "float32", "fp16": "float16", "int8": "int8"})
_YARDSTICK: Activations = "float32"  # activations of a graph that is not fused, or whose weights are not quantized


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """One export, checked when made.

    Attributes:
        checkpoint: a local folder, or a Hub id `owner/name[@revision]`.
        output: the artifact's folder.
        adapter: the folder of a LoRA adapter to merge into the checkpoint's weights.
        task: what the artifact is for, or its name; None is what the checkpoint's files say.
        targets: where graphs are to run, by name; None is everywhere that these settings can be had.
        precision: `int4` and `int8` quantize, by the best recipe of so many bits if none is named; `fp32` stops before
            quantizing; None is the recipe's.
        recipe: a recipe's name, or one of your own; None is the default one of the precision. `kept` takes the integers
            of a checkpoint that is quantized, as None does where neither precision, bits nor size are given.
        bits: the most bits a weight, of a recipe that gives matrices more by what they gain; None is the recipe's.
        size: the same as bytes of `weights.bin`.
        kv: the KV cache's numbers, of those targets that take them; None is each target's best, and fp32 for a
            yardstick (precision fp32, or not fused).
        fuse: False stops before fusing: the graph as traced, a yardstick.
        certificate: whether to hold the artifact against its checkpoint when it is written.
        min_agreement: what every graph must reach: a mean correlation of logits with the checkpoint's, -1 to 1, or a
            word of the verdict.
        enable_thinking: what the artifact's replies do if nobody says otherwise; None leaves it to the chat template.
        force: replace an artifact at `output`.
        workers: threads that quantize; None is one a core.

    Raises:
        RecipeError: a recipe of another precision, or an unknown one; bits or size with one that has no use for them.
        InputError: an unknown target, task, precision or kv, a kv that no target or no unfused graph can have, a
            yardstick of a target that computes in other numbers, or no worker.
    """

    checkpoint: str
    output: Path
    adapter: Path | None = None
    task: Task | str | None = None
    targets: tuple[str, ...] | None = None
    precision: Precision | None = None
    recipe: str | ModelRecipe | None = None
    bits: float | None = None
    size: int | None = None
    kv: Kv | None = None
    fuse: bool = True
    certificate: bool = True
    min_agreement: float | Grade = MIN_AGREEMENT
    enable_thinking: bool | None = None
    force: bool = False
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.precision is not None and self.precision not in get_args(Precision):
            raise InputError(f"unknown precision {self.precision!r}, expected one of: {', '.join(get_args(Precision))}")
        if self.task is not None and self.task not in [*Task]:
            raise InputError(f"unknown task {self.task!r}, expected one of: {', '.join(Task)}")
        self._check_agreement()
        if self.workers is not None and self.workers < 1:
            raise InputError(f"workers is {self.workers}, expected 1 or more, or None for one a core")
        recipe = self.quantization
        self._check_recipe(recipe)
        for entry in self.entries:
            if self.yardstick and entry.activations[0] != _YARDSTICK:
                raise InputError(
                    f"target {entry.name} computes in {entry.activations[0]}, and --precision fp32 or --no-fuse makes "
                    "a graph in float32: leave the option out, or export for another target"
                )
            if recipe is not None:
                check_recipe(recipe, entry)
        if self.kv is not None:
            self._check_kv(self.kv)

    @property
    def quantization(self) -> ModelRecipe | None:
        """The recipe to apply to a checkpoint that keeps no integers; None for fp32."""
        if self.precision == "fp32":
            return None
        budgeted = self.bits is not None or self.size is not None
        named = None if self.recipe == KEPT else self.recipe
        recipe = (BUDGETED if budgeted else DEFAULT_RECIPES[self.precision]) if named is None else named
        recipe = recipe_named(recipe) if isinstance(recipe, str) else recipe
        return replace(recipe, bits=self.bits, size=self.size) if budgeted else recipe

    @property
    def asked_task(self) -> Task | None:
        """The task that is asked for; None leaves it to the checkpoint."""
        return None if self.task is None else Task(self.task)

    @property
    def keeps(self) -> bool:
        """Whether integers that a checkpoint has already go into the artifact as they are."""
        asked = self.precision, self.bits, self.size
        return asked == (None, None, None) and self.recipe in (None, KEPT)

    @property
    def yardstick(self) -> bool:
        """Whether the artifact is one to measure others by: not quantized, or not fused."""
        return self.precision == "fp32" or not self.fuse

    @property
    def entries(self) -> tuple[Target, ...]:
        """The targets, in the order they are given."""
        if self.targets is not None:
            return tuple(target(name) for name in dict.fromkeys(self.targets))
        return tuple(entry for entry in TARGETS.values() if not self.yardstick or entry.activations[0] == _YARDSTICK)

    def entries_for(self, recipe: ModelRecipe | None) -> tuple[Target, ...]:
        """The targets that take a recipe's weights; those that are named have to.

        Raises:
            RecipeError: a named one doesn't, or none does.
        """
        if recipe is None:
            return self.entries
        takes = [entry for entry in self.entries if refusal(recipe, entry) is None]
        if self.targets is None and takes:
            return tuple(takes)
        for entry in self.entries:
            check_recipe(recipe, entry)
        return self.entries

    def kv_dtype(self, entry: Target) -> KvDtype:
        """The type of a target's KV cache, as ONNX Runtime calls it."""
        if self.kv is not None and _KV_DTYPES[self.kv] in self.caches(entry):
            return _KV_DTYPES[self.kv]
        return "float32" if self.yardstick else entry.kv_dtypes[0]

    def caches(self, entry: Target) -> set[KvDtype]:
        """The types that a target's KV cache can have: those that are rounded, and the one that it computes in."""
        computed = _YARDSTICK if self.yardstick else entry.activations[0]
        return {dtype for dtype in entry.kv_dtypes if dtype == computed or dtype not in get_args(Activations)}

    def _check_recipe(self, recipe: ModelRecipe | None) -> None:
        """Refuse what contradicts `recipe`, which these settings stand for."""
        name = self.recipe.name if isinstance(self.recipe, ModelRecipe) else self.recipe
        given = {"recipe": name, "bits": self.bits, "size": self.size}
        asked = " and ".join(f"{name} {value!r}" for name, value in given.items() if value is not None)
        if recipe is None:
            if asked:
                raise RecipeError(f"{asked} with precision fp32, which does not quantize: leave one out")
            return
        if self.recipe == KEPT and not self.keeps:
            raise RecipeError(
                f"recipe {KEPT!r} keeps the checkpoint's integers, and precision, bits or size ask for others: "
                "leave one of the two out"
            )
        if self.precision not in (None, recipe.precision):
            raise RecipeError(
                f"recipe {recipe.name!r} stores {recipe.precision} weights, and precision is {self.precision}: leave "
                "one of the two out"
            )
        if self.bits is not None and not math.isfinite(self.bits):
            raise RecipeError(f"bits is {self.bits}, expected a number such as 5")
        if self.bits is not None and self.size is not None:
            raise RecipeError(f"{asked}: leave one of bits and size out, since either says the other")
        if recipe.finer is None and (self.bits is not None or self.size is not None):
            others = " or ".join(row.name for row in RECIPES.values() if row.finer)
            raise RecipeError(
                f"{asked}, but this recipe stores all matrices alike: leave bits and size out, or take {others}"
            )

    def _check_agreement(self) -> None:
        """Refuse a correlation that is none, and a word where nothing is measured."""
        least = self.min_agreement
        if isinstance(least, Grade):
            if not self.certificate:
                raise InputError(f"--min-agreement {least} with --no-certificate, which measures nothing: drop one")
        elif not -1 <= least <= 1:
            raise InputError(f"min_agreement is {least}, expected a correlation from -1 to 1")

    def _check_kv(self, kv: Kv) -> None:
        """Refuse a cache that no target's attention operator, or a graph without that operator, takes."""
        if kv not in _KV_DTYPES:
            raise InputError(f"unknown kv {kv!r}, expected one of: {', '.join(_KV_DTYPES)}")
        taken = set().union(*(self.caches(entry) for entry in self.entries))
        if _KV_DTYPES[kv] not in taken:
            names = " and ".join(entry.name for entry in self.entries)
            raise InputError(
                f"target {names} is not given a {kv} KV cache, which its attention doesn't take or is slow with; "
                f"expected one of: {', '.join(name for name, dtype in _KV_DTYPES.items() if dtype in taken)}"
            )
        if not self.fuse and kv != "fp32":
            raise InputError(
                f"kv {kv!r} in a graph that is not fused: attention spelled out takes a float32 cache only; leave out "
                "--kv or --no-fuse"
            )


def check_recipe(recipe: ModelRecipe, where: Target) -> None:
    """Refuse what the target's matrix operator doesn't take.

    Raises:
        RecipeError: bits or a group size, with those that it takes, or zero points.
    """
    found = refusal(recipe, where)
    if found is not None:
        raise RecipeError(found)


def refusal(recipe: ModelRecipe, where: Target) -> str | None:
    """Why the target's matrix operator doesn't take a recipe's weights; None where it does."""
    for how in recipe.formats:
        if how.bits not in where.weight_bits or how.group_size not in where.group_sizes:
            return (
                f"recipe {recipe.name!r} has {how.bits} bits in groups of {how.group_size}; target {where.name} takes "
                f"{where.weight_bits} bits in groups of {where.group_sizes}: choose another recipe"
            )
        if how.points and not where.zero_points:
            return (
                f"recipe {recipe.name!r} has weights with zero points, and target {where.name} takes none: leave "
                f"{where.name} out of --target, or round the weights again with --recipe {BESIDE_KEPT}"
            )
    return None


def parsed_size(text: str) -> int:
    """Bytes of a size in words, such as `350MB` or `1.5GiB`.

    Raises:
        InputError: it is none.
    """
    try:
        return TypeAdapter(ByteSize).validate_python(text)
    except ValidationError:
        raise InputError(
            f"size {text!r} can't be read; expected a number with a unit, such as 350MB or 1.5GB"
        ) from None
