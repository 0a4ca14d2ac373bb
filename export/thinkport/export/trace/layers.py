"""Lays out a decoder's layers from two traced ones, so that a deep model costs no more to trace.

Cases:
    1. a node belongs to layer N if it was traced inside it and depends on the hidden state, the cache or N's weights;
    2. layers 0 and 1 must be alike: the same operators, attributes and wiring, but for weights and cache;
    3. layers 2 … are copies of layer 1, each of which reads the layer before; the tail reads the last.
"""

import ast
from collections.abc import Iterable

import onnx_ir as ir

from thinkport.export.errors import GraphError
from thinkport.export.trace import names

_SCOPES = "pkg.torch.onnx.name_scopes"


def lay_out_layers(model: ir.Model, traced: int, wanted: int) -> None:
    """Grow `model` in place from `traced` layers (1 or 2) to `wanted`.

    Raises:
        GraphError: the traced layers are not alike.
    """
    graph = model.graph
    bodies = [_body(graph, layer) for layer in range(traced)]
    for layer, body in enumerate(bodies):
        _name_nodes(body, layer)
    if wanted == traced:
        return
    hidden = _hidden(bodies[0], bodies[1])
    _check_alike(bodies[0], bodies[1], hidden)
    producer = hidden.producer()
    assert producer is not None
    leaving = bodies[1][bodies[0].index(producer)].outputs[hidden.index() or 0]
    tail = [use for use in leaving.uses() if use.node not in set(bodies[1])]
    last = leaving
    anchor = bodies[1][-1]
    for layer in range(traced, wanted):
        copy, last = _copy_layer(graph, bodies[1], layer, {hidden: last}, leaving)
        graph.insert_after(anchor, copy)
        anchor = copy[-1]
    for node, index in tail:
        node.replace_input_with(index, last)


def _body(graph: ir.Graph, layer: int) -> list[ir.Node]:
    """The nodes of one layer, in graph order, without those that all layers share (rotary tables, mask, sizes)."""
    scope = f"layers.{layer}"
    moving = {value for value in graph.inputs if value.name and value.name.startswith("past_key_values.")}
    moving |= {v for v in graph.initializers.values() if v.name and names.layer_of(v.name) is not None}
    moving |= {value for node in graph if node.op_type == "Gather" for value in node.outputs}
    body = []
    for node in graph:
        sizes = node.op_type == "Shape" and node.inputs[0] in graph.inputs
        if sizes or moving.isdisjoint(value for value in node.inputs if value is not None):
            continue
        moving.update(node.outputs)
        if any(part.endswith(scope) for part in _scopes(node)):
            body.append(node)
    return body


def _scopes(node: ir.Node) -> list[str]:
    return [str(part) for part in ast.literal_eval(node.metadata_props.get(_SCOPES, "[]"))]


def _name_nodes(body: Iterable[ir.Node], layer: int) -> None:
    """Name nodes by layer, module and operator, which makes profiles readable."""
    for number, node in enumerate(body):
        module = next((s.split(f"layers.{layer}.")[1] for s in reversed(_scopes(node)) if f"layers.{layer}." in s), "")
        node.name = f"layers.{layer}.{module + '.' if module else ''}{node.op_type}_{number}"


def _hidden(first: list[ir.Node], second: list[ir.Node]) -> ir.Value:
    """The one value that layer 1 takes from layer 0."""
    made = {value for node in first for value in node.outputs}
    crossing = {value for node in second for value in node.inputs if value in made}
    if len(crossing) != 1:
        raise GraphError(
            f"layer 1 takes {len(crossing)} values from layer 0, expected the hidden state alone: "
            "this architecture can't be laid out from two layers"
        )
    value = crossing.pop()
    assert value is not None
    return value


def _check_alike(first: list[ir.Node], second: list[ir.Node], hidden: ir.Value) -> None:
    """Walk both layers side by side, pairing their values."""
    if len(first) != len(second):
        raise GraphError(f"layer 0 has {len(first)} nodes and layer 1 has {len(second)}: they are not alike")
    paired: dict[ir.Value | None, ir.Value | None] = {}
    for a, b in zip(first, second, strict=True):
        same = a.op_type == b.op_type and a.domain == b.domain and _attributes(a) == _attributes(b)
        if not same or len(a.inputs) != len(b.inputs):
            raise GraphError(f"layers 0 and 1 differ at {a.name} and {b.name}: only equal layers can be laid out")
        for left, right in zip(a.inputs, b.inputs, strict=True):
            if not _same_source(left, right, paired, hidden):
                raise GraphError(f"layers 0 and 1 are wired differently at {a.name}: only equal layers can be laid out")
        paired.update(zip(a.outputs, b.outputs, strict=True))


def _attributes(node: ir.Node) -> dict[str, object]:
    return {name: attr.value for name, attr in node.attributes.items()}


def _same_source(
    left: ir.Value | None, right: ir.Value | None, paired: dict[ir.Value | None, ir.Value | None], hidden: ir.Value
) -> bool:
    if left in paired:
        return paired[left] is right
    if right is hidden and left is not None:
        # The first layer reads the embedding where the second reads the first; later reads must agree with the first.
        paired[left] = right
        return True
    if left is right:
        return True
    if left is None or right is None or not left.name or not right.name or left.shape != right.shape:
        return False
    return names.with_layer(left.name, 1) == right.name


def _copy_layer(
    graph: ir.Graph, body: list[ir.Node], layer: int, mapped: dict[ir.Value, ir.Value], leaving: ir.Value
) -> tuple[list[ir.Node], ir.Value]:
    """A copy of layer 1 as layer `layer`, with its own weights, past inputs and present outputs."""
    mapped = dict(mapped)
    read = dict.fromkeys(value for node in body for value in node.inputs if value is not None)
    # In the order in which layer 1 declares them, so that every layer's inputs and weights stand in the same order.
    place = {value: number for number, value in enumerate((*graph.inputs, *graph.initializers.values()))}
    for old in sorted(read, key=lambda value: place.get(value, -1)):
        new = _own_input(graph, old, layer)
        if new is not None:
            mapped[old] = new
    copies = []
    for node in body:
        copy = ir.Node(
            node.domain,
            node.op_type,
            [mapped.get(value, value) if value is not None else None for value in node.inputs],
            list(node.attributes.values()),
            num_outputs=len(node.outputs),
            name=(node.name or "").replace("layers.1.", f"layers.{layer}.", 1),
        )
        for old, new in zip(node.outputs, copy.outputs, strict=True):
            new.type, new.shape, new.name = old.type, old.shape, f"layers.{layer}/{old.name}"
            mapped[old] = new
        copies.append(copy)
    for part in ("key", "value"):
        old = next(v for v in graph.outputs if v.name == names.present_name(1, part))
        mapped[old].name = names.present_name(layer, part)
        graph.outputs.append(mapped[old])
    return copies, mapped[leaving]


def _own_input(graph: ir.Graph, value: ir.Value, layer: int) -> ir.Value | None:
    """Layer `layer`'s counterpart of one of layer 1's weights or past inputs; None for anything else."""
    name = names.with_layer(value.name or "", layer)
    if value.producer() is not None or name == value.name:
        return None
    own = ir.Value(name=name, type=value.type, shape=value.shape)
    if value.is_graph_input():
        graph.inputs.append(own)
    else:
        graph.initializers[name] = own
    return own
