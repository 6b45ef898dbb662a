// What the parts of the load client share. One thread, so that state is plain.

#pragma once
#define _GNU_SOURCE
#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum mode { STREAMS, RATE, HANDSHAKES, IDLE, DOWNLOAD };

// What a connection carries.
enum use { CALLER, RESETS, TRICKLE };

struct settings {
    enum mode mode;
    int port, conns, streams, core, backend, at_once, pids[64], pid_count;
    bool attested, asks_nothing, leases, stops, http1, plain, waits;
    const char *path, *slow_path, *identity;
    double window, warm, per_second, resets, trickle;
    long tokens, body, event, again;
    int slow, stalled;
};
extern struct settings settings;

// Latencies in ns: 32 sub-buckets for each power of two, 3 %.
enum { BUCKETS = 64 * 40 };
struct histogram {
    uint64_t count[BUCKETS], all, most;
};
void histogram_add(struct histogram *, uint64_t value);
double histogram_us(const struct histogram *, double quantile);

struct buffer {
    char *bytes;
    size_t from, to, room;
};
void buffer_add(struct buffer *, const void *bytes, size_t count);

// The events of one answer, each held against the first.
struct events {
    char *event;
    int length, time_at, at;
    long tokens;
    uint64_t time, last;
    bool is_measured, is_last, is_over;
};
// Takes the next bytes; answers what is wrong with them, or NULL.
const char *events_take(struct events *, const char *bytes, size_t count, uint64_t now);
void events_free(struct events *);

// One request and its answer.
struct stream {
    struct conn *conn;
    struct stream *next;
    int32_t id;
    bool is_slow, has_status, is_over;
    uint64_t began;
    size_t sent;       // Of the request's body.
    uint64_t received; // Of the answer's body, where it is not events.
    struct events events;
};

enum state { CONNECTING, SHAKING, EXCHANGING, OPEN, DEAD };

struct conn {
    int fd, number;
    enum state state;
    enum use use;
    bool wants_out, is_ending, is_inside;
    uint64_t used;
    SSL *ssl;
    struct buffer in, out;
    nghttp2_session *http2;
    struct stream *streams;
    int active;
    // HTTP/1.1: what comes next, and how much of it.
    enum { HEAD, SIZE, CHUNK, LINE_END, LAST_LINE, FIXED } phase;
    uint64_t left;
    // Hostile connections: the next stream, the last one opened and not yet reset, bytes begun.
    uint32_t next_id, last_id;
    double due;
    size_t block_at;
};

// Counters of the whole run; those of the window are differences.
struct counts {
    uint64_t tokens, bytes, requests, handshakes, records, deferred, resets, header_bytes;
    int errors, begun, beside, answered, in_progress, open, reconnects;
};
extern struct counts counts;
extern struct histogram latency, first_token;
extern bool is_window, must_stop;

uint64_t now_ns(void);
void fail(struct conn *, const char *format, ...) __attribute__((format(printf, 2, 3)));

// connection.c
void connections_begin(void);
void conn_start(struct conn *);
void conn_ready(struct conn *, unsigned events);
void conn_flush(struct conn *);
void conn_close(struct conn *, bool in_order);
extern int poll_fd;

// exchange.c
void exchange_begin(struct conn *);
// Takes what came; true once the server's Evidence is complete and the answer is on its way.
bool exchange_take(struct conn *);

// requests.c: what is common to both versions.
void stream_open(struct conn *, bool is_measured, bool is_slow);
void streams_open(struct conn *);
bool stream_body(struct stream *, const char *bytes, size_t count, uint64_t now);
void stream_ended(struct stream *, const char *trouble);
void conn_opened(struct conn *);
bool is_room(struct conn *);
const char *method(void);
extern char *body;

// http1.c and http2.c: bytes of `in` go to the streams; what is to be sent goes to `out`.
void http1_send(struct stream *);
bool http1_take(struct conn *, const char *bytes, size_t count, uint64_t now);
void http2_begin(struct conn *);
void http2_send(struct stream *);
bool http2_take(struct conn *, const char *bytes, size_t count, uint64_t now);
void http2_pump(struct conn *);

// hostile.c
void hostile_begin(struct conn *);
void hostile_tick(struct conn *, uint64_t now);

// accounting.c
double cpu_of(int pid);
double cpu_charged(void);
long memory_charged(void);
