// Preloaded in front of the C library: calls on paths below RATEL_STANDIN_ROOT are answered by the
// stand-in that listens at the Unix socket RATEL_STANDIN; all others go where they always go.
//
// One connection per call: `op u8, path length u16, path, length u32, data`, answered by
// `errno u32, length u32, data`, little-endian. devices.py has the other end.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

enum { MKDIR = 1, RMDIR, EXISTS, READ, WRITE, IOCTL };
enum { FILES = 1024, DATA = 256 * 1024 };

// linux/nsm.h and linux/tdx-guest.h.
#define NSM_RAW 0xC0200A00u
#define TDX_GET_REPORT 0xC4405401u
#define TDX_REQUEST 1088

typedef struct {
    char path[256];
    unsigned char *data;  // What a read gave, or what is to be written at the end.
    size_t size, at;
    int isRead, isPending;
} file;

static file *files[FILES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static const char *inside(const char *path) {
    const char *root = getenv("RATEL_STANDIN_ROOT");
    size_t size = root ? strlen(root) : 0;
    return size && path && !strncmp(path, root, size) && path[size] == '/' ? path + size : NULL;
}

static int all(int socket, void *bytes, size_t size, int sends) {
    for (size_t at = 0; at < size;) {
        char *place = (char *)bytes + at;
        ssize_t got = sends ? send(socket, place, size - at, MSG_NOSIGNAL)
                            : recv(socket, place, size - at, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return -1;
        at += (size_t)got;
    }
    return 0;
}

// Answers errno, and with `answer` how many bytes came of at most `limit`.
static int ask(
    uint8_t op, const char *path, const void *data, uint32_t size, void *answer, uint32_t limit,
    uint32_t *count) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *place = getenv("RATEL_STANDIN");
    if (!place || strlen(place) >= sizeof address.sun_path) return ENXIO;
    strcpy(address.sun_path, place);
    int peer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    uint16_t length = (uint16_t)strlen(path);
    uint32_t head[2] = {EIO, 0};
    int good = peer >= 0 && !connect(peer, (struct sockaddr *)&address, sizeof address)
        && !all(peer, &op, 1, 1) && !all(peer, &length, 2, 1)
        && !all(peer, (void *)path, length, 1) && !all(peer, &size, 4, 1)
        && !all(peer, (void *)data, size, 1) && !all(peer, head, 8, 0) && head[1] <= limit
        && !all(peer, answer, head[1], 0);
    if (peer >= 0) REAL(close)(peer);
    if (!good) return EIO;
    if (count) *count = head[1];
    return (int)head[0];
}

static int result(int code) {
    if (!code) return 0;
    errno = code;
    return -1;
}

static file *find(int descriptor) {
    return descriptor >= 0 && descriptor < FILES ? files[descriptor] : NULL;
}

static int opened(const char *path) {
    int code = ask(EXISTS, path, NULL, 0, NULL, 0, NULL);
    if (code) return result(code);
    int descriptor = REAL(open)("/dev/null", O_RDWR | O_CLOEXEC);
    if (descriptor < 0 || descriptor >= FILES) return result(EMFILE);
    file *made = calloc(1, sizeof *made);
    strncpy(made->path, path, sizeof made->path - 1);
    pthread_mutex_lock(&lock);
    files[descriptor] = made;
    pthread_mutex_unlock(&lock);
    return descriptor;
}

#define OPEN(name)                                          \
    int name(const char *path, int flags, ...) {            \
        const char *rest = inside(path);                    \
        if (rest) return opened(rest);                      \
        mode_t mode = 0;                                    \
        if (flags & (O_CREAT | O_TMPFILE)) {                \
            va_list list;                                   \
            va_start(list, flags);                          \
            mode = va_arg(list, mode_t);                    \
            va_end(list);                                   \
        }                                                   \
        return REAL(name)(path, flags, mode);               \
    }
OPEN(open)
OPEN(open64)

int mkdir(const char *path, mode_t mode) {
    const char *rest = inside(path);
    return rest ? result(ask(MKDIR, rest, NULL, 0, NULL, 0, NULL)) : REAL(mkdir)(path, mode);
}

int rmdir(const char *path) {
    const char *rest = inside(path);
    return rest ? result(ask(RMDIR, rest, NULL, 0, NULL, 0, NULL)) : REAL(rmdir)(path);
}

int access(const char *path, int mode) {
    const char *rest = inside(path);
    return rest ? result(ask(EXISTS, rest, NULL, 0, NULL, 0, NULL)) : REAL(access)(path, mode);
}

// The kernel makes the whole of an attribute at the first read.
ssize_t read(int descriptor, void *bytes, size_t size) {
    file *found = find(descriptor);
    if (!found) return REAL(read)(descriptor, bytes, size);
    if (!found->isRead) {
        unsigned char *data = malloc(DATA);
        uint32_t count = 0;
        int code = ask(READ, found->path, NULL, 0, data, DATA, &count);
        if (code) {
            free(data);
            return result(code);
        }
        free(found->data);
        found->data = data;
        found->size = count;
        found->at = 0;
        found->isRead = 1;
    }
    size_t left = found->size - found->at;
    if (size > left) size = left;
    memcpy(bytes, found->data + found->at, size);
    found->at += size;
    return (ssize_t)size;
}

// A binary attribute of configfs is taken when it is closed, and nobody hears what came of it.
ssize_t write(int descriptor, const void *bytes, size_t size) {
    file *found = find(descriptor);
    if (!found) return REAL(write)(descriptor, bytes, size);
    const char *last = strrchr(found->path, '/');
    if (last && !strcmp(last, "/inblob")) {
        found->data = realloc(found->data, found->size + size);
        memcpy(found->data + found->size, bytes, size);
        found->size += size;
        found->isPending = 1;
        return (ssize_t)size;
    }
    int code = ask(WRITE, found->path, bytes, (uint32_t)size, NULL, 0, NULL);
    return code ? result(code) : (ssize_t)size;
}

int close(int descriptor) {
    file *found = find(descriptor);
    if (found) {
        pthread_mutex_lock(&lock);
        files[descriptor] = NULL;
        pthread_mutex_unlock(&lock);
        if (found->isPending)
            ask(WRITE, found->path, found->data, (uint32_t)found->size, NULL, 0, NULL);
        free(found->data);
        free(found);
    }
    return REAL(close)(descriptor);
}

static int nsm(file *found, struct iovec *vectors) {
    uint32_t count = 0;
    int code = ask(
        IOCTL, found->path, vectors[0].iov_base, (uint32_t)vectors[0].iov_len,
        vectors[1].iov_base, (uint32_t)vectors[1].iov_len, &count);
    vectors[1].iov_len = count;
    return result(code);
}

int ioctl(int descriptor, unsigned long request, ...) {
    va_list list;
    va_start(list, request);
    void *argument = va_arg(list, void *);
    va_end(list);
    file *found = find(descriptor);
    if (!found) return REAL(ioctl)(descriptor, request, argument);
    if ((uint32_t)request == NSM_RAW) return nsm(found, argument);
    if ((uint32_t)request != TDX_GET_REPORT) return result(ENOTTY);
    unsigned char answer[TDX_REQUEST];
    uint32_t count = 0;
    int code = ask(
        IOCTL, found->path, argument, TDX_REQUEST, answer, sizeof answer, &count);
    if (!code) memcpy(argument, answer, count);
    return result(code);
}
