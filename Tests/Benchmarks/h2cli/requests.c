// Requests and their answers, whatever the version of HTTP.

#include "load.h"
#include <stdio.h>

char *body;

// Streams of tokens are asked for with a prompt, everything else without.
static bool is_prompt(void) { return settings.mode == STREAMS || settings.mode == RATE; }

const char *method(void) { return is_prompt() ? "POST" : "GET"; }

// Whether one more stream may begin: one after the other in HTTP/1.1, else as many as the server
// allows.
bool is_room(struct conn *conn) {
    if (conn->state != OPEN || conn->use != CALLER) return false;
    if (settings.http1) return conn->active == 0;
    return (uint32_t)conn->active < nghttp2_session_get_remote_settings(
        conn->http2, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

void stream_open(struct conn *conn, bool is_measured, bool is_slow) {
    struct stream *stream = calloc(1, sizeof *stream);
    stream->conn = conn;
    stream->is_slow = is_slow;
    stream->events.is_measured = is_measured;
    stream->began = conn->used = now_ns();
    stream->next = conn->streams;
    conn->streams = stream;
    conn->active++;
    if (settings.http1) http1_send(stream);
    else http2_send(stream);
}

// The measured streams of one connection.
void streams_open(struct conn *conn) {
    for (int i = 0; i < settings.streams && conn->state == OPEN; i++) {
        stream_open(conn, true, false);
    }
    if (conn->http2) http2_pump(conn);
    conn_flush(conn);
}

// A connection stands: what its first request is depends on what is measured.
void conn_opened(struct conn *conn) {
    if (conn->use != CALLER) return hostile_begin(conn);
    if (settings.mode == HANDSHAKES) {
        conn_flush(conn);
        return conn_close(conn, true);
    }
    if (!settings.http1) http2_begin(conn);
    if (settings.mode == RATE) return;
    for (int i = 0; i < settings.slow; i++) stream_open(conn, false, true);
    for (int i = 0; i < settings.stalled; i++) stream_open(conn, false, false);
    if (settings.waits) return;
    if (settings.mode == STREAMS) streams_open(conn);
    else stream_open(conn, true, false);
}

static const char *bytes_take(struct stream *stream, const char *bytes, size_t count) {
    static char filler[1 << 16];
    if (!*filler) memset(filler, 'x', sizeof filler);
    if (settings.mode == DOWNLOAD && memcmp(bytes, filler, count)) return "a byte was changed";
    if (settings.mode == IDLE && (stream->received + count > 2
                                  || memcmp(bytes, &"{}"[stream->received], count)))
        return "another answer than {}";
    stream->received += count;
    return NULL;
}

// Takes a piece of an answer's body, at most 64 KiB; false where the stream has failed for it.
bool stream_body(struct stream *stream, const char *bytes, size_t count, uint64_t now) {
    const char *trouble;
    if (is_prompt()) {
        bool is_first = !stream->events.tokens;
        trouble = events_take(&stream->events, bytes, count, now);
        if (is_first && stream->events.tokens) {
            if (!stream->events.is_measured) counts.beside++;
            else counts.begun++;
            if (is_window && stream->events.is_measured)
                histogram_add(&first_token, now - stream->began);
        }
    } else {
        trouble = bytes_take(stream, bytes, count);
    }
    if (!trouble) return true;
    fail(stream->conn, "stream %d, %ld tokens: %s", stream->id, stream->events.tokens, trouble);
    return false;
}

static const char *judge_end(struct stream *stream) {
    if (settings.mode == IDLE) return stream->received == 2 ? NULL : "an answer cut short";
    if (settings.mode == DOWNLOAD)
        return stream->received == (uint64_t)settings.tokens ? NULL : "a download cut short";
    return stream->events.is_over ? NULL : "a stream that ended before its last event";
}

// The stream is over, in order where there was no `trouble`.
void stream_ended(struct stream *stream, const char *trouble) {
    struct conn *conn = stream->conn;
    struct stream **place = &conn->streams;
    while (*place != stream) place = &(*place)->next;
    *place = stream->next;
    conn->active--;
    if (!trouble) trouble = judge_end(stream);
    bool is_ending = conn->is_ending, is_measured = stream->events.is_measured;
    if (trouble && !is_ending)
        fail(NULL, "connection %d, stream %d, %ld tokens: %s", conn->number, stream->id,
             stream->events.tokens, trouble);
    events_free(&stream->events);
    free(stream);
    if (trouble || is_ending) return;
    counts.requests++;
    counts.answered++;
    if (settings.mode == STREAMS && is_measured && !must_stop) stream_open(conn, true, false);
}
