"""Recipes: a table by name, and contradictions refused when made."""

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from thinkport.export.errors import RecipeError
from thinkport.export.quantize.recipes import (
    DEFAULT_RECIPES,
    RECIPES,
    ModelRecipe,
    RoleRecipe,
    finer,
    recipe_named,
)


def test_every_recipe_is_found_by_its_own_name_and_says_what_it_is() -> None:
    for name, recipe in RECIPES.items():
        assert recipe_named(name) is recipe
        assert recipe.name == name
        assert recipe.summary


def test_each_precision_has_a_default_of_its_own_bits() -> None:
    assert all(RECIPES[name].precision == precision for precision, name in DEFAULT_RECIPES.items() if precision)
    assert DEFAULT_RECIPES[None] in RECIPES


def test_an_unknown_name_is_answered_with_the_nearest_and_the_list() -> None:
    with pytest.raises(RecipeError, match=r"'balance'; did you mean 'balanced'\? Recipes: fast, balanced"):
        recipe_named("balance")


def test_a_name_like_no_other_is_answered_with_the_list_alone() -> None:
    with pytest.raises(RecipeError, match="'best'; Recipes: "):
        recipe_named("best")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"bits": 2}, "bits is 2; expected 4 or 8"),
        ({"group_size": 16}, "group_size is 16; expected 32, 64 or 128"),
        ({"accuracy_level": 1}, "accuracy_level is 1; expected 0 or 4"),
        ({"bits": 8, "accuracy_level": 0}, "dequantize the whole matrix on every call"),
    ],
)
def test_what_the_runtime_can_not_run_well_is_refused_when_made(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        RoleRecipe(**wrong)


def test_a_recipe_can_not_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        RoleRecipe().bits = 8  # type: ignore[misc]


def test_a_role_that_a_recipe_does_not_name_is_stored_as_the_layers_are() -> None:
    recipe = ModelRecipe(name="mine", summary="…", roles={"attention": RoleRecipe(group_size=32)})
    assert [recipe.for_role(role, tied=False) for role in ("attention", "experts")] == [
        RoleRecipe(group_size=32),
        RoleRecipe(group_size=64),
    ]
    assert {how.group_size for how in recipe.formats} == {32, 64}


def test_a_matrix_that_is_given_more_has_a_role_of_its_own() -> None:
    recipe = recipe_named("balanced")
    assert (recipe.of("attention").bits, recipe.of(finer("attention")).bits) == (4, 8)
    assert recipe.of(finer("attention")) in recipe.formats
    plain = recipe_named("fast")
    assert plain.of(finer("attention")) == plain.layers, "a recipe without a finer format gives none"


@pytest.mark.parametrize(("columns", "size"), [(1024, 128), (896, 128), (576, 64), (96, 32)])
def test_groups_are_the_largest_that_divide_a_row(columns: int, size: int) -> None:
    assert RoleRecipe(group_size=128).for_rows(columns).group_size == size
    assert RoleRecipe(group_size=32).for_rows(columns).group_size == 32


def test_a_row_that_no_group_divides_is_refused() -> None:
    with pytest.raises(RecipeError, match="rows of 80 weights can't be split into groups of 32"):
        RoleRecipe().for_rows(80)


def test_a_tied_embedding_is_quantized_as_lm_head_is_since_they_share_one_blob() -> None:
    recipe = ModelRecipe(
        name="mine", summary="…", roles={"lm_head": RoleRecipe(bits=8), "embedding": RoleRecipe(group_size=128)}
    )
    assert recipe.for_role("embedding", tied=True) == RoleRecipe(bits=8)
    assert recipe.for_role("embedding", tied=False) == RoleRecipe(group_size=128)


def test_norms_are_never_quantized() -> None:
    assert recipe_named("fast").for_role("norm", tied=True) is None


@pytest.mark.parametrize(("group", "expected"), [(32, 5.0), (64, 4.5), (128, 4.25)])
def test_bits_a_weight_count_the_scales(group: int, expected: float) -> None:
    assert 8 * RoleRecipe(group_size=group).bytes_per_weight() == expected
