#ifndef RATEL_CSQLITE_H
#define RATEL_CSQLITE_H
#include <sqlite3.h>

// SQLITE_TRANSIENT is a cast that Swift does not import: the library copies what is bound.
static inline int ratel_sqlite3_bind_text(sqlite3_stmt *s, int i, const char *text, int count) {
    return sqlite3_bind_text(s, i, text, count, SQLITE_TRANSIENT);
}
static inline int ratel_sqlite3_bind_blob(sqlite3_stmt *s, int i, const void *bytes, int count) {
    // A null pointer would bind NULL; no bytes are an empty blob.
    return count ? sqlite3_bind_blob(s, i, bytes, count, SQLITE_TRANSIENT)
                 : sqlite3_bind_zeroblob(s, i, 0);
}
#endif
