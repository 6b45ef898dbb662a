// Connections: TCP, TLS 1.3, the exchange where one is asked for, then bytes for HTTP.

#include "load.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ = 1 << 16, READS_AT_ONCE = 64, MOST_ERRORS = 200 };
int poll_fd;
static SSL_CTX *context;

void buffer_add(struct buffer *buffer, const void *bytes, size_t count) {
    if (buffer->from == buffer->to) buffer->from = buffer->to = 0;
    if (buffer->to + count > buffer->room) {
        buffer->room = 2 * (buffer->to + count);
        buffer->bytes = realloc(buffer->bytes, buffer->room);
    }
    memcpy(buffer->bytes + buffer->to, bytes, count);
    buffer->to += count;
}

// The first words of the first trouble are printed; every one is counted.
void fail(struct conn *conn, const char *format, ...) {
    if (conn && conn->is_ending) return;
    // What is hostile is thrown out, and comes again.
    if (conn && conn->use != CALLER && conn->state == OPEN) return conn_close(conn, false);
    if (counts.errors++ == 0) {
        va_list words;
        va_start(words, format);
        fprintf(stderr, "h2cli: connection %d: ", conn ? conn->number : -1);
        vfprintf(stderr, format, words);
        fputc('\n', stderr);
        ERR_print_errors_fp(stderr);
        va_end(words);
    }
    if (counts.errors > MOST_ERRORS) must_stop = true;
    if (conn) conn_close(conn, false);
}

static const char *protocols(void) {
    if (settings.attested) return settings.http1 ? "\x10ratel/1+http/1.1" : "\x0aratel/1+h2";
    return settings.http1 ? "\x08http/1.1" : "\x02h2";
}

void connections_begin(void) {
    poll_fd = epoll_create1(0);
    context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
    SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256");
    SSL_CTX_set1_groups_list(context, "X25519");
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_default_read_buffer_len(context, READ);
    SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
                                  | SSL_MODE_RELEASE_BUFFERS);
    // A key and its certificate, for servers that ask for one.
    if (settings.identity
        && (SSL_CTX_use_certificate_chain_file(context, settings.identity) != 1
            || SSL_CTX_use_PrivateKey_file(context, settings.identity, SSL_FILETYPE_PEM) != 1)) {
        ERR_print_errors_fp(stderr);
        exit(2);
    }
    const char *names = protocols();
    SSL_CTX_set_alpn_protos(context, (const unsigned char *)names, (unsigned)strlen(names));
}

static void watch(struct conn *conn, bool out) {
    if (conn->wants_out == out) return;
    conn->wants_out = out;
    struct epoll_event event = {.events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = conn};
    epoll_ctl(poll_fd, EPOLL_CTL_MOD, conn->fd, &event);
}

void conn_start(struct conn *conn) {
    int one = 1;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)settings.port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    conn->state = CONNECTING;
    conn->is_ending = false;
    conn->wants_out = true;
    conn->active = 0;
    conn->phase = HEAD;
    conn->used = now_ns();
    conn->in.from = conn->in.to = conn->out.from = conn->out.to = 0;
    counts.in_progress++;
    if (!settings.plain) {
        conn->ssl = SSL_new(context);
        SSL_set_fd(conn->ssl, conn->fd);
        SSL_set_read_ahead(conn->ssl, 1);
        SSL_set_connect_state(conn->ssl);
    }
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = conn};
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, conn->fd, &event);
    if (connect(conn->fd, (void *)&address, sizeof address) && errno != EINPROGRESS)
        fail(conn, "connect: %s", strerror(errno));
}

void conn_close(struct conn *conn, bool in_order) {
    if (conn->state == DEAD) return;
    if (conn->state != OPEN) counts.in_progress--;
    else counts.open--;
    conn->is_ending = true;
    conn->state = DEAD;
    while (conn->streams) stream_ended(conn->streams, "its connection ended");
    // One that is taking bytes is deleted when it has taken them.
    if (conn->http2 && !conn->is_inside) nghttp2_session_del(conn->http2);
    conn->http2 = NULL;
    if (conn->ssl) {
        if (in_order) SSL_shutdown(conn->ssl);
        SSL_free(conn->ssl);
        ERR_clear_error();
    }
    conn->ssl = NULL;
    close(conn->fd);
    conn->fd = -1;
}

static void opened(struct conn *conn) {
    conn->state = OPEN;
    counts.in_progress--;
    counts.open++;
    counts.handshakes++;
    conn_opened(conn);
}

static void shaken(struct conn *conn) {
    const unsigned char *name;
    unsigned length;
    SSL_get0_alpn_selected(conn->ssl, &name, &length);
    const char *wanted = protocols();
    // A server that knows no ALPN speaks HTTP/1.1.
    bool may_be_silent = settings.http1 && !settings.attested && !length;
    if (!may_be_silent && (length != (unsigned char)wanted[0] || memcmp(name, wanted + 1, length)))
        return fail(conn, "the server chose the protocol '%.*s'", (int)length, name);
    if (!settings.attested || settings.stops) return opened(conn);
    conn->state = EXCHANGING;
    exchange_begin(conn);
    conn_flush(conn);
}

static void shake(struct conn *conn) {
    ERR_clear_error();
    int result = SSL_do_handshake(conn->ssl);
    if (result == 1) {
        watch(conn, false);
        return shaken(conn);
    }
    int error = SSL_get_error(conn->ssl, result);
    if (error == SSL_ERROR_WANT_READ) return watch(conn, false);
    if (error == SSL_ERROR_WANT_WRITE) return watch(conn, true);
    fail(conn, "the handshake failed, errno %s", strerror(errno));
}

// Sends what is in `out` as far as it goes.
void conn_flush(struct conn *conn) {
    struct buffer *out = &conn->out;
    while (conn->state != DEAD && out->from < out->to) {
        size_t written = 0;
        if (conn->ssl) {
            ERR_clear_error();
            int result = SSL_write_ex(conn->ssl, out->bytes + out->from, out->to - out->from,
                                      &written);
            int error = result == 1 ? 0 : SSL_get_error(conn->ssl, result);
            if (error == SSL_ERROR_WANT_WRITE) return watch(conn, true);
            if (error == SSL_ERROR_WANT_READ) return;
            if (error) return fail(conn, "cannot write, errno %s", strerror(errno));
        } else {
            ssize_t sent = send(conn->fd, out->bytes + out->from, out->to - out->from,
                                MSG_NOSIGNAL);
            if (sent < 0 && errno == EAGAIN) return watch(conn, true);
            if (sent < 0) return fail(conn, "cannot write, errno %s", strerror(errno));
            written = (size_t)sent;
        }
        out->from += written;
    }
    if (conn->state != DEAD) watch(conn, false);
}

// Hands bytes to who waits for them.
static void take(struct conn *conn, const char *bytes, size_t count, uint64_t now) {
    if (conn->use != CALLER && conn->state == OPEN) return;
    if (conn->state == EXCHANGING) {
        buffer_add(&conn->in, bytes, count);
        if (!exchange_take(conn)) return;
        opened(conn);
        if (conn->state == DEAD) return;
        // What follows the exchange is HTTP's, which gathers in the same buffer.
        static char rest[READ];
        count = conn->in.to - conn->in.from;
        memcpy(rest, conn->in.bytes + conn->in.from, count);
        conn->in.from = conn->in.to = 0;
        bytes = rest;
        if (!count) return;
    }
    if (settings.http1) http1_take(conn, bytes, count, now);
    else http2_take(conn, bytes, count, now);
}

static void receive(struct conn *conn) {
    static char bytes[READ];
    for (int i = 0; i < READS_AT_ONCE && conn->state != DEAD; i++) {
        size_t count = 0;
        if (conn->ssl) {
            ERR_clear_error();
            int result = SSL_read_ex(conn->ssl, bytes, sizeof bytes, &count);
            int error = result == 1 ? 0 : SSL_get_error(conn->ssl, result);
            if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return;
            if (error)
                return fail(conn, "the server ended the connection, errno %s", strerror(errno));
        } else {
            ssize_t got = recv(conn->fd, bytes, sizeof bytes, 0);
            if (got < 0 && errno == EAGAIN) return;
            if (got <= 0) return fail(conn, "the proxy ended the connection");
            count = (size_t)got;
        }
        counts.records++;
        counts.bytes += count;
        take(conn, bytes, count, now_ns());
        if (conn->state == DEAD || !conn->ssl || !SSL_has_pending(conn->ssl)) return;
    }
}

void conn_ready(struct conn *conn, unsigned events) {
    if (conn->state == DEAD) return;
    if (conn->state == CONNECTING) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error) return fail(conn, "connect: %s", strerror(error));
        if (settings.plain) {
            watch(conn, false);
            return opened(conn);
        }
        conn->state = SHAKING;
    }
    if (conn->state == SHAKING) {
        shake(conn);
        if (conn->state == SHAKING) return;
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(conn);
    if (conn->state == DEAD) return;
    if (conn->http2) http2_pump(conn);
    conn_flush(conn);
}
