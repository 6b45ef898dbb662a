// engine: an inference engine as the router's benchmark needs it: vLLM's events at a pace, each
// with the counts so far where the request asks for them. Plaintext HTTP/1.1 on 127.0.0.1, one
// thread.
//
//   engine PORT CORE
//
// The content of a message says how: ?rate=R&n=N&batch=B, R events a second of this stream (0: as
// fast as they are taken), N events (16), B events a write (1). Every event of a stream is the same
// but for '@' and 16 hexadecimal digits of CLOCK_MONOTONIC ns, as the load client has it.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 1 << 16, SLOTS = 8192, LONGEST = 1024 };
static const uint64_t TICK = 1000000; // 1 ms

struct conn {
    int fd;
    char in[ROOM];
    size_t got;
    bool is_streaming, wants_out, counts, tells_total, is_dead, is_waiting;
    long n, sent, batch;
    uint64_t period, due;
    char *out;
    size_t from, to, room;
    struct conn *next;
};
static struct conn *wheel[SLOTS];
static uint64_t present;
static int poll_fd;

static uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void wait_for(struct conn *conn) {
    uint64_t tick = conn->due / TICK;
    if (tick <= present) tick = present + 1;
    if (tick - present >= SLOTS) tick = present + SLOTS - 1;
    conn->next = wheel[tick % SLOTS];
    conn->is_waiting = true;
    wheel[tick % SLOTS] = conn;
}

static void watch_out(struct conn *conn, bool wants) {
    if (conn->wants_out == wants) return;
    conn->wants_out = wants;
    struct epoll_event event = {
        .events = EPOLLIN | (wants ? EPOLLOUT : 0), .data.ptr = conn};
    epoll_ctl(poll_fd, EPOLL_CTL_MOD, conn->fd, &event);
}

static void end(struct conn *conn) {
    if (conn->fd >= 0) close(conn->fd);
    conn->fd = -1;
    conn->is_dead = true;
    // One that waits for its time is freed then.
    if (conn->is_waiting) return;
    free(conn->out);
    free(conn);
}

static void flush(struct conn *conn) {
    while (conn->from < conn->to) {
        ssize_t count = send(conn->fd, conn->out + conn->from, conn->to - conn->from, MSG_NOSIGNAL);
        if (count < 0) {
            if (errno != EAGAIN) conn->is_dead = true;
            break;
        }
        conn->from += (size_t)count;
    }
    if (conn->from == conn->to) conn->from = conn->to = 0;
    // One without a pace goes on as soon as more is taken.
    if (!conn->is_dead) watch_out(conn, conn->to > 0 || (conn->is_streaming && !conn->period));
}

static void add(struct conn *conn, const char *bytes, size_t count) {
    if (conn->to + count > conn->room) {
        conn->room = (conn->to + count) * 2;
        conn->out = realloc(conn->out, conn->room);
    }
    memcpy(conn->out + conn->to, bytes, count);
    conn->to += count;
}

static void chunk(struct conn *conn, const char *bytes, int count) {
    char size[16];
    add(conn, size, (size_t)sprintf(size, "%x\r\n", count));
    add(conn, bytes, (size_t)count);
    add(conn, "\r\n", 2);
}

static const char HEAD[] = "data: {\"id\":\"chatcmpl-0123456789abcdef\",\"object\":"
                           "\"chat.completion.chunk\",\"created\":1763900000,\"model\":\"m\","
                           "\"choices\":[";

static void token(struct conn *conn) {
    char event[LONGEST];
    conn->sent++;
    int count = sprintf(
        event, "%s{\"index\":0,\"delta\":{\"content\":\" @%016llx abcdefghijklmnopqrstuvwxyz"
               "abcdefgh\"},\"logprobs\":null,\"finish_reason\":null,\"token_ids\":null}]",
        HEAD, (unsigned long long)now_ns());
    if (conn->counts)
        count += sprintf(
            event + count, ",\"usage\":{\"prompt_tokens\":36,\"total_tokens\":%ld,"
                           "\"completion_tokens\":%ld,\"completion_tokens_details\":null}",
            36 + conn->sent, conn->sent);
    count += sprintf(event + count, "}\n\n");
    chunk(conn, event, count);
}

static void finish(struct conn *conn) {
    char event[LONGEST];
    if (conn->tells_total)
        chunk(conn, event,
              sprintf(event, "%s],\"usage\":{\"prompt_tokens\":36,\"total_tokens\":%ld,"
                             "\"completion_tokens\":%ld}}\n\n",
                      HEAD, 36 + conn->sent, conn->sent));
    chunk(conn, "data: [DONE]\n\n", 14);
    add(conn, "0\r\n\r\n", 5);
    conn->is_streaming = false;
}

static void produce(struct conn *conn) {
    long most = conn->period ? conn->batch : conn->batch > 64 ? conn->batch : 64;
    for (long i = 0; i < most && conn->is_streaming; i++) {
        token(conn);
        if (conn->n && conn->sent >= conn->n) finish(conn);
    }
    flush(conn);
}

static long number(const char *text, const char *name, long usual) {
    const char *found = strstr(text, name);
    return found ? atol(found + strlen(name)) : usual;
}

static void begin(struct conn *conn, const char *body) {
    const char *how = strchr(body, '?');
    conn->n = how ? number(how, "&n=", 16) : 16;
    conn->batch = how ? number(how, "&batch=", 1) : 1;
    long rate = how ? number(how, "?rate=", 200) : 200;
    conn->period = rate ? 1000000000u / (uint64_t)rate * (uint64_t)conn->batch : 0;
    conn->counts = strstr(body, "\"continuous_usage_stats\":true");
    conn->tells_total = strstr(body, "\"include_usage\":true");
    conn->sent = 0;
    conn->is_streaming = true;
    static const char head[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; "
                               "charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";
    add(conn, head, sizeof head - 1);
    if (!conn->period) return produce(conn);
    // Each stream has a phase of its own.
    conn->due = now_ns() + conn->period * (uint64_t)(rand() % 1000) / 1000;
    flush(conn);
    wait_for(conn);
}

static void requests(struct conn *conn) {
    while (conn->got && !conn->is_streaming && !conn->is_dead) {
        conn->in[conn->got] = 0;
        char *blank = strstr(conn->in, "\r\n\r\n");
        if (!blank) return;
        char *field = strcasestr(conn->in, "\r\ncontent-length:");
        size_t size = field && field < blank ? (size_t)atol(field + 17) : 0;
        size_t whole = (size_t)(blank + 4 - conn->in) + size;
        if (whole >= ROOM) conn->is_dead = true;
        if (conn->got < whole || conn->is_dead) return;
        char *body = strndup(blank + 4, size);
        if (!strncmp(conn->in, "POST ", 5)) {
            begin(conn, body);
        } else {
            static const char ok[] = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
            add(conn, ok, sizeof ok - 1);
            flush(conn);
        }
        free(body);
        memmove(conn->in, conn->in + whole, conn->got - whole);
        conn->got -= whole;
    }
}

static void ready(struct conn *conn, unsigned events) {
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        ssize_t count = recv(conn->fd, conn->in + conn->got, ROOM - 1 - conn->got, 0);
        if (count == 0 || (count < 0 && errno != EAGAIN)) return end(conn);
        if (count > 0) conn->got += (size_t)count;
        requests(conn);
    }
    if (!conn->is_dead && events & EPOLLOUT) {
        flush(conn);
        if (conn->to == 0 && conn->is_streaming && !conn->period) produce(conn);
        if (!conn->is_streaming) requests(conn);
    }
    if (conn->is_dead) end(conn);
}

static void turn(uint64_t now) {
    for (uint64_t tick = now / TICK; present < tick;) {
        present++;
        struct conn *conn = wheel[present % SLOTS];
        wheel[present % SLOTS] = NULL;
        while (conn) {
            struct conn *next = conn->next;
            conn->is_waiting = false;
            if (conn->is_dead) {
                end(conn);
            } else {
                // Who does not read is not written to for ever.
                if (conn->to < ROOM) produce(conn);
                conn->due += conn->period;
                if (conn->is_dead) end(conn);
                else if (conn->is_streaming) wait_for(conn);
                else requests(conn);
            }
            conn = next;
        }
    }
}

int main(int count, char **words) {
    if (count != 3) return 2;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(atoi(words[2]), &set);
    sched_setaffinity(0, sizeof set, &set);
    signal(SIGPIPE, SIG_IGN);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(words[1])),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, 4096)) return 1;
    poll_fd = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &event);
    present = now_ns() / TICK;
    for (;;) {
        struct epoll_event events[512];
        int found = epoll_wait(poll_fd, events, 512, 1);
        for (int i = 0; i < found; i++) {
            if (events[i].data.ptr) {
                ready(events[i].data.ptr, events[i].events);
                continue;
            }
            int fd;
            while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                struct conn *conn = calloc(1, sizeof *conn);
                conn->fd = fd;
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
                struct epoll_event added = {.events = EPOLLIN, .data.ptr = conn};
                epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &added);
            }
        }
        turn(now_ns());
    }
}
