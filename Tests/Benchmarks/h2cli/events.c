// The token stream of one answer: every byte is held against the first event of its stream.
//
// The backend sends the same event again and again, but for the time of its sending: '@' and 16
// hexadecimal digits of CLOCK_MONOTONIC ns. So an event that was changed, cut, joined, or belongs
// to another stream differs from the first, one that overtook another goes back in time, and in a
// stream that has an end one that is missing or came twice makes another number of them.

#include "load.h"

static const char DONE[] = "data: [DONE]\n\n";
enum { DIGITS = 16, LONGEST = 8192 };

// The first event, gathered until its empty line, is the measure of the others.
static const char *judge_first(struct events *e) {
    const char *at = memchr(e->event, '@', (size_t)e->length);
    if (strncmp(e->event, "data: {", 7)) return "an event that does not begin with data: {";
    if (strncmp(e->event + e->length - 3, "}\n\n", 3)) return "an event that does not end with }";
    if (!at || at + DIGITS >= e->event + e->length) return "an event without its time";
    if (settings.event && e->length != settings.event) return "an event of another size";
    e->time_at = (int)(at + 1 - e->event);
    return NULL;
}

static const char *take_digit(struct events *e, unsigned char digit) {
    bool is_digit = digit >= '0' && digit <= '9', is_letter = digit >= 'a' && digit <= 'f';
    if (!is_digit && !is_letter) return "a time that is not hexadecimal";
    e->time = e->time << 4 | (uint64_t)(is_digit ? digit - '0' : digit - 'a' + 10);
    return NULL;
}

static const char *take_token(struct events *e, uint64_t now) {
    if (e->time < e->last) return "events out of order";
    if (is_window && e->is_measured)
        histogram_add(&latency, now > e->time ? now - e->time : 0);
    e->last = e->time;
    e->time = 0;
    e->at = 0;
    if (e->is_measured) counts.tokens++;
    e->tokens++;
    e->is_last = settings.tokens && e->tokens == settings.tokens;
    return NULL;
}

static const char *gather_first(struct events *e, char byte, uint64_t now) {
    if (!e->event) e->event = malloc(LONGEST);
    if (e->at == LONGEST) return "a first event without an end";
    e->event[e->at++] = byte;
    if (byte != '\n' || e->at < 2 || e->event[e->at - 2] != '\n') return NULL;
    e->length = e->at;
    const char *trouble = judge_first(e);
    for (int i = 0; !trouble && i < DIGITS; i++)
        trouble = take_digit(e, (unsigned char)e->event[e->time_at + i]);
    if (trouble) return trouble;
    e->event = realloc(e->event, (size_t)e->length);
    return take_token(e, now);
}

const char *events_take(struct events *e, const char *bytes, size_t count, uint64_t now) {
    while (count) {
        if (e->is_over) return "bytes behind the last event";
        const char *trouble = NULL;
        size_t step = 1;
        if (!e->length) {
            trouble = gather_first(e, *bytes, now);
        } else if (!e->is_last && e->at >= e->time_at && e->at < e->time_at + DIGITS) {
            trouble = take_digit(e, (unsigned char)*bytes);
            e->at++;
        } else {
            const char *expected = e->is_last ? DONE : e->event;
            int length = e->is_last ? (int)sizeof DONE - 1 : e->length;
            int end = !e->is_last && e->at < e->time_at ? e->time_at : length;
            if (step = (size_t)(end - e->at), step > count) step = count;
            if (memcmp(bytes, expected + e->at, step)) return "an event that was changed";
            e->at += (int)step;
            if (e->at == length) {
                if (e->is_last) e->is_over = true;
                else trouble = take_token(e, now);
            }
        }
        if (trouble) return trouble;
        bytes += step;
        count -= step;
    }
    return NULL;
}

void events_free(struct events *e) { free(e->event); }
