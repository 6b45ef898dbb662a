#include "recycler.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// A block's class and capacity stand before it; 16 bytes keep malloc's alignment.
struct header {
    uint64_t capacity;
    uint32_t class;
    uint32_t unused;
};

struct link {
    struct link *next;
};

// Classes: 64, 128 … 512 bytes for packet bookkeeping and cipher states, and one for the record
// buffers (OpenSSL 3.0 asks for 16,5xx to 17,xxx bytes a direction). Anything else is the heap's.
enum { SMALL_CLASSES = 4, RECORD_CLASS = 4, CLASSES = 5, NO_CLASS = 255 };
static const size_t capacities[CLASSES] = {64, 128, 256, 512, 20480};

// The most blocks that wait in each class and thread: 512 x (64+128+256+512) = 480 KiB of small
// blocks and 64 x 20 KiB = 1.25 MiB of record buffers. A loop works on one session at a time, so
// a steady state needs only a few of each.
static const uint32_t limits[CLASSES] = {512, 512, 512, 512, 64};

static _Thread_local struct link *waiting[CLASSES];
static _Thread_local uint32_t counts[CLASSES];

static uint32_t class_of(size_t size) {
    for (uint32_t c = 0; c < SMALL_CLASSES; c++)
        if (size <= capacities[c]) return c;
    if (size > 16000 && size <= capacities[RECORD_CLASS]) return RECORD_CLASS;
    return NO_CLASS;
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define RATEL_NO_RECYCLING 1
#endif
#endif

void *ratel_recycler_allocate(size_t size, const char *file, int line) {
    (void)file;
    (void)line;
    uint32_t class = class_of(size);
#ifndef RATEL_NO_RECYCLING
    if (class != NO_CLASS && waiting[class]) {
        struct link *block = waiting[class];
        waiting[class] = block->next;
        counts[class]--;
        return block;
    }
#endif
    size_t capacity = class == NO_CLASS ? size : capacities[class];
    if (capacity > SIZE_MAX - sizeof(struct header)) return NULL;
    struct header *header = malloc(sizeof(struct header) + capacity);
    if (!header) return NULL;
    header->capacity = capacity;
    header->class = class;
    return header + 1;
}

void ratel_recycler_free(void *block, const char *file, int line) {
    (void)file;
    (void)line;
    if (!block) return;
    struct header *header = (struct header *)block - 1;
#ifndef RATEL_NO_RECYCLING
    uint32_t class = header->class;
    if (class != NO_CLASS && counts[class] < limits[class]) {
        struct link *link = block;
        link->next = waiting[class];
        waiting[class] = link;
        counts[class]++;
        return;
    }
#endif
    free(header);
}

void *ratel_recycler_reallocate(void *block, size_t size, const char *file, int line) {
    if (!block) return ratel_recycler_allocate(size, file, line);
    if (size == 0) {
        ratel_recycler_free(block, file, line);
        return NULL;
    }
    struct header *header = (struct header *)block - 1;
    if (size <= header->capacity) return block;
    void *larger = ratel_recycler_allocate(size, file, line);
    if (!larger) return NULL;
    memcpy(larger, block, header->capacity);
    ratel_recycler_free(block, file, line);
    return larger;
}

void ratel_recycler_drain(void) {
    for (uint32_t c = 0; c < CLASSES; c++) {
        while (waiting[c]) {
            struct link *block = waiting[c];
            waiting[c] = block->next;
            free((struct header *)block - 1);
        }
        counts[c] = 0;
    }
}
