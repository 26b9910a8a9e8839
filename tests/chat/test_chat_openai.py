"""The OpenAI form of docs/PROTOCOL.md, also with OpenAI's own client."""

from __future__ import annotations

import http.client
import json

import pytest
from chat import images
from chat.client import Reply, chat, info, request, use
from chat.servers import Server

openai = pytest.importorskip("openai", reason="OpenAI's client is not installed: pip install openai")

#: This many endless answers would make another client time out.
LEAVERS = 10

USER = {"role": "user", "content": "hello"}


def post(server: Server, **fields: object) -> Reply:
    return request(server, "POST", "/v1/chat/completions", {"messages": [USER], **fields})


@pytest.fixture
def client(server: Server):
    with openai.OpenAI(base_url=f"http://{server.host}/v1", api_key="none", max_retries=0) as client:
        yield client


class TestClient:
    def test_models(self, client) -> None:
        assert [model.id for model in client.models.list()] == ["first"]

    def test_answer(self, client) -> None:
        answer = client.chat.completions.create(model="any", messages=[USER], seed=3, user="me", metadata={"a": "b"})
        assert answer.choices[0].message.content == images.TEXT
        assert answer.choices[0].finish_reason == "stop"
        assert answer.model == "first"
        assert answer.usage.completion_tokens == len(images.ids(images.TEXT))
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
        assert {"reason": "end", "seed": 3}.items() <= answer.shrew.items()

    def test_stream(self, client) -> None:
        stream = client.chat.completions.create(
            model="first", messages=[USER], stream=True, stream_options={"include_usage": True}
        )
        chunks = list(stream)
        assert len({chunk.id for chunk in chunks}) == 1
        assert chunks[0].choices[0].delta.role == "assistant"
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == images.TEXT
        assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 2) + ["stop"]
        assert chunks[-2].shrew["reason"] == "end"
        assert chunks[-1].choices == []
        assert chunks[-1].usage.completion_tokens == chunks[-2].shrew["tokens"]

    def test_stop_ends_before_the_text(self, client) -> None:
        for stop in ("ks", ["zz", "ks"]):
            answer = client.chat.completions.create(model="first", messages=[USER], stop=stop)
            assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("Wor", "stop")

    def test_length(self, client) -> None:
        for name in ("max_tokens", "max_completion_tokens"):
            answer = client.chat.completions.create(model="first", messages=[USER], **{name: 3})
            assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("Wor", "length")

    def test_error(self, client) -> None:
        with pytest.raises(openai.BadRequestError, match="temperature") as caught:
            client.chat.completions.create(model="first", messages=[USER], temperature=101)
        assert (caught.value.code, caught.value.type) == ("value", "invalid_request_error")
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(model="first", messages=[{"role": "user", "content": ""}], stream=True)
        assert caught.value.code == "prompt"

    def test_what_is_streamed_can_be_left(self, endless: Server) -> None:
        with openai.OpenAI(base_url=f"http://{endless.host}/v1", api_key="none", max_retries=0) as client:
            for _ in range(LEAVERS):
                with client.chat.completions.create(model="endless", messages=[USER], stream=True) as stream:
                    next(iter(stream))
        with chat(endless) as other:
            assert other.ask(max_tokens=2)[0] == "ab"


def test_the_last_message_is_the_prompt(server: Server) -> None:
    earlier = [{"role": "system", "content": "Be brief."}, USER, {"role": "assistant", "content": "Yes."}]
    alone, last = post(server), post(server, messages=[*earlier, USER])
    assert alone.json()["usage"] == last.json()["usage"]
    parts = [{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}]
    assert post(server, messages=[{"role": "user", "content": parts}]).json()["usage"] == alone.json()["usage"]


def test_a_stream_ends_in_done(server: Server) -> None:
    reply = post(server, stream=True)
    assert reply.headers["content-type"].startswith("text/event-stream")
    events = reply.body.decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    assert all(json.loads(event.removeprefix("data: ")) for event in events[:-2])


def test_a_client_that_leaves_ends_its_answer(endless: Server) -> None:
    for _ in range(LEAVERS):
        connection = http.client.HTTPConnection(endless.host)
        connection.request("POST", "/v1/chat/completions", json.dumps({"messages": [USER]}))
        connection.close()
    with chat(endless) as client:
        assert client.ask(max_tokens=2)[0] == "ab"


def test_null_counts_as_absent(server: Server) -> None:
    fields = ("temperature", "top_p", "seed", "stop", "max_tokens", "stream", "stream_options", "tools", "n", "model")
    assert post(server, **dict.fromkeys(fields)).status == 200


def test_another_stored_model_is_refused(server: Server) -> None:
    use(server, "looping", images.looping())
    reply = post(server, model="first")
    assert (reply.status, reply.code) == (400, "value")
    assert post(server, model="looping").status == post(server, model="gpt-4o").status == 200


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"messages": []}, "message"),
        ({"messages": "hello"}, "message"),
        ({"messages": ["hello"]}, "message"),
        ({"messages": [{"role": "user"}]}, "message"),
        ({"messages": [{"role": "user", "content": 7}]}, "message"),
        ({"messages": [{"role": "user", "content": ["hello"]}]}, "message"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "value"),
        ({"messages": [USER, {"role": "assistant", "content": "x"}]}, "value"),
        ({"messages": [{"role": "user", "content": ""}]}, "prompt"),
        ({"n": 2}, "value"),
        ({"tools": [{"type": "function"}]}, "value"),
        ({"stop": 1}, "message"),
        ({"stop": [1]}, "message"),
        ({"stop": ["a"] * 5}, "value"),
        ({"stop": ""}, "value"),
        ({"stop": "a" * 65}, "value"),
        ({"stop": "a\0"}, "value"),
        ({"stream": "yes"}, "message"),
        ({"stream_options": []}, "message"),
        ({"max_tokens": 0}, "value"),
        ({"max_tokens": 1.5}, "message"),
        ({"temperature": True}, "message"),
        ({"temperature": -1}, "value"),
        ({"top_p": 0}, "value"),
        ({"top_k": -1}, "value"),
        ({"seed": -1}, "value"),
    ],
)
def test_errors(server: Server, fields: dict[str, object], code: str) -> None:
    reply = post(server, **fields)
    assert (reply.status, reply.code) == (400, code)
    assert reply.json()["error"]["type"] == "invalid_request_error"


def test_the_body_has_a_limit(server: Server) -> None:
    reply = post(server, user="x" * info(server)["limits"]["message_bytes"])
    assert (reply.status, reply.code) == (413, "size")
    assert request(server, "POST", "/v1/chat/completions", b"{").code == "json"
