"""The KV cache of the trained nano model shared, saved, filled ahead and closed, in ONNX Runtime."""

import subprocess
import sys
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from tests.runtime.recorder import Recorder

from thinkport.runtime import Engine, InputError, Model
from thinkport.runtime.artifact.manifest import fingerprint
from thinkport.runtime.chat.conversation_file import KvSource, SavedConversation, read_conversation, write_conversation
from thinkport.runtime.chat.turn import Settler
from thinkport.runtime.engine.prefix_cache import PrefixCache

TOLERANCE = 2e-3  # fp32 logits after a few layers


@pytest.fixture(scope="module", params=["nano_artifact", "nano_fp32_artifact", "nano_unfused_artifact"])
def loaded(request):
    """(folder, model) of int4 and fp32 fused, their KV cache in place, and of fp32 as traced, with an appended one."""
    folder = request.getfixturevalue(request.param)
    with Model.load(folder) as model:
        yield folder, model


def some_ids(model: Model, length: int, seed: int = 0):
    return np.random.default_rng(seed).integers(0, model.manifest.model.vocab_size, length).tolist()


def seen(engine: Engine, prompt, **options):
    """The logits of a short reply, and how much of its prompt was not run."""
    recorder = Recorder()
    reply = engine.generate(prompt, recorder, **{"max_tokens": 4, **options})
    list(reply)
    return np.array(recorder.seen), reply.reused


def test_a_shared_start_gives_the_logits_of_the_conversation_that_ran_it(loaded) -> None:
    _, model = loaded
    prefixes, start = PrefixCache(1 << 26), some_ids(model, 700)
    prompt = [*start, 1, 2, 3]
    ran, before = seen(Engine(model.session, prefixes), prompt, shareable=700)
    took, reused = seen(Engine(model.session, prefixes), prompt, shareable=700)
    assert (before, reused) == (0, 700)
    assert np.array_equal(took, ran)


def test_a_saved_kv_cache_gives_the_logits_of_the_engine_that_was_saved(loaded, tmp_path: Path) -> None:
    folder, model = loaded
    source = KvSource(artifact=fingerprint(folder), graph="some.onnx", layout=model.session.kv_layout)
    engine, prompt = model.engine(), some_ids(model, 300)
    seen(engine, prompt)
    ids, snapshot = engine.snapshot()
    write_conversation(tmp_path / "talk", SavedConversation(data={}, ids=ids, snapshot=snapshot), source)
    read, other = read_conversation(tmp_path / "talk", source), model.engine()
    other.restore(read.ids, read.snapshot)
    went_on, restored = (seen(one, [*ids, 5, 6]) for one in (engine, other))
    assert restored[1] == went_on[1] == len(ids)
    assert np.array_equal(restored[0], went_on[0])


def test_a_prompt_prefilled_in_the_background_gives_the_logits_of_a_cold_run(loaded) -> None:
    _, model = loaded
    engine, settler, history = model.engine(), Settler(), some_ids(model, 400)
    settler.start(lambda stop: engine.prefill(history, stop=stop))
    settler.wait()
    warm, reused = seen(engine, [*history, 7])
    assert reused == 400
    if model.manifest.recipe.precision == "fp32":  # int4 rounds activations, which differs with the pieces
        assert np.abs(warm - seen(model.engine(), [*history, 7])[0]).max() < TOLERANCE


def test_a_model_may_be_closed_while_a_prefill_goes_on(nano_artifact: Path) -> None:
    for seed in range(5):
        model, settler, begun = Model.load(nano_artifact), Settler(), Event()
        engine, ids = model.engine(), some_ids(model, 8000, seed)

        def work(stop, engine=engine, ids=ids, begun=begun) -> None:
            begun.set()
            engine.prefill(ids, stop=stop)

        settler.start(work)
        begun.wait()
        model.close()
        with pytest.raises(InputError, match="the model is closed"):
            settler.wait()
        with pytest.raises(InputError, match="the model is closed"):
            engine.prefill(ids)


def test_a_program_may_end_while_a_prefill_goes_on(nano_artifact: Path) -> None:
    program = (
        "import sys\n"
        "from thinkport.runtime import Model\n"
        "from thinkport.runtime.chat.turn import Settler\n"
        "model = Model.load(sys.argv[1])\n"
        "engine, settler = model.engine(), Settler()\n"
        "settler.start(lambda stop: engine.prefill([1, 2] * 4000, stop=stop))\n"
        "while not engine.ids: pass\n"
    )
    command = [sys.executable, "-c", program, str(nano_artifact)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
