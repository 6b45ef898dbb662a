"""Real clients against the router, unmodified: OpenAI's SDK, LiteLLM and curl."""

import contextlib
import json
import os
import subprocess

from harness import wait_until
from marketplace import Market

# Its list of prices comes with it.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
TOOL = {"type": "function", "function": {
    "name": "count", "description": "Counts.",
    "parameters": {"type": "object", "properties": {"words": {"type": "array"}}}}}


@contextlib.contextmanager
def market(context):
    with Market(context.ratel) as made:
        made.provider("cheap")
        made.provider("dear", price=(300_000_000, 900_000_000))
        yield made.route()


@contextlib.contextmanager
def client(context, **words):
    import openai
    with market(context) as made:
        with openai.OpenAI(base_url=made.url + "/v1", api_key="sk-alice", max_retries=0,
                           **words) as sdk:
            yield made, sdk


def messages(text="one two three"):
    return [{"role": "user", "content": text}]


def test_openai_chat(context):
    with client(context) as (made, sdk):
        raw = sdk.chat.completions.with_raw_response.create(
            model="tiny", messages=messages(), max_tokens=4)
        answer = raw.parse()
        assert answer.choices[0].message.content == " one two three one"
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (3, 4)
        assert raw.headers["x-ratel-provider"] in ("cheap", "dear")
        receipt = made.receipt(raw.headers)["body"]
        assert receipt["usage"]["out"] == 4 and receipt["end"] == "complete"
        stream = sdk.chat.completions.create(
            model="tiny:floor", messages=messages(), max_tokens=5, stream=True,
            stream_options={"include_usage": True})
        pieces = list(stream)
        text = "".join(piece.choices[0].delta.content for piece in pieces if piece.choices)
        assert text == " one two three one two", text
        assert pieces[-1].usage.completion_tokens == 5


def test_openai_provider_object_and_fields_pass_through(context):
    with client(context) as (made, sdk):
        raw = sdk.chat.completions.with_raw_response.create(
            model="tiny", messages=messages(), max_tokens=2, temperature=0.25, seed=7,
            extra_body={"provider": {"order": ["dear"]}, "top_k": 3, "vendor": {"a": [1, 2.50]}})
        assert raw.headers["x-ratel-provider"] == "dear"
        sent = made.providers[1].engine.requests[-1][2]
        assert (sent["temperature"], sent["seed"], sent["top_k"]) == (0.25, 7, 3), sent
        assert sent["vendor"] == {"a": [1, 2.5]} and "provider" not in sent, sent


def test_openai_tools(context):
    with client(context) as (made, sdk):
        answer = sdk.chat.completions.create(
            model="tiny", messages=messages(), tools=[TOOL], max_tokens=3)
        call = answer.choices[0].message.tool_calls[0]
        assert call.function.name == "count"
        assert json.loads(call.function.arguments) == {"words": [" one", " two", " three"]}
        sent = [one for provider in made.providers for _, _, one in provider.engine.requests
                if "tools" in one]
        assert sent[-1]["tools"] == [TOOL], sent


def test_openai_other_apis(context):
    with client(context) as (made, sdk):
        answer = sdk.completions.create(model="tiny", prompt="a b", max_tokens=3)
        assert answer.choices[0].text == " a b a" and answer.usage.completion_tokens == 3
        text = "".join(piece.choices[0].text for piece in sdk.completions.create(
            model="tiny", prompt="a b", max_tokens=3, stream=True))
        assert text == " a b a"
        found = sdk.embeddings.create(model="tiny", input=["a b", "c"], encoding_format="float")
        assert found.data[0].embedding == [0.5, -0.25, 3] and found.usage.prompt_tokens == 3
        answer = sdk.responses.create(model="tiny", input="a b", max_output_tokens=3)
        assert answer.output_text == " a b a" and answer.usage.output_tokens == 3
        kinds = [event.type for event in sdk.responses.create(
            model="tiny", input="a b", max_output_tokens=3, stream=True)]
        assert kinds[0] == "response.created" and kinds[-1] == "response.completed", kinds
        assert [model.id for model in sdk.models.list()] == ["tiny"]
        assert sdk.models.retrieve("tiny").id == "tiny"


def test_openai_errors(context):
    import openai
    with client(context) as (made, sdk):
        def raised(kind, code, **members):
            try:
                sdk.chat.completions.create(
                    **{"model": "tiny", "messages": messages(), "max_tokens": 2} | members)
            except kind as error:
                assert error.code == code, (error.code, code, error.body)
                return error
            raise AssertionError(f"no {kind}")

        raised(openai.NotFoundError, "model_not_found", model="other")
        raised(openai.BadRequestError, "context_length_exceeded", max_tokens=4097)
        # And where the engine finds out.
        raised(openai.BadRequestError, "context_length_exceeded", max_tokens=4000,
               messages=messages("a " * 120))
        for provider in made.providers:
            provider.engine.faults["busy"] = True
        error = raised(openai.RateLimitError, "saturated")
        assert error.response.headers["retry-after"] == "1"
        for provider in made.providers:
            provider.engine.faults = {"die": 1}
        wait_until(lambda: made.chat(provider={"order": ["dear"], "allow_fallbacks": False})[0]
                   == 200, 10, "it is asked again")
        stream = sdk.chat.completions.create(
            model="tiny", messages=messages(), max_tokens=5, stream=True,
            extra_body={"provider": {"order": ["dear"]}})
        try:
            for _ in stream:
                pass
            raise AssertionError("the stream ended as if it were whole")
        except openai.APIError as error:
            assert error.code, error.body
        try:
            openai.OpenAI(base_url=made.url + "/v1", api_key="sk-nobody", max_retries=0) \
                .models.with_raw_response.list()
            openai.OpenAI(base_url=made.url + "/v1", api_key="sk-nobody", max_retries=0) \
                .chat.completions.create(model="tiny", messages=messages())
            raise AssertionError("a key of nobody's was taken")
        except openai.AuthenticationError as error:
            assert error.code == "invalid_api_key"


def test_litellm(context):
    import litellm
    with market(context) as made:
        words = {"model": "openai/tiny", "api_base": made.url + "/v1", "api_key": "sk-alice",
                 "messages": messages(), "num_retries": 0}
        answer = litellm.completion(max_tokens=4, **words)
        assert answer.choices[0].message.content == " one two three one"
        assert answer.usage.completion_tokens == 4
        text = "".join(piece.choices[0].delta.content or "" for piece in litellm.completion(
            max_tokens=4, stream=True, **words))
        assert text == " one two three one"
        answer = litellm.completion(max_tokens=2, tools=[TOOL], **words)
        assert answer.choices[0].message.tool_calls[0].function.name == "count"
        found = litellm.embedding(model="openai/tiny", input=["a b"], encoding_format="float",
                                  api_base=made.url + "/v1", api_key="sk-alice")
        assert found.usage.prompt_tokens == 2
        try:
            litellm.completion(**words | {"model": "openai/other"})
            raise AssertionError("another model was served")
        except litellm.NotFoundError:
            pass


def test_curl(context):
    with market(context) as made:
        def curl(path, *words):
            done = subprocess.run(
                ["curl", "-sS", "-N", "--max-time", "20", "-H", "authorization: Bearer sk-alice",
                 *words, made.url + path], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            return done.stdout

        body = json.dumps({"model": "tiny", "messages": messages(), "max_tokens": 3})
        assert json.loads(curl("/v1/chat/completions", "-d", body))["usage"]["total_tokens"] == 6
        streamed = curl("/v1/chat/completions", "-d", body[:-1] + ',"stream":true}')
        assert streamed.endswith("data: [DONE]\n\n") and streamed.count("data: ") == 4, streamed
        # In chunks, and over TLS to the router itself.
        chunked = curl("/v1/chat/completions", "-H", "transfer-encoding: chunked", "-d", body)
        assert json.loads(chunked)["usage"]["total_tokens"] == 6
        made.url = f"https://127.0.0.1:{made.router_port}"
        for version in ("--http1.1", "--http2"):
            direct = curl("/v1/chat/completions", "-k", version, "-d", body)
            assert json.loads(direct)["usage"]["total_tokens"] == 6
