#ifndef RATEL_RECYCLER_H
#define RATEL_RECYCLER_H
#include <stddef.h>

// Memory functions for CRYPTO_set_mem_functions (OPENSSL_malloc(3)): blocks that are freed wait on
// a list of their thread and size class, so that the record path of OpenSSL, which takes and gives
// back the same few blocks for each record, does not reach the heap.
void *ratel_recycler_allocate(size_t size, const char *file, int line);
void *ratel_recycler_reallocate(void *block, size_t size, const char *file, int line);
void ratel_recycler_free(void *block, const char *file, int line);

// Gives back every block that waits on this thread's lists.
void ratel_recycler_drain(void);
#endif
