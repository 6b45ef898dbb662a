// HTTP/1.1: one stream after the other on a connection.

#include "load.h"
#include <ctype.h>
#include <stdio.h>

void http1_send(struct stream *stream) {
    struct conn *conn = stream->conn;
    char head[1024];
    size_t size = (size_t)settings.body;
    int length = snprintf(
        head, sizeof head,
        "%s %s HTTP/1.1\r\nHost: llm.example\r\nUser-Agent: OpenAI/Python 1.55.0\r\n"
        "Accept: application/json\r\n",
        method(), stream->is_slow ? settings.slow_path : settings.path);
    if (size)
        length += snprintf(
            head + length, sizeof head - (size_t)length,
            "Content-Type: application/json\r\nContent-Length: %zu\r\n"
            "Authorization: Bearer sk-0123456789abcdef0123456789abcdef\r\n", size);
    buffer_add(&conn->out, head, (size_t)length);
    buffer_add(&conn->out, "\r\n", 2);
    buffer_add(&conn->out, body, size);
    conn->phase = HEAD;
    conn->in.from = conn->in.to = 0;
    conn_flush(conn);
}

// Reads status and framing of a complete head.
static bool judge_head(struct conn *conn, char *head) {
    if (strncmp(head, "HTTP/1.1 200 ", 13)) {
        fail(conn, "the answer is not 200: %.200s", head);
        return false;
    }
    char *length = strcasestr(head, "\r\ncontent-length:");
    if (strcasestr(head, "\r\ntransfer-encoding: chunked")) {
        conn->phase = SIZE;
        conn->left = 0;
    } else if (length) {
        conn->phase = FIXED;
        conn->left = strtoull(length + 17, NULL, 10);
    } else {
        fail(conn, "an answer without framing: %.200s", head);
        return false;
    }
    return true;
}

// Gathers the head; answers how many bytes belonged to it, or 0 where it was refused.
static size_t take_head(struct conn *conn, const char *bytes, size_t count) {
    size_t before = conn->in.to;
    buffer_add(&conn->in, bytes, count);
    buffer_add(&conn->in, "", 1);
    conn->in.to--;
    char *end = strstr(conn->in.bytes, "\r\n\r\n");
    if (!end) return count;
    end[2] = 0;
    size_t used = (size_t)(end + 4 - conn->in.bytes) - before;
    bool is_good = judge_head(conn, conn->in.bytes);
    conn->in.from = conn->in.to = 0;
    return is_good ? used : 0;
}

// One byte of a chunk's size line; extensions are none of the backend's.
static bool take_size(struct conn *conn, char byte) {
    if (byte == '\n') {
        conn->phase = conn->left ? CHUNK : LAST_LINE;
    } else if (isxdigit((unsigned char)byte)) {
        conn->left = conn->left << 4 | (uint64_t)(byte <= '9' ? byte - '0' : (byte & 7) + 9);
    } else if (byte != '\r') {
        fail(conn, "a chunk's size with the byte %d in it", byte);
        return false;
    }
    return true;
}

bool http1_take(struct conn *conn, const char *bytes, size_t count, uint64_t now) {
    while (count) {
        struct stream *stream = conn->streams;
        if (!stream) {
            fail(conn, "bytes behind the end of an answer");
            return false;
        }
        size_t step = 1;
        bool is_over = false;
        switch (conn->phase) {
        case HEAD:
            if (!(step = take_head(conn, bytes, count))) return false;
            is_over = conn->phase == FIXED && !conn->left;
            break;
        case SIZE:
            if (!take_size(conn, *bytes)) return false;
            break;
        case LINE_END:
            if (*bytes != '\n') break;
            conn->phase = SIZE;
            conn->left = 0;
            break;
        case LAST_LINE:
            is_over = *bytes == '\n';
            break;
        case CHUNK:
        case FIXED:
            step = conn->left < count ? conn->left : count;
            if (!stream_body(stream, bytes, step, now)) return false;
            conn->left -= step;
            if (conn->left) break;
            is_over = conn->phase == FIXED;
            conn->phase = LINE_END;
            break;
        }
        bytes += step;
        count -= step;
        if (is_over) {
            conn->phase = HEAD;
            stream_ended(stream, NULL);
            if (conn->state == DEAD) return false;
        }
    }
    return true;
}
