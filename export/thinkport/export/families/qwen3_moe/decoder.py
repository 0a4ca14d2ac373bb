"""The mixture of experts in float32, a block of a matrix at a time, and only of the experts that some token chose."""

import torch
from torch.nn.functional import silu

from thinkport.export.families.dense.decoder import DenseDecoder
from thinkport.export.families.qwen3_moe.weights import expert_tensors


class MixtureDecoder(DenseDecoder):
    """Sparse layers as in Qwen3 (arXiv 2505.09388): a softmax over all experts, of which the likeliest are taken."""

    def _mlp(self, index: int, hidden: torch.Tensor) -> torch.Tensor:
        mixture = self._shape.mixture
        if mixture is None or not self._shape.has_experts(index):
            return super()._mlp(index, hidden)
        tensors = expert_tensors(index, mixture)
        shares = self._weights.linear(tensors.router, hidden).softmax(-1)
        chosen = likeliest(shares, mixture.active)
        weights = shares.gather(1, chosen)
        if mixture.normalized:
            weights = weights / weights.sum(-1, keepdim=True)
        mixed = torch.zeros_like(hidden)
        for expert, down in enumerate(tensors.downs):
            gate_up = tensors.gates_and_ups[2 * expert : 2 * expert + 2]
            tokens, place = torch.where(chosen == expert)
            if len(tokens) == 0:
                for name in (*gate_up, down):
                    self._weights.skip(name)
                continue
            gate, up = (self._seen(self._weights.linear(name, hidden[tokens]), tokens) for name in gate_up)
            found = self._seen(self._weights.linear(down, self._seen(silu(gate) * up, tokens)), tokens)
            mixed[tokens] += found * weights[tokens, place, None]  # a token chooses an expert once
        return self._seen(mixed)


def likeliest(shares: torch.Tensor, active: int) -> torch.Tensor:
    """The experts of the largest shares, (tokens, active); of equal ones the later, as ONNX Runtime's QMoE has it."""
    order = torch.sort(shares.flip(-1), dim=-1, descending=True, stable=True).indices
    return shares.shape[1] - 1 - order[:, :active]
