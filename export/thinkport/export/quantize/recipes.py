"""The ways to quantize a model, by name: one row a recipe, one entry a role of weight.

Knows numbers only: no graph, no checkpoint.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from thinkport.export.errors import RecipeError

QuantizedPrecision = Literal["int4", "int8"]
Role = Literal["attention", "mlp", "embedding", "lm_head", "norm"]

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
class Recipe:
    """How a whole model is quantized. Norms are never: they stay float32.

    Attributes:
        name: what the command line and the manifest call it.
        summary: one line for `--help`.
        attention: the q, k, v and o projections.
        mlp: the gate, up and down projections.
        lm_head: the output projection; and the embedding too where the two are tied, since they share one blob.
        embedding: an embedding of its own.
        equalize: scale loud channels before rounding, where that pays.
        compensate: round a column after the other, so that later ones make up for earlier ones' errors on a short text.
    """

    name: str
    summary: str
    attention: RoleRecipe = field(default_factory=RoleRecipe)
    mlp: RoleRecipe = field(default_factory=RoleRecipe)
    lm_head: RoleRecipe = field(default_factory=RoleRecipe)
    embedding: RoleRecipe = field(default_factory=RoleRecipe)
    equalize: bool = False
    compensate: bool = False

    @property
    def precision(self) -> QuantizedPrecision:
        """What the layers' weights are stored in."""
        return "int4" if self.mlp.bits == 4 else "int8"

    def for_role(self, role: Role, *, tied: bool) -> RoleRecipe | None:
        """The role's recipe; None for a norm, which isn't quantized."""
        if role == "norm":
            return None
        if role == "embedding" and tied:
            return self.lm_head
        found: RoleRecipe = getattr(self, role)
        return found


def uniform(name: str, summary: str, body: RoleRecipe, head: RoleRecipe | None = None) -> Recipe:
    """A recipe with one entry for the layers and one (the same by default) for lm_head and embedding."""
    head = head or body
    return Recipe(name=name, summary=summary, attention=body, mlp=body, lm_head=head, embedding=head)


def _require(what: str, found: int, allowed: tuple[int, ...]) -> None:
    if found not in allowed:
        raise RecipeError(f"{what} is {found}; expected {', '.join(map(str, allowed[:-1]))} or {allowed[-1]}")


_G32, _G64, _G128 = (RoleRecipe(group_size=size) for size in GROUP_SIZES)

_PLAIN = (
    uniform("int4-g32", "4 bits, groups of 32: the most exact 4-bit one, 5 bits a weight", _G32),
    uniform("int4-g64", "4 bits, groups of 64: 4.5 bits a weight", _G64),
    uniform("int4-g128", "4 bits, groups of 128: the smallest and fastest, 4.25 bits a weight", _G128),
    uniform(
        "int4-g32-head8", "4 bits in groups of 32, lm_head and embedding in 8", _G32, RoleRecipe(bits=8, group_size=32)
    ),
    uniform(
        "int8-g32", "8 bits, groups of 32: close to the checkpoint, twice the size", RoleRecipe(bits=8, group_size=32)
    ),
    uniform(
        "int4-g64-exact",
        "int4-g64 with float32 activations: slow, to tell the weights' error from the activations'",
        RoleRecipe(accuracy_level=0),
    ),
)

_CALIBRATED = (
    Recipe(
        name="fast",
        summary="calibrated, 4 bits in groups of 128: the fastest",
        attention=_G128,
        mlp=_G128,
        lm_head=_G128,
        embedding=_G128,
        equalize=True,
        compensate=True,
    ),
    Recipe(
        name="balanced",
        summary="calibrated, 4 bits, attention in groups of 32, the rest in 128",
        attention=_G32,
        mlp=_G128,
        lm_head=_G128,
        embedding=_G128,
        equalize=True,
        compensate=True,
    ),
    Recipe(
        name="accurate",
        summary="calibrated, 4 bits in groups of 32",
        attention=_G32,
        mlp=_G32,
        lm_head=_G32,
        embedding=_G32,
        equalize=True,
        compensate=True,
    ),
)

RECIPES: Mapping[str, Recipe] = MappingProxyType({recipe.name: recipe for recipe in (*_PLAIN, *_CALIBRATED)})

# On SmolLM2-135M, the one real model that recipes were measured on, the smallest one that stays below 0.3 nats of mean
# KL divergence is int8-g32 (0.020); of those of 4 bits, accurate is nearest (0.50). Neither is a figure of Qwen3.
DEFAULT_RECIPE = "int8-g32"
DEFAULT_RECIPES: Mapping[QuantizedPrecision, str] = MappingProxyType({"int4": "accurate", "int8": DEFAULT_RECIPE})


def recipe_named(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        RecipeError: no such recipe; the message has the nearest name and the list.
    """
    if name in RECIPES:
        return RECIPES[name]
    near = difflib.get_close_matches(name, RECIPES, n=1)
    guess = f"did you mean {near[0]!r}? " if near else ""
    raise RecipeError(f"no recipe is called {name!r}; {guess}Recipes: {', '.join(RECIPES)}")
