"""What an export measured of its graphs: part of the manifest."""

from thinkport.runtime.artifact.record import Record

# Mean correlation of logits: a graph that computes something else is near 0, int4 of noise over 0.9.
MIN_AGREEMENT = 0.5


class GoldenScore(Record):
    """How a graph's logits agree with the goldens over `rows` positions; each is a mean.

    `correlation` is Pearson's, of the sampled logits; `kl`, in nats, counts the likeliest tokens and all others as one;
    `top1` is the share of positions with the same likeliest token.
    """

    rows: int
    correlation: float
    kl: float
    top1: float


class Perplexity(Record):
    """Perplexity of one text of `tokens` under the checkpoint in float32 and under a graph."""

    tokens: int
    checkpoint: float
    graph: float


class TextFigure(Record):
    """A graph against the checkpoint over `tokens` positions in texts of one kind or language.

    `kl_low` and `kl_high` bound the mean KL divergence (nats) with 95 % confidence; None where there are too few
    positions to tell. Perplexity is of the tokens that follow in the texts.
    """

    tokens: int
    kl_mean: float
    kl_low: float | None = None
    kl_high: float | None = None
    top1_agreement: float
    perplexity: Perplexity | None = None


class Figure(Record):
    """One graph, as it ran at export, against the checkpoint in float32 over `tokens` positions of texts.

    KL divergences are in nats, agreements are shares; `kl_low` and `kl_high` bound the mean with 95 % confidence.
    `by_kind` and `by_language` have the same of some of the texts; "own replies" are what the first graph sampled
    itself. `correlation` is Pearson's over the whole vocabulary, a mean over the positions of the goldens, random ids
    among them, which count for it and for `max_relative_error` only. `greedy_tokens` counts the tokens that graph and
    checkpoint have in common when both continue prompts greedily, out of `greedy_asked`. `provider` is where it was
    measured; `changed` says what was rewritten for that, None where the graph ran as it is. `prompts` are the goldens
    that were asked, None where all texts were: graphs over the weights of another one that answered all are asked
    fewer. `score` and `quick_score` are what a check of the same goldens on another machine compares with. `kl_by_text`
    is in artifacts of before, which have no intervals, and whose other figures were of the goldens alone.
    """

    graph: str
    tokens: int
    kl_mean: float
    kl_low: float | None = None
    kl_high: float | None = None
    kl_p95: float
    kl_max: float
    top1_agreement: float
    top5_agreement: float
    correlation: float
    max_relative_error: float
    perplexity: Perplexity | None = None
    greedy_tokens: int | None = None
    greedy_asked: int | None = None
    provider: str = "CPUExecutionProvider"
    changed: str | None = None
    prompts: list[str] | None = None
    by_kind: dict[str, TextFigure] | None = None
    by_language: dict[str, TextFigure] | None = None
    kl_by_text: dict[str, float] | None = None
    score: GoldenScore
    quick_score: GoldenScore


class VectorFigure(Record):
    """One graph's embeddings of `texts` texts against the checkpoint's in float32, as it ran at export.

    Cosine similarities of the vectors at their full width: the mean and the least. `max_relative_error` is the largest
    difference of any number of a hidden state over the largest number; the other fields are those of `Figure`.
    """

    graph: str
    texts: int
    cosine_mean: float
    cosine_min: float
    max_relative_error: float
    provider: str = "CPUExecutionProvider"
    changed: str | None = None
    prompts: list[str] | None = None
    score: GoldenScore
    quick_score: GoldenScore


class ScoreFigure(Record):
    """One graph's scores of `pairs` queries with documents against the checkpoint's, which lie between 0 and 1.

    `error_mean` and `error_max` are differences; `in_order` is the share of the queries' pairs of documents that stand
    in the checkpoint's order.
    """

    graph: str
    pairs: int
    error_mean: float
    error_max: float
    in_order: float


class Certificate(Record):
    """What was measured at export: the goldens' file and a figure a graph.

    An artifact that embeds has `vectors` in place of figures, and one that reranks has `scores` beside them.

    `command` measures the figures again, in the artifact's folder; a checkpoint that was a folder has its name there.
    `warning` says what is wrong with the figures and what to do, None where nothing is; `finer_recipe` is the recipe to
    take where a graph is damaged or may be, None where there is none or the writer knew none.
    """

    goldens: str
    figures: list[Figure]
    command: str | None = None
    warning: str | None = None
    finer_recipe: str | None = None
    vectors: list[VectorFigure] | None = None
    scores: list[ScoreFigure] | None = None

    @property
    def by_graph(self) -> "dict[str, Figure | VectorFigure]":
        """What was measured of each graph, by its file."""
        return {figure.graph: figure for figure in (*self.figures, *(self.vectors or ()))}
