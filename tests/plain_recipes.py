"""Recipes of tests: formats without a calibration text, in which only the arithmetic counts."""

from dataclasses import replace

from thinkport.export.quantize.recipes import EXPERTS, TABLES, ModelRecipe, RoleRecipe

PLAIN = {
    size: ModelRecipe(name=f"plain-{size}", summary="", layers=RoleRecipe(group_size=size)) for size in (32, 64, 128)
}
EXACT = ModelRecipe(name="plain-exact", summary="", layers=RoleRecipe(group_size=64, accuracy_level=0))
TURNED = replace(EXACT, name="plain-turned", rotate=True)
HEAD_IN_8 = ModelRecipe(
    name="plain-head-8",
    summary="",
    layers=RoleRecipe(group_size=32),
    roles=dict.fromkeys(TABLES, RoleRecipe(bits=8, group_size=32)),
)
EXPERTS_IN_8 = ModelRecipe(
    name="plain-experts-8",
    summary="",
    layers=RoleRecipe(group_size=32),
    roles={EXPERTS: RoleRecipe(bits=8, group_size=64)},
)
