#ifndef RATEL_CPOSTGRESQL_H
#define RATEL_CPOSTGRESQL_H
#include <libpq-fe.h>

static inline void ratel_PQignore(void *context, const char *message) {
    (void)context, (void)message;
}

// Connects by an URL. What stands before `dbname` is what the URL may change: within five seconds,
// to a server whose certificate is checked (a socket of this machine has none), and no longer than
// fifteen to one that does not answer any more. Notices would go to standard error.
static inline PGconn *ratel_PQconnect(const char *url) {
    const char *const names[] = {
        "connect_timeout", "sslmode", "tcp_user_timeout", "keepalives_idle",
        "keepalives_interval", "keepalives_count", "application_name", "dbname", NULL};
    const char *const values[] = {
        "5", "verify-full", "15000", "10", "2", "3", "ratel", url, NULL};
    PGconn *connection = PQconnectdbParams(names, values, 1);
    if (connection) PQsetNoticeProcessor(connection, ratel_PQignore, NULL);
    return connection;
}
#endif
