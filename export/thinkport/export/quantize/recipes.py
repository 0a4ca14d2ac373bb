"""The ways to quantize a model, by name: one row a recipe, one entry for each role of weight that differs from the
others.

Knows numbers only: no graph, no checkpoint.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Literal, get_args

from thinkport.export.errors import RecipeError

QuantizedPrecision = Literal["int4", "int8"]
Role = str
"""What a weight is for, by a family's own word. Those below mean the same in all families."""

_FINER = " (finer)"
NORM: Role = "norm"
BIAS: Role = "bias"
ROUTER: Role = "router"  # chooses a token's experts: a small matrix, whose error would choose others
EXPERTS: Role = "experts"
UNROUNDED = frozenset({NORM, BIAS, ROUTER})  # never quantized
KEPT = "kept"  # the name of a recipe that takes a checkpoint's own integers, which only the checkpoint can spell out
TABLES: tuple[Role, ...] = ("embedding", "lm_head")  # outside of the layers; tied, both read one

BITS = (4, 8)
GROUP_SIZES = (32, 64, 128)  # MatMulNBits also takes 16, which is slow, and 256, which is coarse
ACCURACY_LEVELS = (0, 4)  # 1-3 compute in float32 on CPUs as 0 does


@dataclass(frozen=True, kw_only=True)
class RoleRecipe:
    """How one role's matrices are quantized, symmetric with the zero point at 2**(bits - 1) where nothing else is said.

    Attributes:
        bits: 4 or 8.
        group_size: 32, 64 or 128 columns share a scale; fewer where rows can't be split so (`for_rows`).
        accuracy_level: MatMulNBits' attribute: 4 multiplies in int8, rounding activations too; 0 in float32.
        points: whether groups have zero points of their own.
        kept: whether the checkpoint's own integers are taken as they are, and nothing is rounded.

    Raises:
        RecipeError: a value that ONNX Runtime can't run, or runs absurdly slowly.
    """

    bits: int = 4
    group_size: int = 64
    accuracy_level: int = 4
    points: bool = False
    kept: bool = False

    def __post_init__(self) -> None:
        _require("bits", self.bits, BITS)
        _require("group_size", self.group_size, GROUP_SIZES)
        _require("accuracy_level", self.accuracy_level, ACCURACY_LEVELS)
        if self.bits == 8 and self.accuracy_level != 4:
            raise RecipeError(
                "8 bits at accuracy level 0: ONNX Runtime would dequantize the whole matrix on every call; "
                "use accuracy_level=4, or 4 bits"
            )

    def for_rows(self, columns: int) -> "RoleRecipe":
        """The format for rows of so many weights: with the largest groups, powers of two, that divide them.

        Raises:
            RecipeError: groups of 32 don't divide them; a padded last group would waste bytes and hide a wrong shape.
        """
        fitting = next(
            (size for size in reversed(GROUP_SIZES) if size <= self.group_size and columns % size == 0), None
        )
        if fitting is None:
            raise RecipeError(
                f"rows of {columns} weights can't be split into groups of {GROUP_SIZES[0]}, as quantizing does: use "
                "--precision fp32"
            )
        return replace(self, group_size=fitting)

    def bytes_per_weight(self, scale_bytes: float = 4) -> float:
        """Bytes of a weight with its shares of a zero point and of scales; these take `scale_bytes` a group."""
        return self.bits / 8 + (scale_bytes + self.points * self.bits / 8) / self.group_size


@dataclass(frozen=True, kw_only=True)
class ModelRecipe:
    """How a whole model is quantized. Norms are never: they stay float32.

    Attributes:
        name: what the command line and the manifest call it.
        summary: one line for `--help`.
        layers: the format of every role that `roles` does not name.
        roles: formats of others; lm_head's is the embedding's too where the two are tied, since they share one blob.
        finer: the format of those matrices of the layers that are given more; None where none is.
        bits: the bits a weight, float32 scales counted, up to which matrices are given more, those first that gain most
            for their size.
        size: the same as bytes of `weights.bin`; at most one of the two is given.
        rotate: turn hidden states, so that none of their channels is much larger than others (see `quantize.rotation`).
        compensate: round 4-bit matrices a column after the other, so that later columns make up for earlier ones'
            errors on a short text.
    """

    name: str
    summary: str
    layers: RoleRecipe = field(default_factory=RoleRecipe)
    roles: Mapping[Role, RoleRecipe] = field(default_factory=dict, hash=False)
    finer: RoleRecipe | None = None
    bits: float | None = None
    size: int | None = None
    rotate: bool = False
    compensate: bool = False

    @property
    def precision(self) -> QuantizedPrecision:
        """The precision of the layers' weights."""
        return "int4" if self.layers.bits == 4 else "int8"

    def for_role(self, role: Role, *, tied: bool) -> RoleRecipe | None:
        """The role's recipe; None for one of `UNROUNDED`."""
        return None if role in UNROUNDED else self.of("lm_head" if tied and role in TABLES else role)

    def of(self, role: Role) -> RoleRecipe:
        """The format of a quantized role; a tied table has the format of `lm_head`."""
        if self.finer is not None and role.endswith(_FINER):
            return self.finer
        return self.roles.get(role, self.layers)

    @property
    def formats(self) -> tuple[RoleRecipe, ...]:
        """Every format that some weight may have."""
        return self.layers, *self.roles.values(), *((self.finer,) if self.finer else ())


def finer(role: Role) -> Role:
    """The role of a matrix of `role` that gets the finer format."""
    return role + _FINER


def _require(what: str, found: int, allowed: tuple[int, ...]) -> None:
    if found not in allowed:
        raise RecipeError(f"{what} is {found}; expected {', '.join(map(str, allowed[:-1]))} or {allowed[-1]}")


_EIGHT = RoleRecipe(bits=8, group_size=64)

_calibrated = partial(ModelRecipe, rotate=True, compensate=True)

# Every recipe is made of three formats: kernels for them are all that an artifact needs.
_ROWS = (
    _calibrated(
        name="fast", summary="4 bits in groups of 128: the smallest and fastest", layers=RoleRecipe(group_size=128)
    ),
    _calibrated(
        name="balanced",
        summary="4 bits in groups of 64, and 8 for the matrices that matter most: 5 bits a weight",
        finer=_EIGHT,
        bits=5.0,
    ),
    _calibrated(
        name="accurate",
        summary="the same with more matrices in 8 bits: 6.5 bits a weight",
        finer=_EIGHT,
        bits=6.5,
    ),
    ModelRecipe(name="int8", summary="8 bits in groups of 64: close to the checkpoint", layers=_EIGHT, rotate=True),
)

RECIPES: Mapping[str, ModelRecipe] = MappingProxyType({recipe.name: recipe for recipe in _ROWS})
DEFAULT_RECIPES: Mapping[QuantizedPrecision | None, str] = MappingProxyType(
    {None: "accurate", "int4": "accurate", "int8": "int8"}
)
BESIDE_KEPT = "int8"  # rounds what is no integer in a checkpoint whose integers are kept
BUDGETED = "balanced"  # the recipe if bits or bytes are given and no recipe is


def recipe_named(name: str) -> ModelRecipe:
    """The recipe of that name.

    Raises:
        RecipeError: no such recipe; the message has the nearest name and the list.
    """
    if name in RECIPES:
        return RECIPES[name]
    near = difflib.get_close_matches(name.lower(), RECIPES, n=1)
    guess = f"did you mean {near[0]!r}? " if near else ""
    if name in get_args(QuantizedPrecision):
        guess = f"did you mean --precision {name}? "
    raise RecipeError(f"no recipe is called {name!r}; {guess}Recipes: {', '.join(RECIPES)}")
