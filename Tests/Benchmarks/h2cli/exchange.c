// The attested exchange of `ratel/1+h2` and `ratel/1+http/1.1`, as far as load needs it.
//
// This client VERIFIES NOTHING: it asks for Evidence, reads the server's frames until Evidence is
// complete, and says that it admits the server. It makes the server do all of its work; who wants
// to know whom they talk to uses `ratel connect`.
//
// A frame is `type u8, length u24, body`, the body deterministic CBOR.

#include "load.h"
#include <openssl/rand.h>
#include <openssl/sha.h>

enum { CHALLENGE = 1, EVIDENCE = 2, LEASE = 3, RESULT = 4 };
enum { LARGEST = 1 << 20 };

// Every kind that exists: CPU, GPU, TPM, Nitro, a Verifier's result, simulated. The first entry of
// the challenge is the nonce.
static const unsigned char KINDS[] = {2, 0x86, 1, 2, 3, 4, 0x18, 254, 0x18, 255, 3};
static const unsigned char NO_KEYS[] = {0x80}, ONE_KEY[] = {0x81, 0x58, 32};
static const unsigned char NOTHING_ASKED[] = {CHALLENGE, 0, 0, 1, 0xA0};
static const unsigned char ADMITTED[] = {RESULT, 0, 0, 7, 0xA3, 1, 0, 2, 0x60, 3, 0};

// SHA-256 of the binding key of the first Evidence, which later challenges list.
static unsigned char known[32];
static bool is_known;

// The bytes of the CBOR item at `at`, with everything in it; 0 where it ends too early.
static size_t item(const unsigned char *at, size_t left) {
    if (!left) return 0;
    size_t head = at[0] & 31, used = 1, value = head;
    if (head >= 24 && head <= 26) {
        size_t more = (size_t)1 << (head - 24);
        if (left < 1 + more) return 0;
        for (value = 0; used <= more; used++) value = value << 8 | at[used];
    }
    int kind = at[0] >> 5;
    if (kind == 2 || kind == 3) return left - used < value ? 0 : used + value;
    if (kind != 4 && kind != 5) return used;
    for (size_t all = kind == 5 ? 2 * value : value; all; all--) {
        size_t next = item(at + used, left - used);
        if (!next) return 0;
        used += next;
    }
    return used;
}

// Entry 3 of Evidence, {1: nonce, 2: evidence, 3: SPKI of the binding key, …}.
static void learn(const unsigned char *body, size_t length) {
    size_t at = 1;
    for (int entry = 1; entry < 3; entry++) {
        at++;
        size_t next = item(body + at, length - at);
        if (!next) return;
        at += next;
    }
    at++;
    if (length < at + 2 || body[at] != 0x58 || length < at + 2 + body[at + 1]) return;
    SHA256(body + at + 2, body[at + 1], known);
    is_known = true;
}

void exchange_begin(struct conn *conn) {
    if (settings.asks_nothing) {
        buffer_add(&conn->out, NOTHING_ASKED, sizeof NOTHING_ASKED);
        return;
    }
    unsigned char frame[] = {CHALLENGE, 0, 0, 0, 0xA3, 1, 0x58, 32}, nonce[32];
    RAND_bytes(nonce, sizeof nonce);
    bool listed = settings.leases && is_known;
    size_t keys = listed ? sizeof ONE_KEY + sizeof known : sizeof NO_KEYS;
    frame[3] = (unsigned char)(4 + sizeof nonce + sizeof KINDS + keys);
    buffer_add(&conn->out, frame, sizeof frame);
    buffer_add(&conn->out, nonce, sizeof nonce);
    buffer_add(&conn->out, KINDS, sizeof KINDS);
    if (listed) {
        buffer_add(&conn->out, ONE_KEY, sizeof ONE_KEY);
        buffer_add(&conn->out, known, sizeof known);
    } else {
        buffer_add(&conn->out, NO_KEYS, sizeof NO_KEYS);
    }
}

bool exchange_take(struct conn *conn) {
    while (conn->in.to - conn->in.from >= 4) {
        const unsigned char *head = (unsigned char *)conn->in.bytes + conn->in.from;
        size_t length = (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
        if (length > LARGEST) {
            fail(conn, "a frame of %zu bytes in the exchange", length);
            return false;
        }
        if (conn->in.to - conn->in.from < 4 + length) return false;
        conn->in.from += 4 + length;
        const unsigned char *body = head + 4;
        switch (head[0]) {
        case CHALLENGE:
            if (length != 1 || body[0] != 0xA0) {
                fail(conn, "the server asks for Evidence, which this client has none of");
                return false;
            }
            if (settings.asks_nothing) return true;
            break;
        case EVIDENCE:
            if (settings.leases) learn(body, length);
            // Fall through.
        case LEASE:
            buffer_add(&conn->out, ADMITTED, sizeof ADMITTED);
            return true;
        default:
            fail(conn, "refused in the exchange: frame %d, %.*s", head[0],
                 (int)(length < 300 ? length : 300), body);
            return false;
        }
    }
    return false;
}
