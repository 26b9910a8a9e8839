"""The WebSocket of docs/PROTOCOL.md."""

from __future__ import annotations

import json
import struct
import zlib
from contextlib import ExitStack

import pytest
from chat import images
from chat.client import Chat, change, chat, info, use
from chat.servers import Server
from memory_images import REFUSAL_TEXT, remembering
from websockets.exceptions import ConnectionClosed


def digest(tokens: list[int]) -> str:
    return f"{zlib.crc32(struct.pack(f'<{len(tokens)}H', *tokens)):08x}"


def test_an_answer_comes_in_pieces_and_ends_with_what_it_was(server: Server) -> None:
    with chat(server) as client:
        text, done = client.ask(7, seed=5)
    assert text == images.TEXT
    tokens = images.ids(images.TEXT)
    expected = {"type": "done", "id": 7, "reason": "end", "tokens": len(tokens), "digest": digest(tokens), "seed": 5}
    assert expected.items() <= done.items()
    assert "command" not in done
    assert done["prompt_tokens"] == len("hello") + 2
    assert done["tok_per_s"] > 0
    assert done["prompt_tok_per_s"] > 0


def test_limits_of_an_answer(server: Server) -> None:
    use(server, "looping", images.looping())
    with chat(server) as client:
        text, done = client.ask(max_tokens=3)
        assert (text, done["reason"], done["tokens"]) == ("aba", "length", 3)
        _, done = client.ask()
        assert done["reason"] == "context"
        assert done["prompt_tokens"] + done["tokens"] in (24, 25)  # the last one need not be held


def test_raw_text_is_continued(server: Server) -> None:
    with chat(server) as client:
        assert client.ask(prompt=images.TEXT[:3], raw=True)[0] == images.TEXT[3:]


def test_a_command_comes_whole_or_not_at_all(server: Server) -> None:
    assert info(server)["model"]["commands"] is False
    use(server, "sure", images.commanding(0.9))
    assert info(server)["model"]["commands"] is True
    with chat(server) as client:
        client.send("generate", id=1, prompt="light")
        assert client.until("token")["text"] == "Do: lamp"
        done = client.until("token", "done")
        assert (done["reason"], done["command"]) == ("end", "lamp")
        assert 0.9 < done["confidence"] < 0.99
        use(server, "unsure", images.commanding(0.99))
        client.send("generate", id=2, prompt="light")
        assert client.until("token")["text"] == "Not sure."
        refused = client.until("token", "done")
        assert (refused["reason"], refused["command"], refused["confidence"]) == ("refused", "lamp", done["confidence"])


def test_what_is_remembered_comes_from_memory_and_what_is_not_known_is_refused(server: Server) -> None:
    use(server, "remembering", remembering())
    with chat(server) as client:
        text, known = client.ask(prompt="What is the FLASH size?!")
        assert text == "16 MB of flash, it is."
        assert known["from_memory"] is True
        assert known["confidence"] == pytest.approx(1, abs=0.02)
        assert (known["reason"], known["prompt_tokens"], known["tokens"]) == ("end", 0, len(images.ids(text)))
        assert known["digest"] == digest(images.ids(text))
        text, command = client.ask(prompt="turn on the lamp")
        assert (text, command["from_memory"]) == ("Do: led on", True)
        text, unknown = client.ask(prompt="who won the cup")
        assert (text, unknown["reason"], unknown["from_memory"]) == (REFUSAL_TEXT, "refused", True)
        assert "from_memory" not in client.ask(prompt="turn on the lamp", raw=True)[1]


def test_a_seed_repeats_an_answer(server: Server) -> None:
    with chat(server) as client:
        options = {"temperature": 50, "max_tokens": 20}
        first, again, other = (client.ask(seed=seed, **options)[1] for seed in (1, 1, 2))
        assert first["digest"] == again["digest"] != other["digest"]
        unsaid = [client.ask(**options)[1] for _ in range(2)]
        assert unsaid[0]["seed"] != unsaid[1]["seed"]
        repeated = client.ask(seed=unsaid[0]["seed"], **options)[1]
        assert repeated["digest"] == unsaid[0]["digest"]


def test_several_requests_at_once_are_all_answered(server: Server) -> None:
    with chat(server) as client:
        numbers = range(info(server)["limits"]["per_client"])
        for number in numbers:
            client.send("generate", id=number, prompt="hello")
        ended = []
        texts = dict.fromkeys(numbers, "")
        while len(ended) < len(numbers):
            message = client.receive()
            if message["type"] == "token":
                texts[message["id"]] += message["text"]
            elif message["type"] == "done":
                ended.append(message["id"])
    assert sorted(ended) == list(numbers)
    assert set(texts.values()) == {images.TEXT}


def test_info_is_what_the_address_says(server: Server) -> None:
    with chat(server) as client:
        client.send("info")
        message = client.receive()
    assert message.pop("type") == "info"
    changing = ("uptime_s", "requests", "memory")
    facts = info(server)
    assert {k: v for k, v in message.items() if k not in changing} == {
        k: v for k, v in facts.items() if k not in changing
    }
    assert facts["protocol"] == 1
    model = facts["model"]
    assert (model["bytes"], model["context"], model["selftest"]) == (len(images.answering()), 256, "passed")
    assert (model["title"], model["licence"], model["refusal"]) == ("Test model", "CC0", None)
    assert model["description"] == "Says one thing.\nDoes it work?"
    assert [entry["name"] for entry in facts["models"] if entry["active"]] == [model["name"]]


def test_everyone_hears_of_changes(server: Server) -> None:
    with chat(server) as one, chat(server) as other:
        assert change(server, "PUT", "/api/settings", {"top_k": 3}).status == 200
        assert one.until("info")["defaults"]["top_k"] == other.until("info")["defaults"]["top_k"] == 3
        change(server, "PUT", "/api/settings", {"top_k": 0})
        assert one.until("info")["defaults"]["top_k"] == 0
        use(server, "looping", images.looping())
        while one.until("info")["model"]["name"] != "looping":
            pass


class TestCancel:
    def test_while_it_is_answered(self, endless: Server) -> None:
        with chat(endless) as client:
            client.send("generate", id=1, prompt="go on")
            client.until("token")
            client.send("cancel", id=1)
            done = client.outcome(1)[1]
            assert done["reason"] == "cancelled"
            assert 0 < done["tokens"] < 16000
            assert client.ask(1, max_tokens=2)[0] == "ab"

    def test_while_it_waits(self, endless: Server) -> None:
        with chat(endless) as client:
            share = info(endless)["limits"]["per_client"]
            for number in range(share):
                client.send("generate", id=number, prompt="go on")
            assert client.until("queued")["ahead"] > 0
            client.send("cancel", id=share - 1)
            done = client.outcome(share - 1)[1]
            assert (done["reason"], done["tokens"], done["digest"]) == ("cancelled", 0, "00000000")
            for number in range(share - 1):
                client.send("cancel", id=number)
            ended = {client.until("done")["id"] for _ in range(share - 1)}
            assert ended == set(range(share - 1))

    def test_of_nothing_is_nothing(self, server: Server) -> None:
        with chat(server) as client:
            client.send("cancel", id=3)
            assert client.ask(3)[1]["reason"] == "end"
            client.send("cancel", id=3)
            client.send("info")
            assert client.receive()["type"] == "info"


def test_what_a_dropped_connection_asked_is_dropped(endless: Server) -> None:
    for _ in range(3):
        with chat(endless) as leaver:
            for number in range(info(endless)["limits"]["per_client"]):
                leaver.send("generate", id=number, prompt="go on")
            leaver.until("token")
            leaver.socket.socket.shutdown(2)
    with chat(endless) as client:
        text, done = client.ask(max_tokens=4)
        assert (text, done["reason"]) == ("abab", "length")
        assert client.ask(max_tokens=1)[1]["reason"] == "length"


def test_connections_take_turns(endless: Server) -> None:
    share = info(endless)["limits"]["per_client"]
    with chat(endless) as many, chat(endless) as one:
        for number in range(share):
            many.send("generate", id=number, prompt="go on", max_tokens=300)
        many.until("token")
        one.ask(max_tokens=300)
        before = 0
        many.send("info")  # what was done before this message was done before the other's answer
        while (message := many.receive())["type"] != "info":
            before += message["type"] == "done"
        assert before < share - 1
        for _ in range(share - before):
            many.until("done")


class TestErrors:
    """Each gets an ``error`` and has no other effect."""

    @pytest.mark.parametrize(
        ("text", "code", "number"),
        [
            ("", "json", None),
            ("{", "json", None),
            ("[]", "json", None),
            ("7", "json", None),
            ('{"type": "info"} x', "json", None),
            ('{"type": "info", "x": NaN}', "json", None),
            ('{"type": "generate", "id": 1, "prompt": "\\ud800"}', "json", None),
            ("{}", "message", None),
            ('{"type": 1, "id": 4}', "message", 4),
            ('{"type": "shout", "id": 4}', "message", 4),
            ('{"type": "generate", "prompt": "x"}', "message", None),
            ('{"type": "generate", "id": 4}', "message", 4),
            ('{"type": "generate", "id": "4", "prompt": "x"}', "message", None),
            ('{"type": "generate", "id": 4.0, "prompt": "x"}', "message", None),
            ('{"type": "generate", "id": true, "prompt": "x"}', "message", None),
            ('{"type": "generate", "id": 4, "prompt": "x", "temprature": 1}', "message", 4),
            ('{"type": "generate", "id": 4, "prompt": "x", "prompt": "y"}', "message", 4),
            ('{"type": "generate", "id": 4, "prompt": null}', "message", 4),
            ('{"type": "generate", "id": 4, "prompt": "x", "seed": null}', "message", 4),
            ('{"type": "generate", "id": 4, "prompt": "x", "raw": 1}', "message", 4),
            ('{"type": "generate", "id": 4, "prompt": "x", "top_k": 1.5}', "message", 4),
            ('{"type": "generate", "id": 4, "prompt": "x", "top_p": "1"}', "message", 4),
            ('{"type": "cancel"}', "message", None),
            ('{"type": "cancel", "id": 4, "prompt": "x"}', "message", 4),
            ('{"type": "info", "id": 4}', "message", 4),
            ('{"type": "generate", "id": -1, "prompt": "x"}', "value", None),
            ('{"type": "generate", "id": 4294967296, "prompt": "x"}', "value", None),
            ('{"type": "generate", "id": 4, "prompt": "x", "max_tokens": 0}', "value", 4),
            ('{"type": "generate", "id": 4, "prompt": "x", "max_tokens": 65536}', "value", 4),
            ('{"type": "generate", "id": 4, "prompt": "x", "temperature": -0.1}', "value", 4),
            ('{"type": "generate", "id": 4, "prompt": "x", "temperature": 100.5}', "value", 4),
            ('{"type": "generate", "id": 4, "prompt": "x", "top_p": 0}', "value", 4),
            ('{"type": "generate", "id": 4, "prompt": "x", "top_p": 1.01}', "value", 4),
            ('{"type": "generate", "id": 4, "prompt": "x", "top_k": -1}', "value", 4),
            ('{"type": "generate", "id": 4, "prompt": "x", "min_p": 2}', "value", 4),
            ('{"type": "generate", "id": 4, "prompt": "x", "repetition_penalty": 0}', "value", 4),
            ('{"type": "generate", "id": 4, "prompt": "x", "seed": 9007199254740992}', "value", 4),
            ('{"type": "generate", "id": 4, "prompt": "x", "temperature": 1' + "0" * 400 + "}", "value", 4),
            ('{"type": "generate", "id": 4, "prompt": ""}', "prompt", 4),
        ],
    )
    def test_of_a_message(self, server: Server, text: str, code: str, number: int | None) -> None:
        with chat(server) as client:
            client.socket.send(text)
            error = client.receive()
            assert (error["type"], error["code"], error["id"]) == ("error", code, number)
            assert error["message"]
            assert "\n" not in error["message"]
            assert client.ask(4)[1]["reason"] == "end"

    def test_of_bounds_that_belong(self, server: Server) -> None:
        bounds = [{"temperature": 100}, {"top_p": 1.0}, {"top_k": 4294967295}, {"min_p": 1}, {"min_p": 0}]
        bounds += [{"repetition_penalty": 0.01}, {"repetition_penalty": 100}, {"seed": 2**53 - 1}, {"seed": 0}]
        with chat(server) as client:
            for number, fields in enumerate([*bounds, {"max_tokens": 65535}]):
                assert (
                    client.ask(2**32 - 1 - number, max_tokens=fields.pop("max_tokens", 5), **fields)[1]["type"]
                    == "done"
                )

    def test_of_a_prompt(self, server: Server) -> None:
        most = info(server)["limits"]["prompt_bytes"]
        with chat(server) as client:
            for prompt in ("x" * (most + 1), "x" * most):  # too many bytes, too many tokens
                assert client.ask(4, prompt)[1]["code"] == "prompt"
            use(server, "lettered", images.lettered())
            assert client.ask(5, "abc", max_tokens=1)[1]["type"] == "done"
            assert client.ask(6, "abz")[1]["code"] == "prompt"

    def test_of_an_id_still_unanswered(self, endless: Server) -> None:
        with chat(endless) as client:
            client.send("generate", id=1, prompt="go on")
            client.send("generate", id=1, prompt="go on")
            assert client.until_error() == (1, "id")
            client.send("cancel", id=1)
            assert client.outcome(1)[1]["reason"] == "cancelled"

    def test_of_a_full_share(self, endless: Server) -> None:
        share = info(endless)["limits"]["per_client"]
        with chat(endless) as client:
            for number in range(share + 1):
                client.send("generate", id=number, prompt="go on")
            assert client.until_error() == (share, "busy")
            for number in range(share):
                client.send("cancel", id=number)
            for _ in range(share):
                client.until("done")
            assert client.ask(max_tokens=1)[1]["type"] == "done"

    def test_of_a_full_queue(self, endless: Server) -> None:
        limits = info(endless)["limits"]
        with ExitStack() as stack:
            clients, accepted = [], 0
            refused = False
            while not refused:
                clients.append(stack.enter_context(chat(endless)))
                for number in range(limits["per_client"]):
                    clients[-1].send("generate", id=number, prompt="go on")
                clients[-1].send("info")
                while (message := clients[-1].receive())["type"] != "info":
                    if message["type"] == "error":
                        assert message["code"] == "busy"
                        refused = True
                    elif message["type"] == "done":
                        accepted -= 1
                accepted += limits["per_client"]
            assert accepted > limits["queue"]


class TestFrames:
    """Invalid frames end the connection, after an error message."""

    def closed(self, client: Chat, *errors: str) -> int:
        """The close code that follows these errors."""
        for code in errors:
            error = client.receive()
            assert (error["type"], error["code"], error["id"]) == ("error", code, None)
        with pytest.raises(ConnectionClosed) as closed:
            client.receive()
        return closed.value.rcvd.code

    def test_binary(self, server: Server) -> None:
        with chat(server) as client:
            client.socket.send(b'{"type": "info"}')
            assert self.closed(client, "frame") == 1003

    def test_fragmented(self, server: Server) -> None:
        with chat(server) as client:
            client.socket.send(['{"type": ', '"info"}'])
            assert self.closed(client, "frame") == 1003

    def test_too_long(self, server: Server) -> None:
        with chat(server) as client:
            most = info(server)["limits"]["message_bytes"]
            message = json.dumps({"type": "info"})
            client.socket.send(message + " " * (most - len(message)))
            assert client.receive()["type"] == "info"
            client.socket.send(message + " " * (most + 1 - len(message)))
            assert self.closed(client, "size") == 1009

    def test_far_too_long(self, server: Server) -> None:
        with chat(server) as client:
            length = 17 * info(server)["limits"]["message_bytes"]
            client.socket.socket.sendall(b"\x81\xff" + struct.pack(">Q", length) + b"mask" + b"x" * 1000)
            assert self.closed(client) == 1009

    @pytest.mark.parametrize(
        ("frame", "code"),
        [
            (b"\x81\x02{}", 1002),  # no mask
            (b"\xc1\x82mask\x16\x1c", 1002),  # a reserved bit
            (b"\x83\x80mask", 1002),  # an opcode that there is not
            (b"\x09\x80mask", 1002),  # a fragmented ping
            (b"\x81\x81mask\x92", 1007),  # not UTF-8
        ],
    )
    def test_against_the_standard(self, server: Server, frame: bytes, code: int) -> None:
        if frame[0] in (0xC1, 0x09) and not server.sees_all_of_frames:
            pytest.skip("this server overlooks reserved bits and fragmented control frames")
        with chat(server) as client:
            client.socket.socket.sendall(frame)
            assert self.closed(client) == code
        with chat(server) as client:
            assert client.ask()[1]["reason"] == "end"
