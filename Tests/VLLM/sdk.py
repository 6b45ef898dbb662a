"""The OpenAI and Anthropic SDKs against one base URL, as an application would use them."""

import asyncio
import time

import anthropic
import openai

from harness import wait_until

ASK = {
    "model": "tiny",
    "messages": [{"role": "user", "content": "Say something about the licence."}],
    "temperature": 0,
}


class Checks:
    """Each method is one test; `direct` asks the server itself, `client` through both Ratels."""

    def __init__(self, server, port):
        self.server = server
        self.base = f"http://127.0.0.1:{port}"
        self.direct = openai.OpenAI(
            base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", max_retries=0
        )
        self.client = openai.OpenAI(base_url=f"{self.base}/v1", api_key="none", max_retries=0)

    def test_models(self):
        assert [model.id for model in self.client.models.list()] == ["tiny"]

    def test_whole_answer(self):
        one = self.direct.chat.completions.create(**ASK, max_tokens=24)
        other = self.client.chat.completions.create(**ASK, max_tokens=24)
        assert one.choices[0].message.content == other.choices[0].message.content
        assert other.usage.completion_tokens == 24
        assert one.usage == other.usage

    def test_stream(self):
        one = self.direct.chat.completions.create(**ASK, max_tokens=48)
        stream = self.client.chat.completions.create(**ASK, max_tokens=48, stream=True)
        parts = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
        assert "".join(parts) == one.choices[0].message.content
        assert len(parts) > 10, len(parts)

    def test_stream_with_usage(self):
        stream = self.client.chat.completions.create(
            **ASK, max_tokens=16, stream=True, stream_options={"include_usage": True}
        )
        usages = [chunk.usage for chunk in stream if chunk.usage]
        assert len(usages) == 1 and usages[0].completion_tokens == 16

    def test_unknown_model(self):
        try:
            self.client.chat.completions.create(**{**ASK, "model": "nope"})
        except openai.NotFoundError as error:
            assert "nope" in str(error)
        else:
            raise AssertionError("an unknown model was answered")

    def test_too_long(self):
        try:
            self.client.chat.completions.create(**ASK, max_tokens=100_000, stream=True)
        except openai.BadRequestError as error:
            assert error.status_code == 400
        else:
            raise AssertionError("100,000 tokens were answered")

    def test_cancelled_stream_is_aborted(self):
        """The engine says that the request was aborted, and makes no more of its tokens."""
        tokens = self.server.metric("vllm:generation_tokens_total")
        aborts = self.server.text().count(" aborted.")
        stream = self.client.chat.completions.create(
            **ASK, max_tokens=900, stream=True, extra_body={"min_tokens": 900}
        )
        for count, _ in enumerate(stream):
            if count == 5:
                break
        running = lambda: self.server.metric("vllm:num_requests_running")  # noqa: E731
        wait_until(lambda: running() == 1, 2, "a running request")
        started = time.monotonic()
        stream.close()
        wait_until(lambda: self.server.text().count(" aborted.") == aborts + 1, 2, "the abort")
        took = time.monotonic() - started
        # The gauge follows the engine by a step.
        wait_until(lambda: running() == 0, 2, "no running request")
        made = self.server.metric("vllm:generation_tokens_total") - tokens
        print(f"    aborted {took * 1000:.0f} ms after the client left, {made:.0f} of 900 tokens")
        # 3.8 ms a token: within the time above, and far from the end.
        assert made < 300, made

    def test_64_streams_at_once(self):
        async def one(client, number):
            stream = await client.chat.completions.create(
                model="tiny",
                messages=[{"role": "user", "content": f"Clause {number}"}],
                temperature=0,
                max_tokens=64,
                stream=True,
                stream_options={"include_usage": True},
                extra_body={"min_tokens": 64},
            )
            finish, usage, parts = None, None, 0
            async for chunk in stream:
                usage = chunk.usage or usage
                for choice in chunk.choices:
                    parts += 1
                    finish = choice.finish_reason or finish
            return finish, usage.completion_tokens, parts

        async def all_of_them():
            async with openai.AsyncOpenAI(
                base_url=f"{self.base}/v1", api_key="none", max_retries=0
            ) as client:
                return await asyncio.gather(*(one(client, number) for number in range(64)))

        results = asyncio.run(all_of_them())
        assert all(finish == "length" and tokens == 64 for finish, tokens, _ in results), results
        assert min(parts for _, _, parts in results) > 10

    def test_anthropic_messages(self):
        client = anthropic.Anthropic(base_url=self.base, api_key="none", max_retries=0)
        messages = [{"role": "user", "content": "hi"}]
        with client.messages.stream(model="tiny", max_tokens=12, messages=messages) as stream:
            assert stream.get_final_message().usage.output_tokens == 12
