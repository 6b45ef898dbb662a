#ifndef RATEL_CUV_H
#define RATEL_CUV_H
#include <uv.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>
#include <sys/prctl.h>

/* Of variable arguments, which Swift does not call. */
static inline int ratel_forbid_dumps(void) { return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }
#endif
