"""Written fakes: a session whose model is a function of all ids so far, and a byte-level tokenizer of a few tokens."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tokenizers import AddedToken, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as Backend

from thinkport.runtime.artifact.manifest import Manifest, ThinkingIds
from thinkport.runtime.engine.kv_cache import KvSize, KvSnapshot, layout_of
from thinkport.runtime.model import Model
from thinkport.runtime.prompt.template import ChatTemplate
from thinkport.runtime.prompt.tokenizer import Tokenizer
from thinkport.runtime.providers.graph_source import LoadedGraph
from thinkport.runtime.providers.provider_report import ProviderReport

MARKERS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<think>",
    "</think>",
    "<tool_response>",
    "<tool_call>",
    "</tool_call>",
)
ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "artifacts" / "nano" / "chat_template.jinja"
NextId = Callable[[list[int]], int]


class Reopened:
    """A source of graphs whose only one `open_session` loads; `found` is what trials find meanwhile."""

    def __init__(self, open_session: Callable[[], "FakeSession"]):
        self._open = open_session
        self.found: ProviderReport | LoadedGraph | None = None

    def reload(self) -> LoadedGraph:
        return LoadedGraph(self._open(), "", ProviderReport(asked="auto", build="none"))

    def review(self, report: ProviderReport) -> ProviderReport | LoadedGraph | None:
        return self.found


def mixed(ids: list[int]) -> int:
    """A next id that depends on every id before it and on their order."""
    value = 7
    for token in ids:
        value = (value * 31 + token + 1) % 1_000_003
    return value


class FakeLane:
    """A lane whose logits peak at `next_id` of all that it holds."""

    def __init__(self, session: "FakeSession", batch: int):
        self.session, self.batch = session, batch
        self.rows: list[list[int]] = [[] for _ in range(batch)]

    @property
    def length(self) -> int:
        return max(map(len, self.rows))

    def step(self, ids, lengths=None, keep=1):
        self.session.steps.append(ids.shape[1])
        logits = np.zeros((self.batch, ids.shape[1], self.session.vocab_size), np.float32)
        for at, row in enumerate(self.rows):
            for column in range(ids.shape[1] if lengths is None else lengths[at]):
                row.append(int(ids[at, column]))
                logits[at, column, self.session.next_id(row) % self.session.vocab_size] = 9
        return logits[:, -keep:]

    def expect(self, tokens: int) -> None:
        pass

    def trim(self, length: int) -> None:
        self.rows = [row[:length] for row in self.rows]

    def read(self, length: int) -> KvSnapshot:
        """Keys and values are the ids themselves."""
        assert 1 <= length <= self.length
        ids = np.array(self.rows[0][:length], np.float32)
        return KvSnapshot(parts=(ids[None, None, :, None], ids[None, None, :, None]))

    def write(self, snapshot: KvSnapshot) -> None:
        self.rows = [[int(token) for token in snapshot.parts[0][0, 0, :, 0]]]

    def read_end(self, start: int) -> KvSnapshot:
        ids = np.array(self.rows[0][start:], np.float32)
        return KvSnapshot(parts=(ids[None, None, :, None], ids[None, None, :, None]))

    def write_end(self, snapshot: KvSnapshot, start: int) -> None:
        self.rows = [[*self.rows[0][:start], *(int(token) for token in snapshot.parts[0][0, 0, :, 0])]]


class FakeSession:
    """Lanes over a made-up model; `steps` are the sizes of all steps."""

    def __init__(self, next_id: NextId = mixed, *, several_tokens_over_past: bool = True, context_length: int = 4096):
        self.next_id = next_id
        self.several_tokens_over_past = several_tokens_over_past
        self.ragged_batches = True
        self.vocab_size, self.context_length, self.prefill_chunk = 300, context_length, 8
        self.kv_layout = layout_of(np.float32, 1, 1, 1)
        self.kv_size = KvSize(token=8, in_place=True, context=context_length)
        self.exact_steps = False
        self.lost: str | None = None
        self.steps: list[int] = []

    def open_lane(self, batch: int = 1) -> FakeLane:
        return FakeLane(self, batch)


@pytest.fixture(scope="session")
def new_session() -> type[FakeSession]:
    return FakeSession


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pairs = [("h", "i"), ("Ġ", "o"), ("Ġo", "n")]
    vocabulary = {token: at for at, token in enumerate([*letters, *(a + b for a, b in pairs)])}
    backend = Backend(models.BPE(vocab=vocabulary, merges=pairs))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in MARKERS[:3]])
    backend.add_tokens([AddedToken(token, normalized=False, special=False) for token in MARKERS[3:]])
    return Tokenizer(backend)


@pytest.fixture(scope="session")
def template() -> ChatTemplate:
    return ChatTemplate.from_file(TEMPLATE, {"eos_token": "<|im_end|>"})


@pytest.fixture(scope="session")
def thinking_ids(tokenizer: Tokenizer) -> ThinkingIds:
    return ThinkingIds(start=tokenizer.added["<think>"], end=tokenizer.added["</think>"])


@pytest.fixture(scope="session")
def new_model(tokenizer: Tokenizer, template: ChatTemplate, thinking_ids: ThinkingIds) -> Callable[..., Model]:
    """Makes a model that says `replies` in turn, or whatever `mixed` gives; `manifest` has changed fields."""
    sample = Manifest.model_validate_json((ROOT / "tests" / "contract" / "manifest.json").read_text(encoding="utf-8"))
    stop = tokenizer.added["<|im_end|>"]
    usual = sample.model_copy(update={"thinking": thinking_ids, "stop_ids": [stop]})

    def make(
        *replies: str,
        thinking=None,
        prefix_cache_bytes=1 << 24,
        artifact="",
        memory_limit=None,
        rows=None,
        manifest=None,
        template=template,
        **options,
    ) -> Model:
        heads = tokenizer.encode("<|im_start|>assistant\n")
        said = [[*tokenizer.encode(reply), stop] for reply in replies]

        def next_id(ids: list[int]) -> int:
            starts = [at + len(heads) for at in range(len(ids)) if ids[at : at + len(heads)] == heads]
            if not starts:
                return stop
            reply, done = said[min(len(starts), len(said)) - 1], ids[starts[-1] :]
            return reply[len(done)] if done == reply[: len(done)] and len(done) < len(reply) else stop

        def open_session() -> FakeSession:
            return FakeSession(next_id if replies else mixed, **options)

        return Model(
            usual.model_copy(update=manifest or {}),
            tokenizer,
            template,
            open_session(),
            thinking=thinking,
            prefix_cache_bytes=prefix_cache_bytes,
            artifact=artifact,
            memory_limit=memory_limit,
            rows=rows,
            source=Reopened(open_session),
        )

    return make
