"""Clients that nobody here wrote: minutes each, or with packages that the main suite does without."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long
QUESTION = {"role": "user", "content": "What is 86*57?"}
NODE = """
import OpenAI from "openai";
const client = new OpenAI({ baseURL: process.argv[2] + "/v1", apiKey: "any" });
const ask = { model: "nano", messages: [{ role: "user", content: "What is 86*57?" }], seed: 1, enable_thinking: true };
const whole = await client.chat.completions.create(ask);
let streamed = "", thought = "";
for await (const chunk of await client.chat.completions.create({ ...ask, stream: true })) {
  streamed += chunk.choices[0]?.delta?.content ?? "";
  thought += chunk.choices[0]?.delta?.reasoning_content ?? "";
}
const input = "What is 86*57?";
const response = await client.responses.create({ model: "nano", input, reasoning: { effort: "low" } });
const message = whole.choices[0].message;
console.log(JSON.stringify({
  answer: message.content, same: streamed === message.content && thought === message.reasoning_content,
  response: response.output_text.trim(),
}));
"""


def test_curl_reads_a_reply_and_a_stream(served) -> None:
    if (curl := shutil.which("curl")) is None:
        pytest.skip("no curl on this machine")
    url = f"{served.url}/v1/chat/completions"

    def post(**fields) -> str:
        body = json.dumps({"messages": [QUESTION], "enable_thinking": True, **fields})
        command = [curl, "-sS", "--fail", "-N", url, "-H", "content-type: application/json", "-d", body]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert json.loads(post())["choices"][0]["message"]["content"] == "4902"
    assert post(stream=True).endswith("data: [DONE]\n\n")


def test_langchain_reads_thought_answer_stream_and_structure(served) -> None:
    chat = pytest.importorskip("langchain_openai", reason="langchain-openai is not installed").ChatOpenAI
    options = {"base_url": f"{served.url}/v1", "api_key": "any", "model": "nano"}
    model = chat(**options, extra_body={"enable_thinking": True})
    assert model.invoke("What is 86*57?").content == "4902"
    assert "".join(str(chunk.content) for chunk in model.stream("What is 86*57?")).strip() == "4902"
    properties = {"n": {"enum": [1, 2]}}
    schema = {
        "title": "n",
        "type": "object",
        "properties": properties,
        "required": ["n"],
        "additionalProperties": False,
    }
    strict = chat(**options, reasoning_effort="none", temperature=0).with_structured_output(
        schema, method="json_schema"
    )
    assert strict.invoke("One or two?")["n"] in (1, 2)


def test_openais_client_for_node_reads_replies_streams_and_responses(served, tmp_path: Path) -> None:
    if (npm := shutil.which("npm")) is None or (node := shutil.which("node")) is None:
        pytest.skip("no Node.js on this machine")
    installed = subprocess.run([npm, "install", "--silent", "openai"], cwd=tmp_path, capture_output=True, check=False)
    if installed.returncode:
        pytest.skip("the openai package can't be installed: npm has no registry here")
    (tmp_path / "ask.mjs").write_text(NODE)
    done = subprocess.run([node, "ask.mjs", served.url], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"answer": "4902", "same": True, "response": "4902"}


def test_schemathesis_finds_no_server_error(serve, tmp_path: Path) -> None:
    pytest.importorskip("schemathesis", reason="schemathesis is not installed")
    served = serve(max_tokens=24, max_choices=2)
    program = Path(sys.executable).with_name("schemathesis")
    command = [str(program)] if program.exists() else [sys.executable, "-m", "schemathesis.cli"]
    command += ["run", f"{served.url}/openapi.json", "--checks", "not_a_server_error,content_type_conformance"]
    command += ["--max-examples", "60", "--workers", "2", "--no-color"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert served.idle()
