"""One MLP, traced in the place of experts, becomes a router and MoE; rounded, QMoE."""

import numpy as np
import onnx_ir as ir
import pytest
from tests.export.passes.graphs import graph, normal, ops, run

from thinkport.export.errors import GraphError
from thinkport.export.families import ExpertTensors, MixtureShape
from thinkport.export.passes.clean_up import CleanUp
from thinkport.export.passes.experts import Experts, QuantizedExperts
from thinkport.export.quantize.packing import dequantize, pack
from thinkport.export.quantize.recipes import RoleRecipe
from thinkport.export.quantize.rounding import quantize_rows
from thinkport.export.trace.initializers import source_of

HIDDEN, INNER, EXPERTS, ACTIVE = 64, 32, 6, 2
MLP = """g (float[1,3,64] x) => (float[1,3,64] y) {
    gate_t = Transpose<perm=[1,0]>(gate)
    gated = MatMul(x, gate_t)
    up_t = Transpose<perm=[1,0]>(up)
    raised = MatMul(x, up_t)
    s = Sigmoid(gated)
    silu = Mul(gated, s)
    product = Mul(silu, raised)
    down_t = Transpose<perm=[1,0]>(down)
    ["layers.0.mlp.down_proj.MatMul"] y = MatMul(product, down_t)
}"""
PLACEHOLDERS = {"gate": (16, HIDDEN), "up": (16, HIDDEN), "down": (HIDDEN, 16)}


def tensors(layer: int, mixture: MixtureShape) -> ExpertTensors:
    experts = range(mixture.experts)
    gates_and_ups = tuple(f"{layer}.{expert}.{part}" for expert in experts for part in ("gate", "up"))
    return ExpertTensors(
        router="router", gates_and_ups=gates_and_ups, downs=tuple(f"{layer}.{e}.down" for e in experts)
    )


def mixture(*, normalized: bool = True, layers: tuple[int, ...] = (0,)) -> MixtureShape:
    return MixtureShape(layers=layers, experts=EXPERTS, active=ACTIVE, intermediate_size=INNER, normalized=normalized)


def traced_mlp() -> ir.Model:
    model = graph(MLP, **{name: normal(*size) for name, size in PLACEHOLDERS.items()})
    for name in PLACEHOLDERS:
        model.graph.initializers[name].name = f"model.layers.0.mlp.{name}_proj.weight"
    return model


def placed(shape: MixtureShape) -> ir.Model:
    """The graph with experts in it."""
    model = traced_mlp()
    fired = Experts(per_layer=[1], mixture=shape, tensors=tensors).rewrite(model)
    assert fired == ["layers.0.mlp.MoE"]
    CleanUp().rewrite(model)
    return model


def weights() -> dict[str, np.ndarray]:
    return {
        "router": normal(EXPERTS, HIDDEN),
        "model.layers.0.mlp.experts.gate_up_proj": normal(EXPERTS, 2 * INNER, HIDDEN) / 8,
        "model.layers.0.mlp.experts.down_proj": normal(EXPERTS, HIDDEN, INNER) / 6,
    }


def expected(x: np.ndarray, by: dict[str, np.ndarray], *, normalized: bool) -> np.ndarray:
    """In float64, a token and an expert at a time; rows of gate and up alternate."""
    router, into, out = (array.astype(np.float64) for array in by.values())
    found = np.zeros_like(x, np.float64)
    for token, row in enumerate(x[0].astype(np.float64)):
        logits = router @ row
        shares = np.exp(logits - logits.max())
        shares /= shares.sum()
        chosen = np.argsort(-shares)[:ACTIVE]
        total = shares[chosen].sum() if normalized else 1.0
        for expert in chosen:
            gate, up = into[expert, 0::2] @ row, into[expert, 1::2] @ row
            found[0, token] += shares[expert] / total * (out[expert] @ (gate / (1 + np.exp(-gate)) * up))
    return found


@pytest.mark.parametrize("normalized", [True, False])
def test_experts_give_the_shared_sum_of_the_chosen_ones(normalized: bool) -> None:
    model, values, x = placed(mixture(normalized=normalized)), weights(), normal(1, 3, HIDDEN)
    assert ops(model).count("MatMul") == 1
    assert "Sigmoid" not in ops(model)
    wanted = expected(x, values, normalized=normalized)
    assert np.abs(run(model, {"x": x}, values)["y"] - wanted).max() <= 1e-5 * np.abs(wanted).max()


@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize(
    ("how", "bound"),
    [
        (RoleRecipe(group_size=32, accuracy_level=0), 1e-5),
        (RoleRecipe(group_size=32), 5e-2),
        (RoleRecipe(bits=8, group_size=32), 5e-2),
    ],
    ids=["4 bits", "4 bits on int8", "8 bits on int8"],
)
def test_rounded_experts_give_what_their_codes_stand_for(how: RoleRecipe, bound: float, normalized: bool) -> None:
    model, values, x = placed(mixture(normalized=normalized)), weights(), normal(1, 3, HIDDEN)
    assert QuantizedExperts(per_layer=[1], how=how).rewrite(model) == ["layers.0.mlp.QMoE"]
    CleanUp().rewrite(model)
    stored, rounded = {"router": values["router"]}, {"router": values["router"]}
    for name, array in [*values.items()][1:]:
        flat = quantize_rows(array.reshape(-1, array.shape[-1]), bits=how.bits, group_size=how.group_size)
        codes = pack(flat.codes, bits=how.bits, group_size=how.group_size)
        stored |= {
            f"{name}.qweight": codes.reshape(*array.shape[:2], -1),
            f"{name}.scales": flat.scales.reshape(*array.shape[:2], -1),
        }
        rounded[name] = dequantize(codes, flat.scales, bits=how.bits).reshape(array.shape)
    wanted = expected(x, rounded, normalized=normalized)
    assert np.abs(run(model, {"x": x}, stored)["y"] - wanted).max() <= bound * np.abs(wanted).max()


def test_only_the_chosen_experts_are_computed() -> None:
    """Scales that are no numbers show in any product with the codes of an expert: here of those that no token chose."""
    model, values, x = placed(mixture()), weights(), np.repeat(normal(1, 1, HIDDEN), 3, axis=1)
    how = RoleRecipe(group_size=32, accuracy_level=0)
    QuantizedExperts(per_layer=[1], how=how).rewrite(model)
    CleanUp().rewrite(model)
    others = np.argsort(-(values["router"] @ x[0, 0]))[ACTIVE:]
    stored: dict[str, np.ndarray] = {"router": values["router"]}
    for name, array in [*values.items()][1:]:
        flat = quantize_rows(array.reshape(-1, array.shape[-1]), bits=4, group_size=32)
        scales = flat.scales.reshape(*array.shape[:2], -1)
        scales[others] = np.nan
        stored[f"{name}.qweight"] = pack(flat.codes, bits=4, group_size=32).reshape(*array.shape[:2], -1)
        stored[f"{name}.scales"] = scales
    assert np.isfinite(run(model, {"x": x}, stored)["y"]).all()


def test_the_stack_is_made_of_each_experts_tensors_whose_gates_and_ups_alternate() -> None:
    initializers = placed(mixture()).graph.initializers
    source = source_of(initializers["model.layers.0.mlp.experts.gate_up_proj"])
    assert source is not None
    assert source.interleaved
    assert source.matrices[1] == ("0.1.gate", "0.1.up")
    downs = source_of(initializers["model.layers.0.mlp.experts.down_proj"])
    assert downs is not None
    assert downs.matrices == [(f"0.{expert}.down",) for expert in range(EXPERTS)]


def test_a_layer_without_experts_keeps_its_mlp() -> None:
    model = traced_mlp()
    before = ops(model)
    assert Experts(per_layer=[0], mixture=mixture(layers=()), tensors=tensors).rewrite(model) == []
    assert ops(model) == before


def test_an_mlp_that_is_not_there_fails_the_export_naming_the_layer() -> None:
    text = 'g (float[1,3,64] x, float[1,1,0,8] "past_key_values.0.key") => (float[1,3,64] y) { y = Neg(x) }'
    model = graph(text.replace('"past_key_values.0.key"', "past"))
    model.graph.inputs[1].name = "past_key_values.0.key"
    with pytest.raises(GraphError, match="pass experts fired 0 times in layer 0, expected 1"):
        Experts(per_layer=[1], mixture=mixture(), tensors=tensors)(model)


def test_experts_of_no_checkpoint_are_refused() -> None:
    model = placed(mixture())
    values = weights()
    for name, array in values.items():
        model.graph.initializers[name].const_value = ir.tensor(array, name=name)
    with pytest.raises(GraphError, match="no experts of a checkpoint"):
        QuantizedExperts(per_layer=[1], how=RoleRecipe(group_size=32)).rewrite(model)
