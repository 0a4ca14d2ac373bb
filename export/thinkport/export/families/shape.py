"""The numbers of a decoder with rotary attention, whatever file they were read from.

Knows no weights and no graph. All families of this kind share it, so that passes and trace need not know a family.
"""

from dataclasses import dataclass
from typing import Literal

RopeKind = Literal["default", "linear", "yarn", "llama3"]


@dataclass(frozen=True, kw_only=True)
class Rope:
    """Rotary position embedding, with those ways of scaling it that are one fixed table.

    Attributes:
        kind: how frequencies are scaled.
        theta: base of the frequencies.
        factor: how many times longer the context became; 1 for `default`.
        original_context: context length before scaling, in tokens; None where the kind doesn't use it.
        attention_factor: YaRN's factor on cos and sin; None to compute it from `factor`.
        mscale: with `mscale_all_dim`, another way to compute it; None if absent.
        mscale_all_dim: see `mscale`.
        beta_fast: rotations over the original context above which YaRN leaves a frequency alone.
        beta_slow: rotations below which it divides it by `factor`.
        truncate: whether YaRN rounds the borders between the two outwards.
        low_freq_factor: Llama 3's border towards long waves; None for the other kinds.
        high_freq_factor: its border towards short waves; None for the other kinds.
    """

    theta: float
    kind: RopeKind = "default"
    factor: float = 1.0
    original_context: int | None = None
    attention_factor: float | None = None
    mscale: float | None = None
    mscale_all_dim: float | None = None
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    truncate: bool = True
    low_freq_factor: float | None = None
    high_freq_factor: float | None = None


@dataclass(frozen=True, kw_only=True)
class MixtureShape:
    """MLPs of which each token runs through a few, chosen by a router.

    Attributes:
        layers: the layers that have them; the others have one MLP.
        experts: MLPs a layer.
        active: how many of them a token runs through.
        intermediate_size: width inside an expert.
        normalized: whether the weights of the chosen experts are divided by their sum.
    """

    layers: tuple[int, ...]
    experts: int
    active: int
    intermediate_size: int
    normalized: bool


@dataclass(frozen=True, kw_only=True)
class DecoderShape:
    """Sizes of a decoder. `head_dim` stands for itself: it need not be hidden_size / heads.

    Attributes:
        layers: decoder layers.
        hidden_size: width of the residual stream.
        heads: query heads.
        kv_heads: key and value heads; divides `heads`.
        head_dim: width of a head; even.
        intermediate_size: width inside the MLP of a layer that has one.
        mixture: the experts of the layers that have several; None in a dense decoder.
        vocab_size: rows of the embedding table, which may be more than the tokenizer's ids.
        context_length: positions that the model was made for, or that its rope scaling lengthens them to, in tokens.
        tied: whether lm_head is the embedding table.
        head: whether there is an lm_head; a model that embeds has none, and gives hidden states after the final norm.
        rms_eps: added to the mean square in every norm.
        head_norms: whether every Q and K head is normed before rotary.
        qkv_bias: whether q, k and v have a bias each.
        rope: the rotary embedding.
    """

    layers: int
    hidden_size: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate_size: int
    vocab_size: int
    context_length: int
    tied: bool
    rms_eps: float
    head_norms: bool
    head: bool = True
    qkv_bias: bool = False
    mixture: MixtureShape | None = None
    rope: Rope

    def has_experts(self, layer: int) -> bool:
        """Whether the layer has several MLPs."""
        return self.mixture is not None and layer in self.mixture.layers

    @property
    def table(self) -> tuple[int, int]:
        """Rows and columns of the embedding, and of lm_head."""
        return self.vocab_size, self.hidden_size

    @property
    def q_size(self) -> int:
        """Rows of the query projection."""
        return self.heads * self.head_dim

    @property
    def kv_size(self) -> int:
        """Rows of the key projection, and of the value projection."""
        return self.kv_heads * self.head_dim
