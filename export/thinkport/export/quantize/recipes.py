"""The ways to quantize a model, by name: one row a recipe, one entry a role of weight that differs from the others.

Knows numbers only: no graph, no checkpoint.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Literal

from thinkport.export.errors import RecipeError

QuantizedPrecision = Literal["int4", "int8"]
Role = str
"""What a weight is for, by a family's own word. Three mean the same in all families: those of `TABLES` and `NORM`."""

NORM: Role = "norm"  # never quantized
TABLES: tuple[Role, ...] = ("embedding", "lm_head")  # outside of the layers; tied, both read one

BITS = (4, 8)
GROUP_SIZES = (32, 64, 128)  # MatMulNBits also takes 16, which is slow, and 256, which is coarse
ACCURACY_LEVELS = (0, 4)  # 1-3 compute in float32 on CPUs as 0 does


@dataclass(frozen=True, kw_only=True)
class RoleRecipe:
    """How one role's matrices are quantized, symmetric with the zero point at 2**(bits - 1).

    Attributes:
        bits: 4 or 8.
        group_size: 32, 64 or 128 columns share a scale.
        accuracy_level: MatMulNBits' attribute: 4 multiplies in int8, rounding activations too; 0 in float32.

    Raises:
        RecipeError: a value that ONNX Runtime can't run, or runs absurdly slowly.
    """

    bits: int = 4
    group_size: int = 64
    accuracy_level: int = 4

    def __post_init__(self) -> None:
        _require("bits", self.bits, BITS)
        _require("group_size", self.group_size, GROUP_SIZES)
        _require("accuracy_level", self.accuracy_level, ACCURACY_LEVELS)
        if self.bits == 8 and self.accuracy_level != 4:
            raise RecipeError(
                "8 bits at accuracy level 0: ONNX Runtime would dequantize the whole matrix on every call; "
                "use accuracy_level=4, or 4 bits"
            )

    @property
    def bits_per_weight(self) -> float:
        """Bits that a weight takes with its share of a float32 scale."""
        return self.bits + 32 / self.group_size


@dataclass(frozen=True, kw_only=True)
class ModelRecipe:
    """How a whole model is quantized. Norms are never: they stay float32.

    Attributes:
        name: what the command line and the manifest call it.
        summary: one line for `--help`.
        layers: the format of every role that `roles` does not name.
        roles: formats of others; lm_head's is the embedding's too where the two are tied, since they share one blob.
        equalize: scale loud channels before rounding, where that pays.
        compensate: round a column after the other, so that later ones make up for earlier ones' errors on a short text.
    """

    name: str
    summary: str
    layers: RoleRecipe = field(default_factory=RoleRecipe)
    roles: Mapping[Role, RoleRecipe] = field(default_factory=dict)
    equalize: bool = False
    compensate: bool = False

    @property
    def precision(self) -> QuantizedPrecision:
        """What the layers' weights are stored in."""
        return "int4" if self.layers.bits == 4 else "int8"

    def for_role(self, role: Role, *, tied: bool) -> RoleRecipe | None:
        """The role's recipe; None for a norm, which isn't quantized."""
        return None if role == NORM else self.of("lm_head" if tied and role in TABLES else role)

    def of(self, role: Role) -> RoleRecipe:
        """The format of a quantized role; a tied table's is `lm_head`."""
        return self.roles.get(role, self.layers)

    @property
    def formats(self) -> tuple[RoleRecipe, ...]:
        """Every format that some weight has."""
        return self.layers, *self.roles.values()


def _require(what: str, found: int, allowed: tuple[int, ...]) -> None:
    if found not in allowed:
        raise RecipeError(f"{what} is {found}; expected {', '.join(map(str, allowed[:-1]))} or {allowed[-1]}")


_G32, _G64, _G128 = (RoleRecipe(group_size=size) for size in GROUP_SIZES)
_EIGHT = RoleRecipe(bits=8, group_size=32)

_calibrated = partial(ModelRecipe, equalize=True, compensate=True)

_ROWS = (
    ModelRecipe(
        name="int4-g32", summary="4 bits, groups of 32: 5 bits a weight, the most exact not calibrated", layers=_G32
    ),
    ModelRecipe(name="int4-g64", summary="4 bits, groups of 64: 4.5 bits a weight", layers=_G64),
    ModelRecipe(
        name="int4-g128", summary="4 bits, groups of 128: the smallest and fastest, 4.25 bits a weight", layers=_G128
    ),
    ModelRecipe(
        name="int4-g32-head8",
        summary="4 bits in groups of 32, lm_head and embedding in 8",
        layers=_G32,
        roles=dict.fromkeys(TABLES, _EIGHT),
    ),
    ModelRecipe(
        name="int8-g32", summary="8 bits, groups of 32: close to the checkpoint, twice the size", layers=_EIGHT
    ),
    ModelRecipe(
        name="int4-g64-exact",
        summary="int4-g64 with float32 activations: slow, to tell the weights' error from the activations'",
        layers=RoleRecipe(accuracy_level=0),
    ),
    _calibrated(name="fast", summary="calibrated, 4 bits in groups of 128: the fastest", layers=_G128),
    _calibrated(
        name="balanced",
        summary="calibrated, 4 bits, attention in groups of 32, the rest in 128",
        layers=_G128,
        roles={"attention": _G32},
    ),
    _calibrated(name="accurate", summary="calibrated, 4 bits in groups of 32", layers=_G32),
)

RECIPES: Mapping[str, ModelRecipe] = MappingProxyType({recipe.name: recipe for recipe in _ROWS})

# On SmolLM2-135M, the one real model that recipes were measured on, the smallest one that stays below 0.3 nats of mean
# KL divergence is int8-g32 (0.020); of those of 4 bits, accurate is nearest (0.36). Neither is a figure of Qwen3.
DEFAULT_RECIPE = "int8-g32"
DEFAULT_RECIPES: Mapping[QuantizedPrecision, str] = MappingProxyType({"int4": "accurate", "int8": DEFAULT_RECIPE})


def recipe_named(name: str) -> ModelRecipe:
    """The recipe of that name.

    Raises:
        RecipeError: no such recipe; the message has the nearest name and the list.
    """
    if name in RECIPES:
        return RECIPES[name]
    near = difflib.get_close_matches(name, RECIPES, n=1)
    guess = f"did you mean {near[0]!r}? " if near else ""
    raise RecipeError(f"no recipe is called {name!r}; {guess}Recipes: {', '.join(RECIPES)}")
