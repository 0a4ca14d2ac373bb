"""Which weights such a mixture has, what each is for, and what reads and writes hidden states.

Knows names and shapes; reads no weight.
"""

from collections.abc import Mapping

from thinkport.export.checkpoint import TensorEntry
from thinkport.export.errors import UnsupportedModelError
from thinkport.export.families.dense import weights as dense
from thinkport.export.families.dense.weights import layer_name
from thinkport.export.families.family import ExpertTensors
from thinkport.export.families.shape import DecoderShape, MixtureShape
from thinkport.export.quantize.recipes import EXPERTS, ROUTER, Role
from thinkport.export.quantize.rotation import Branch

_MLP = ("gate", "up", "down")


def expected_tensors(shape: DecoderShape) -> dict[str, tuple[int, ...]]:
    """Every weight of such a model by name, matrices as (outputs, inputs), each expert's apart."""
    expected = dense.expected_tensors(shape)
    mixture = shape.mixture
    for layer in mixture.layers if mixture is not None else ():
        assert mixture is not None
        for part in _MLP:
            del expected[layer_name(layer, f"mlp.{part}_proj")]
        expected[_router(layer)] = (mixture.experts, shape.hidden_size)
        inner, outer = (mixture.intermediate_size, shape.hidden_size), (shape.hidden_size, mixture.intermediate_size)
        for expert in range(mixture.experts):
            expected |= dict(zip(_expert(layer, expert), (inner, inner, outer), strict=True))
    return expected


def role(name: str) -> Role:
    """What a weight is for.

    Raises:
        KeyError: not a weight of such a model.
    """
    if name.endswith(".mlp.gate.weight"):
        return ROUTER
    return EXPERTS if ".mlp.experts." in name else dense.role(name)


def expert_tensors(layer: int, mixture: MixtureShape) -> ExpertTensors:
    """The names of a sparse layer's router and experts."""
    experts = [_expert(layer, expert) for expert in range(mixture.experts)]
    return ExpertTensors(
        router=_router(layer),
        gates_and_ups=tuple(name for gate, up, _ in experts for name in (gate, up)),
        downs=tuple(down for _, _, down in experts),
    )


def check_weights(tensors: Mapping[str, TensorEntry], shape: DecoderShape) -> None:
    """As a dense decoder's; each expert has tensors of its own, as such checkpoints are published.

    Raises:
        CheckpointError: config and weights disagree.
        UnsupportedModelError: the experts of a layer are stacked, as transformers 5 holds them in memory, or a weight
            that such a model doesn't have.
    """
    stacked = next((name for name in tensors if name.endswith((".experts.gate_up_proj", ".experts.down_proj"))), None)
    if stacked is not None:
        raise UnsupportedModelError(
            f"the checkpoint has {stacked}, all experts of a layer in one tensor; expected a tensor each, as in the "
            "published checkpoints: load it with transformers and write it with save_pretrained"
        )
    dense.check_expected(tensors, shape, expected_tensors(shape))


def branch_of(layer: int, mixture: MixtureShape) -> Branch:
    """A sparse layer's MLPs. The router reads the same norm as they do."""
    tensors = expert_tensors(layer, mixture)
    norm = layer_name(layer, "post_attention_layernorm")
    return Branch(norm=norm, readers=(*tensors.gates_and_ups, tensors.router), writers=tensors.downs)


def _router(layer: int) -> str:
    return layer_name(layer, "mlp.gate")


def _expert(layer: int, expert: int) -> tuple[str, str, str]:
    gate, up, down = (layer_name(layer, f"mlp.experts.{expert}.{part}_proj") for part in _MLP)
    return gate, up, down
