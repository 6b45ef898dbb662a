// Preloaded into a process under test: counts calls of the heap and of Swift's reference counting
// in a file that the test maps too. Built by run.py.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ALLOCATIONS, RETAINS, RELEASES, COUNTERS };
static _Atomic long scratch[COUNTERS];
static _Atomic long *counters = scratch;

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

void *malloc(size_t size) {
    atomic_fetch_add(&counters[ALLOCATIONS], 1);
    return __libc_malloc(size);
}
void *calloc(size_t count, size_t size) {
    atomic_fetch_add(&counters[ALLOCATIONS], 1);
    return __libc_calloc(count, size);
}
void *realloc(void *block, size_t size) {
    atomic_fetch_add(&counters[ALLOCATIONS], 1);
    return __libc_realloc(block, size);
}
void *aligned_alloc(size_t alignment, size_t size) {
    atomic_fetch_add(&counters[ALLOCATIONS], 1);
    return __libc_memalign(alignment, size);
}
int posix_memalign(void **block, size_t alignment, size_t size) {
    atomic_fetch_add(&counters[ALLOCATIONS], 1);
    *block = __libc_memalign(alignment, size);
    return *block ? 0 : 12;
}

// The runtime's functions may be called with a convention that keeps more registers; preserve_most
// keeps those for either kind of caller.
#define KEEPING __attribute__((preserve_most))
#define FORWARD(counter, name, parameters, arguments)                     \
    typedef void *(*name##_function) parameters;                          \
    static name##_function real_##name;                                   \
    KEEPING void *name parameters {                                       \
        atomic_fetch_add(&counters[counter], 1);                          \
        if (!real_##name) real_##name = (name##_function)dlsym(RTLD_NEXT, #name); \
        return real_##name arguments;                                     \
    }

FORWARD(RETAINS, swift_retain, (void *object), (object))
FORWARD(RETAINS, swift_retain_n, (void *object, unsigned n), (object, n))
FORWARD(RETAINS, swift_bridgeObjectRetain, (void *object), (object))
FORWARD(RETAINS, swift_unknownObjectRetain, (void *object), (object))
FORWARD(RETAINS, swift_nonatomic_retain, (void *object), (object))
FORWARD(RELEASES, swift_release, (void *object), (object))
FORWARD(RELEASES, swift_release_n, (void *object, unsigned n), (object, n))
FORWARD(RELEASES, swift_bridgeObjectRelease, (void *object), (object))
FORWARD(RELEASES, swift_unknownObjectRelease, (void *object), (object))
FORWARD(RELEASES, swift_nonatomic_release, (void *object), (object))

__attribute__((constructor)) static void map_counters(void) {
    const char *path = getenv("RATEL_COUNTERS");
    if (!path) return;
    int descriptor = open(path, O_RDWR);
    if (descriptor < 0) return;
    void *shared =
        mmap(NULL, sizeof scratch, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (shared != MAP_FAILED) counters = shared;
    close(descriptor);
}
