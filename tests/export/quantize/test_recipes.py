"""Recipes: a table by name, and contradictions refused when made."""

from dataclasses import FrozenInstanceError

import pytest

from thinkport.export.errors import RecipeError
from thinkport.export.quantize.recipes import (
    DEFAULT_RECIPE,
    DEFAULT_RECIPES,
    RECIPES,
    ModelRecipe,
    RoleRecipe,
    recipe_named,
)


def test_every_recipe_is_found_by_its_own_name_and_says_what_it_is() -> None:
    for name, recipe in RECIPES.items():
        assert recipe_named(name) is recipe
        assert recipe.name == name
        assert recipe.summary


def test_each_precision_has_a_default_of_its_own_bits() -> None:
    assert all(RECIPES[name].precision == precision for precision, name in DEFAULT_RECIPES.items())
    assert DEFAULT_RECIPE in DEFAULT_RECIPES.values()


def test_an_unknown_name_is_answered_with_the_nearest_and_the_list() -> None:
    with pytest.raises(RecipeError, match=r"'int4_g32'; did you mean 'int4-g32'\? Recipes: int4-g32, int4-g64"):
        recipe_named("int4_g32")


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
def test_what_the_runtime_can_not_run_well_is_refused_when_made(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        RoleRecipe(**wrong)


def test_a_recipe_can_not_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        RoleRecipe().bits = 8  # type: ignore[misc]


def test_a_role_that_a_recipe_does_not_name_is_stored_as_the_layers_are() -> None:
    recipe = recipe_named("balanced")
    assert [recipe.for_role(role, tied=False) for role in ("attention", "experts")] == [
        RoleRecipe(group_size=32),
        RoleRecipe(group_size=128),
    ]
    assert {how.group_size for how in recipe.formats} == {32, 128}


def test_a_tied_embedding_is_quantized_as_lm_head_is_since_they_share_one_blob() -> None:
    recipe = ModelRecipe(
        name="mine", summary="…", roles={"lm_head": RoleRecipe(bits=8), "embedding": RoleRecipe(group_size=128)}
    )
    assert recipe.for_role("embedding", tied=True) == RoleRecipe(bits=8)
    assert recipe.for_role("embedding", tied=False) == RoleRecipe(group_size=128)


def test_norms_are_never_quantized() -> None:
    assert recipe_named(DEFAULT_RECIPE).for_role("norm", tied=True) is None


@pytest.mark.parametrize(("group", "expected"), [(32, 5.0), (64, 4.5), (128, 4.25)])
def test_bits_a_weight_count_the_scales(group: int, expected: float) -> None:
    assert RoleRecipe(group_size=group).bits_per_weight == expected
