#include "recycler.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct link {
    struct link *next;
};

// Classes are those of glibc's heap, 24, 40, 56 … 520 usable bytes, for packet bookkeeping, cipher
// states and queued frames, so that a block is never larger than the heap would make it and needs
// no head of its own: the heap knows its size. One more is for the record buffers (OpenSSL 3.0 asks
// for 16,5xx to 17,xxx bytes a direction). Anything else is the heap's.
enum { SMALLEST = 24, STEP = 16, SMALL_CLASSES = 32 };
enum { LARGEST = SMALLEST + STEP * (SMALL_CLASSES - 1) };
enum { RECORD_CLASS = SMALL_CLASSES, CLASSES, NO_CLASS = 255 };
enum { RECORD_LEAST = 16000, RECORD_CAPACITY = 20480, RECORD_MOST = 20992 };

// The most blocks that wait in each class and thread: 64 of each small one, 64 x 8.7 KB = 544 KiB,
// and 64 x 20 KiB = 1.25 MiB of record buffers. A loop works on one session at a time, so a steady
// state needs only a few of each.
static const uint32_t limit = 64;

static _Thread_local struct link *waiting[CLASSES];
static _Thread_local uint32_t counts[CLASSES];

static uint32_t class_of(size_t size) {
    if (size <= SMALLEST) return 0;
    if (size <= LARGEST) return (uint32_t)((size - SMALLEST + STEP - 1) / STEP);
    if (size > RECORD_LEAST && size <= RECORD_CAPACITY) return RECORD_CLASS;
    return NO_CLASS;
}

// The class of a block that was allocated here, from what the heap gave for it.
static uint32_t class_of_block(size_t usable) {
    if (usable >= SMALLEST && usable <= LARGEST && (usable - SMALLEST) % STEP == 0)
        return (uint32_t)((usable - SMALLEST) / STEP);
    if (usable >= RECORD_CAPACITY && usable < RECORD_MOST) return RECORD_CLASS;
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
#ifdef RATEL_NO_RECYCLING
    return malloc(size);
#else
    uint32_t class = class_of(size);
    if (class == NO_CLASS) return malloc(size);
    if (waiting[class]) {
        struct link *block = waiting[class];
        waiting[class] = block->next;
        counts[class]--;
        return block;
    }
    return malloc(class == RECORD_CLASS ? RECORD_CAPACITY : SMALLEST + STEP * (size_t)class);
#endif
}

void ratel_recycler_free(void *block, const char *file, int line) {
    (void)file;
    (void)line;
    if (!block) return;
#ifndef RATEL_NO_RECYCLING
    uint32_t class = class_of_block(malloc_usable_size(block));
    if (class != NO_CLASS && counts[class] < limit) {
        struct link *link = block;
        link->next = waiting[class];
        waiting[class] = link;
        counts[class]++;
        return;
    }
#endif
    free(block);
}

void *ratel_recycler_reallocate(void *block, size_t size, const char *file, int line) {
    if (!block) return ratel_recycler_allocate(size, file, line);
    if (size == 0) {
        ratel_recycler_free(block, file, line);
        return NULL;
    }
    size_t usable = malloc_usable_size(block);
    if (size <= usable) return block;
    void *larger = ratel_recycler_allocate(size, file, line);
    if (!larger) return NULL;
    memcpy(larger, block, usable);
    ratel_recycler_free(block, file, line);
    return larger;
}

void ratel_recycler_drain(void) {
    for (uint32_t c = 0; c < CLASSES; c++) {
        while (waiting[c]) {
            struct link *block = waiting[c];
            waiting[c] = block->next;
            free(block);
        }
        counts[c] = 0;
    }
}
