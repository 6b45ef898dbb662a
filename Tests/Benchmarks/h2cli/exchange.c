// The attested exchange of `ratel/1+h2` and `ratel/1+http/1.1`, as far as load needs it.
//
// This client VERIFIES NOTHING: it asks for Evidence, reads the server's frames until Evidence is
// complete, and says that it admits the server. It makes the server do all of its work; who wants
// to know whom they talk to uses `ratel connect`.
//
// A frame is `type u8, length u24, body`, the body deterministic CBOR.

#include "load.h"
#include <openssl/rand.h>

enum { CHALLENGE = 1, EVIDENCE = 2, RESULT = 4 };
enum { LARGEST = 1 << 20 };

// Every kind that exists: CPU, GPU, TPM, Nitro, a Verifier's result, simulated. The first entry of
// the challenge is the nonce.
static const unsigned char KINDS[] = {2, 0x86, 1, 2, 3, 4, 0x18, 254, 0x18, 255, 3, 0x80};
static const unsigned char NOTHING_ASKED[] = {CHALLENGE, 0, 0, 1, 0xA0};
static const unsigned char ADMITTED[] = {RESULT, 0, 0, 7, 0xA3, 1, 0, 2, 0x60, 3, 0};

void exchange_begin(struct conn *conn) {
    if (settings.asks_nothing) {
        buffer_add(&conn->out, NOTHING_ASKED, sizeof NOTHING_ASKED);
        return;
    }
    unsigned char frame[4 + 4 + 32 + sizeof KINDS] = {
        CHALLENGE, 0, 0, 4 + 32 + sizeof KINDS, 0xA3, 1, 0x58, 32};
    RAND_bytes(frame + 8, 32);
    memcpy(frame + 40, KINDS, sizeof KINDS);
    buffer_add(&conn->out, frame, sizeof frame);
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
