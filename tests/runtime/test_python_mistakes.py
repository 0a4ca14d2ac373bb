"""What a program gets wrong in Python is a typed error with a sentence, and what it looks at reads well."""

import re

import numpy as np
import pytest

from thinkport.runtime import CallbackError, InputError, LoadProgress, LoadStage, Model, Sampler, SamplingSettings

GREEDY = SamplingSettings(temperature=0)


@pytest.mark.parametrize("seed", [1.5, "1", True, -1, float("nan")])
def test_a_seed_is_a_whole_number(new_model, seed) -> None:
    with pytest.raises(InputError, match=r"seed is .*, expected a whole number"):
        new_model().generate("hi", seed=seed, max_tokens=1)
    Sampler(GREEDY, seed=3)


@pytest.mark.parametrize("ids", [None, "hi", b"hi", 5, [None], [1.5], [[1, 2]], [2**70], [-1], [300], {1: 2}])
def test_ids_are_whole_numbers_of_the_vocabulary(new_model, ids) -> None:
    engine = new_model().engine()
    for use in (lambda: engine.generate(ids, Sampler(GREEDY)), lambda: engine.scores(ids), lambda: engine.prefill(ids)):
        with pytest.raises(InputError, match=r"^(ids? |the prompt |[0-9]+ tokens to score)"):
            use()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("repetition_penalty", 1e-300),
        ("repetition_penalty", 1e300),
        ("repetition_penalty", 0),
        ("presence_penalty", 1e300),
        ("presence_penalty", float("nan")),
        ("temperature", 1e-300),
        ("temperature", 1e300),
        ("temperature", 10**400),
        ("top_k", 10**400 * -1),
        ("top_p", float("nan")),
        ("min_p", float("inf")),
    ],
)
def test_a_value_that_would_break_the_logits_is_refused(name, value) -> None:
    with pytest.raises(InputError, match=f"{name} is "):
        SamplingSettings(**{name: value})


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("temperature", [0, 1e-20, 1.0, 1e4])
@pytest.mark.parametrize("repetition", [1e-3, 1e3])
@pytest.mark.parametrize("presence", [-1e4, 1e4])
def test_the_most_extreme_values_that_are_taken_draw_a_token(temperature, repetition, presence) -> None:
    settings = SamplingSettings(
        temperature=temperature, repetition_penalty=repetition, presence_penalty=presence, top_k=20, top_p=0.9
    )
    logits = np.random.default_rng(0).standard_normal(500).astype(np.float32) * 100
    sampler = Sampler(settings, seed=1)
    sampler.start(range(0, 500, 2))
    for _ in range(20):
        token = sampler.draw(logits)
        assert 0 <= token < 500
        sampler.accept(token)


@pytest.mark.parametrize("ending", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_a_callback_can_not_end_the_program_from_the_turns_thread(new_model, ending) -> None:
    def on_event(event: object) -> None:
        raise ending

    chat = new_model("<think>\n\n</think>\n\none").chat(sampling=GREEDY, thinking=False)
    turn = chat.start("hi", on_event=on_event)
    with pytest.raises(CallbackError, match=r"on_event raised .* in the turn's thread"):
        turn.result(60)
    assert isinstance(turn.error, CallbackError)
    assert chat.send("hi").answer == "one", "the chat goes on"


def test_a_model_and_a_chat_say_what_they_are(new_model) -> None:
    model = new_model("one")
    chat = model.chat(sampling=GREEDY, thinking=False, system="on")
    chat.send("hi")
    assert re.fullmatch(r"<Model \S+: chat, no graph>", repr(model))
    assert repr(chat) == "<Chat: 3 messages, thinking off>"
    model.unload()
    assert repr(model).endswith("unloaded>")
    model.close()
    assert repr(model).endswith("closed>")


def test_a_completion_offers_no_parts(new_model) -> None:
    offered = [name for name in dir(new_model()) if not name.startswith("_")]
    assert {"chat", "generate", "stream", "memory", "provider_report"} <= set(offered)
    assert not {"replies", "kv_source", "session"} & set(offered)


def test_no_public_error_names_what_is_private(new_model) -> None:
    model, told = new_model("one"), []
    mistakes = [
        lambda: model.generate(None),
        lambda: model.generate([{"role": "nobody", "content": "hi"}]),
        lambda: model.generate("hi", thinking="perhaps"),
        lambda: model.generate("hi", tools=5),
        lambda: model.generate("hi", tools=[5]),
        lambda: model.generate("hi", tool_choice=5),
        lambda: model.generate("hi", response_format=dict),
        lambda: model.generate("hi", max_tokens=1.5),
        lambda: model.generate("hi", sampling={"temprature": 1}),
        lambda: model.score(None),
        lambda: model.score("hi", 5),
        lambda: model.chat(system=5),
        lambda: model.chat(thinking=5),
        lambda: model.chat().stream(5),
        lambda: model.chat().stream_results({}),
    ]
    for mistake in mistakes:
        with pytest.raises(InputError) as raised:
            mistake()
        told.append(str(raised.value))
    assert not [text for text in told if re.search(r"(?<![\w`])_[a-z]|object at 0x|\bself\b", text)], told


def test_loading_tells_of_its_stages(nano_artifact, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    told: list[LoadProgress] = []
    with Model.load(nano_artifact, progress=told.append) as model:
        assert model.loaded
    checking = [one for one in told if one.stage is LoadStage.CHECK]
    assert [one.stage for one in told] == [LoadStage.CHECK] * len(checking) + [LoadStage.GRAPH]
    assert len(checking) > 3
    assert [one.done for one in checking] == sorted(one.done for one in checking)
    assert checking[-1].done < checking[-1].total == sum(record.bytes for record in model.manifest.files.values())
    told.clear()
    with Model.load(nano_artifact, progress=told.append):
        assert told == [LoadProgress(stage=LoadStage.GRAPH)], "nothing is hashed twice"
