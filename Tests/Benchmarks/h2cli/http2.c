// HTTP/2 by nghttp2: many streams on a connection, windows granted as answers are read.

#include "load.h"
#include <stdio.h>

// One stream may be 1 MiB ahead, as in the peers' settings; the connection is never what waits.
enum { STREAM_WINDOW = 1 << 20, CONNECTION_WINDOW = 1 << 30, PENDING = 1 << 17 };

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
                   size_t count, void *owner) {
    struct stream *stream = nghttp2_session_get_stream_user_data(session, id);
    struct conn *conn = owner;
    (void)flags;
    // A slow reader takes what has come and grants nothing.
    if (stream && stream->is_slow) nghttp2_session_consume_connection(session, count);
    else nghttp2_session_consume(session, id, count);
    if (!stream || stream_body(stream, (const char *)bytes, count, conn->used)) return 0;
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_field(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                    size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                    void *owner) {
    (void)flags;
    if (name_size != 7 || memcmp(name, ":status", 7)) return 0;
    struct stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (!stream) return 0;
    stream->has_status = value_size == 3 && !memcmp(value, "200", 3);
    if (stream->has_status) return 0;
    fail(owner, "the answer is not 200 but %.*s", (int)value_size, value);
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *owner) {
    (void)owner;
    if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) return 0;
    struct stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (stream) stream->is_over = true;
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *owner) {
    struct stream *stream = nghttp2_session_get_stream_user_data(session, id);
    (void)owner;
    if (!stream) return 0;
    char trouble[64] = "a stream without an end";
    if (code) snprintf(trouble, sizeof trouble, "reset with the code %u", code);
    bool is_good = !code && stream->is_over && stream->has_status;
    stream_ended(stream, is_good ? NULL : trouble);
    return 0;
}

static ssize_t give_body(nghttp2_session *session, int32_t id, uint8_t *bytes, size_t room,
                               uint32_t *flags, nghttp2_data_source *source, void *owner) {
    (void)session, (void)id, (void)owner;
    struct stream *stream = source->ptr;
    size_t left = (size_t)settings.body - stream->sent, step = left < room ? left : room;
    memcpy(bytes, body + stream->sent, step);
    stream->sent += step;
    if (step == left) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)step;
}

void http2_begin(struct conn *conn) {
    static nghttp2_session_callbacks *callbacks;
    static nghttp2_option *option;
    if (!callbacks) {
        nghttp2_session_callbacks_new(&callbacks);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
        nghttp2_session_callbacks_set_on_header_callback(callbacks, on_field);
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
        nghttp2_option_new(&option);
        nghttp2_option_set_no_auto_window_update(option, 1);
    }
    nghttp2_session_client_new2(&conn->http2, callbacks, conn, option);
    nghttp2_settings_entry entries[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW}};
    nghttp2_submit_settings(conn->http2, NGHTTP2_FLAG_NONE, entries, 2);
    nghttp2_session_set_local_window_size(conn->http2, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW);
}

#define FIELD(name, value, length)                                                               \
    {(uint8_t *)(name), (uint8_t *)(value), sizeof(name) - 1, (length),                          \
     NGHTTP2_NV_FLAG_NO_COPY_NAME}

void http2_send(struct stream *stream) {
    const char *path = stream->is_slow ? settings.slow_path : settings.path, *verb = method();
    char length[24];
    int digits = snprintf(length, sizeof length, "%zu", (size_t)settings.body);
    nghttp2_nv fields[] = {
        FIELD(":method", verb, strlen(verb)),
        FIELD(":scheme", "https", 5),
        FIELD(":authority", "llm.example", 11),
        FIELD(":path", path, strlen(path)),
        FIELD("user-agent", "OpenAI/Python 1.55.0", 20),
        FIELD("accept", "application/json", 16),
        FIELD("content-type", "application/json", 16),
        FIELD("content-length", length, (size_t)digits),
        FIELD("authorization", "Bearer sk-0123456789abcdef0123456789abcdef", 42),
    };
    size_t count = (size_t)settings.body ? sizeof fields / sizeof *fields : 6;
    nghttp2_data_provider provider = {.source.ptr = stream, .read_callback = give_body};
    stream->id = nghttp2_submit_request(stream->conn->http2, NULL, fields, count,
                                        (size_t)settings.body ? &provider : NULL, stream);
    if (stream->id < 0) fail(stream->conn, "no more streams: %s", nghttp2_strerror(stream->id));
}

bool http2_take(struct conn *conn, const char *bytes, size_t count, uint64_t now) {
    nghttp2_session *session = conn->http2;
    conn->used = now;
    conn->is_inside = true;
    ssize_t used = nghttp2_session_mem_recv(session, (const uint8_t *)bytes, count);
    conn->is_inside = false;
    if (conn->state == DEAD) {
        nghttp2_session_del(session);
        return false;
    }
    if (used == (ssize_t)count) return true;
    fail(conn, "frames that nghttp2 refuses: %s", nghttp2_strerror((int)used));
    return false;
}

// Moves frames that wait to `out`, as long as that is short.
void http2_pump(struct conn *conn) {
    while (conn->out.to - conn->out.from < PENDING) {
        const uint8_t *bytes;
        ssize_t count = nghttp2_session_mem_send(conn->http2, &bytes);
        if (count <= 0) return;
        buffer_add(&conn->out, bytes, (size_t)count);
    }
}
