"""An inference engine that speaks as vLLM does, at a pace and with faults that the tests choose.

    python3 engine.py --port 8000 --model tiny --pace 0.01

What it answers follows from the request alone, so that two of them answer alike: word after word
of the last message, told again until `max_tokens`. Its counts are exact: a word is a token.
"""

import argparse
import http.server
import itertools
import json
import socketserver
import threading
import time


class Engine:
    """`faults` may be: "die" (cut a stream after some pieces), "busy" (503), "hold" (all pieces at
    once), "slow" (seconds before the first), "inflate" (counts twice as many), "linger" (seconds
    between the last event and the body's end)."""

    def __init__(self, port=0, model="tiny", pace=0.0, context=4096):
        self.model, self.pace, self.context = model, pace, context
        self.faults, self.waiting, self.requests, self.open = {}, 0, [], 0
        self.lock = threading.Lock()
        engine = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_):
                pass

            def do_GET(self):
                engine.get(self)

            def do_POST(self):
                engine.post(self)

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads, allow_reuse_address, request_queue_size = True, True, 1024

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    # What it is asked.

    def get(self, to):
        if to.path == "/v1/models":
            item = {"id": self.model, "object": "model", "created": 1, "owned_by": "engine",
                    "max_model_len": self.context}
            return answer(to, 200, {"object": "list", "data": [item]})
        if to.path == "/metrics":
            text = f'vllm:num_requests_waiting{{model_name="{self.model}"}} {self.waiting}.0\n'
            return send(to, 200, "text/plain", text.encode())
        if to.path == "/health":
            return send(to, 200, "text/plain", b"")
        return answer(to, 404, {"detail": "Not Found"})

    def post(self, to):
        raw = to.rfile.read(int(to.headers["content-length"]))
        try:
            body = json.loads(raw)
        except ValueError:
            return failure(to, 400, "the body is no JSON", "BadRequestError")
        with self.lock:
            self.requests.append((to.path, dict(to.headers), body))
            self.open += 1
        try:
            self.infer(to, body)
        finally:
            with self.lock:
                self.open -= 1

    def infer(self, to, body):
        if "busy" in self.faults:
            return failure(to, 503, "the engine is starting", "ServiceUnavailableError")
        time.sleep(self.faults.get("slow", 0))
        words = text_of(body).split() or ["nothing"]
        most = body.get("max_tokens") or body.get("max_completion_tokens") \
            or body.get("max_output_tokens") or 16
        if body.get("model") != self.model:
            return failure(to, 404, f"The model `{body.get('model')}` does not exist.",
                           "NotFoundError")
        if len(words) + most > self.context:
            return failure(
                to, 400, f"This model's maximum context length is {self.context} tokens. However, "
                f"you requested {len(words) + most} tokens.", "BadRequestError", "input_tokens")
        pieces = [f" {word}" for word in itertools.islice(itertools.cycle(words), most)]
        kind = {"/v1/chat/completions": self.chat, "/v1/completions": self.completions,
                "/v1/embeddings": self.embeddings, "/v1/responses": self.responses,
                "/v1/messages": self.messages}.get(to.path)
        if kind is None:
            return answer(to, 404, {"detail": "Not Found"})
        kind(to, body, words, pieces)

    # What it answers.

    def usage(self, words, count):
        count *= 2 if "inflate" in self.faults else 1
        return {"prompt_tokens": len(words), "total_tokens": len(words) + count,
                "completion_tokens": count, "prompt_tokens_details": {"cached_tokens": 0}}

    def chat(self, to, body, words, pieces):
        head = {"id": "chatcmpl-1", "created": 1, "model": self.model}
        if not body.get("stream"):
            time.sleep(self.pace * len(pieces))
            message = {"role": "assistant", "content": "".join(pieces)}
            if body.get("tools"):
                name = body["tools"][0]["function"]["name"]
                message = {"role": "assistant", "content": None, "tool_calls": [
                    {"id": "call-1", "type": "function",
                     "function": {"name": name, "arguments": json.dumps({"words": pieces})}}]}
            return answer(to, 200, head | {
                "object": "chat.completion",
                "choices": [{"index": 0, "message": message, "finish_reason": "length"}],
                "usage": self.usage(words, len(pieces))})

        def piece(text, end=None):
            return head | {"object": "chat.completion.chunk", "choices": [
                {"index": 0, "delta": {"content": text}, "finish_reason": end}]}
        self.stream(to, body, words, [piece(text) for text in pieces[:-1]]
                    + [piece(pieces[-1], "length")],
                    head | {"object": "chat.completion.chunk", "choices": []})

    def completions(self, to, body, words, pieces):
        head = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": self.model}
        if not body.get("stream"):
            time.sleep(self.pace * len(pieces))
            return answer(to, 200, head | {
                "choices": [{"index": 0, "text": "".join(pieces), "finish_reason": "length"}],
                "usage": self.usage(words, len(pieces))})

        def piece(text, end=None):
            return head | {"choices": [{"index": 0, "text": text, "finish_reason": end}]}
        self.stream(to, body, words, [piece(text) for text in pieces[:-1]]
                    + [piece(pieces[-1], "length")], head | {"choices": []})

    def stream(self, to, body, words, events, last):
        options = body.get("stream_options") or {}
        always = options.get("continuous_usage_stats")
        with Chunks(to) as chunks:
            for number, event in enumerate(events, 1):
                if "hold" not in self.faults:
                    time.sleep(self.pace)
                elif number == 1:
                    time.sleep(self.pace * len(events))
                if number > self.faults.get("die", len(events)):
                    return chunks.cut()
                if always:
                    event["usage"] = self.usage(words, number)
                chunks.event(json.dumps(event, separators=(",", ":")))
            if options.get("include_usage"):
                chunks.event(json.dumps(last | {"usage": self.usage(words, len(events))},
                                        separators=(",", ":")))
            chunks.event("[DONE]")
            time.sleep(self.faults.get("linger", 0))

    def embeddings(self, to, body, words, pieces):
        answer(to, 200, {
            "object": "list", "model": self.model,
            "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -0.25, len(words)]}],
            "usage": {"prompt_tokens": len(words), "total_tokens": len(words)}})

    def responses(self, to, body, words, pieces):
        usage = {"input_tokens": len(words), "output_tokens": len(pieces),
                 "total_tokens": len(words) + len(pieces),
                 "input_tokens_details": {"cached_tokens": 0},
                 "output_tokens_details": {"reasoning_tokens": 0}}
        text = "".join(pieces)
        item = {"type": "message", "id": "msg-1", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": text, "annotations": []}]}
        whole = {"id": "resp-1", "object": "response", "created_at": 1, "status": "completed",
                 "model": self.model, "output": [item], "parallel_tool_calls": False,
                 "tool_choice": "auto", "tools": [], "usage": usage}
        if not body.get("stream"):
            return answer(to, 200, whole)
        with Chunks(to) as chunks:
            begun = whole | {"status": "in_progress", "output": [], "usage": None}
            chunks.typed({"type": "response.created", "response": begun, "sequence_number": 0})
            for number, piece in enumerate(pieces, 1):
                time.sleep(self.pace)
                chunks.typed({"type": "response.output_text.delta", "item_id": "msg-1",
                              "output_index": 0, "content_index": 0, "delta": piece,
                              "logprobs": [], "sequence_number": number})
            chunks.typed({"type": "response.completed", "response": whole,
                          "sequence_number": len(pieces) + 1})

    def messages(self, to, body, words, pieces):
        whole = {"id": "msg-1", "type": "message", "role": "assistant", "model": self.model,
                 "content": [{"type": "text", "text": "".join(pieces)}],
                 "stop_reason": "max_tokens", "stop_sequence": None,
                 "usage": {"input_tokens": len(words), "output_tokens": len(pieces)}}
        if not body.get("stream"):
            return answer(to, 200, whole)
        with Chunks(to) as chunks:
            begun = whole | {"content": [], "stop_reason": None,
                             "usage": {"input_tokens": len(words), "output_tokens": 0}}
            chunks.typed({"type": "message_start", "message": begun})
            chunks.typed({"type": "content_block_start", "index": 0,
                          "content_block": {"type": "text", "text": ""}})
            for piece in pieces:
                time.sleep(self.pace)
                chunks.typed({"type": "content_block_delta", "index": 0,
                              "delta": {"type": "text_delta", "text": piece}})
            chunks.typed({"type": "content_block_stop", "index": 0})
            chunks.typed({"type": "message_delta",
                          "delta": {"stop_reason": "max_tokens", "stop_sequence": None},
                          "usage": {"output_tokens": len(pieces)}})
            chunks.typed({"type": "message_stop"})


class Chunks:
    """A chunked stream of events."""

    def __init__(self, to):
        self.to, self.is_cut = to, False

    def __enter__(self):
        self.to.send_response(200)
        self.to.send_header("content-type", "text/event-stream; charset=utf-8")
        self.to.send_header("transfer-encoding", "chunked")
        self.to.end_headers()
        return self

    def event(self, data):
        self.write(f"data: {data}\n\n".encode())

    def typed(self, data):
        self.write(f"event: {data['type']}\ndata: {json.dumps(data)}\n\n".encode())

    def write(self, data):
        self.to.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def cut(self):
        self.is_cut = True
        self.to.close_connection = True

    def __exit__(self, kind, *_):
        if kind is None and not self.is_cut:
            self.to.wfile.write(b"0\r\n\r\n")
        return kind is not None and issubclass(kind, OSError)


def text_of(body):
    """The words that are asked for: of the last message, prompt or input."""
    if body.get("messages"):
        content = body["messages"][-1].get("content") or ""
        if isinstance(content, list):
            content = " ".join(part.get("text", "") for part in content)
        return content
    found = body.get("prompt") or body.get("input") or ""
    return " ".join(map(str, found)) if isinstance(found, list) else found


def answer(to, status, value):
    send(to, status, "application/json", json.dumps(value, separators=(",", ":")).encode())


def failure(to, status, message, kind, param=None):
    answer(to, status, {"error": {"message": message, "type": kind, "param": param,
                                  "code": status}})


def send(to, status, kind, body):
    to.send_response(status)
    to.send_header("content-type", kind)
    to.send_header("content-length", str(len(body)))
    to.end_headers()
    to.wfile.write(body)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--pace", type=float, default=0.0)
    parser.add_argument("--die", type=int)
    words = parser.parse_args()
    made = Engine(words.port, words.model, words.pace)
    if words.die:
        made.faults["die"] = words.die
    print(made.port, flush=True)
    threading.Event().wait()
