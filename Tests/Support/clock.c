// Time that a test sets: every clock of the process runs RATEL_CLOCK_RATE times as fast from its
// start on, and its waits end as much earlier; the file RATEL_CLOCK_SUSPENDED holds, as one signed
// 64-bit number, the seconds for which the machine was suspended, which CLOCK_BOOTTIME counts and
// CLOCK_MONOTONIC does not.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int64_t rate = 1;
static int64_t start[16], ahead;
static const int64_t none;
static const volatile int64_t *suspended = &none;

static int64_t real(clockid_t clock) {
    struct timespec now;
    syscall(SYS_clock_gettime, clock, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

__attribute__((constructor)) static void begin(void) {
    const char *text = getenv("RATEL_CLOCK_RATE");
    if (text) rate = atoll(text);
    for (int clock = 0; clock < 16; clock++) start[clock] = real(clock);
    // Not less than nothing, however late the second of them was read.
    ahead = real(CLOCK_BOOTTIME) - real(CLOCK_MONOTONIC);
    if (ahead < 0) ahead = 0;
    const char *path = getenv("RATEL_CLOCK_SUSPENDED");
    int file = path ? open(path, O_RDONLY) : -1;
    if (file < 0) return;
    void *page = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    if (page != MAP_FAILED) suspended = page;
    close(file);
}

static int64_t scaled(clockid_t clock) {
    if (clock < 0 || clock >= 16) return real(clock);
    // By the other clock: scaled from a start of its own it would not stay where it is beside it.
    if (clock == CLOCK_BOOTTIME)
        return scaled(CLOCK_MONOTONIC) + ahead + *suspended * 1000000000ll;
    return start[clock] + (real(clock) - start[clock]) * rate;
}

int clock_gettime(clockid_t clock, struct timespec *out) {
    // What a thread or a process used is not time.
    int64_t now = clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID
        ? real(clock) : scaled(clock);
    out->tv_sec = now / 1000000000;
    out->tv_nsec = now % 1000000000;
    return 0;
}

time_t time(time_t *out) {
    time_t now = scaled(CLOCK_REALTIME) / 1000000000;
    if (out) *out = now;
    return now;
}

static int shorter(int milliseconds) {
    return milliseconds > 0 ? (int)((milliseconds + rate - 1) / rate) : milliseconds;
}

int epoll_pwait(int poll, struct epoll_event *events, int most, int wait, const sigset_t *mask) {
    return (int)syscall(SYS_epoll_pwait, poll, events, most, shorter(wait), mask, 8);
}

int epoll_wait(int poll, struct epoll_event *events, int most, int wait) {
    return epoll_pwait(poll, events, most, wait, NULL);
}

int pthread_cond_timedwait(
    pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *end) {
    static int (*next)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    if (!next) next = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    if (!next) next = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    // libuv's conditions are on this clock.
    int64_t wanted = end->tv_sec * 1000000000ll + end->tv_nsec;
    int64_t actual = start[CLOCK_MONOTONIC] + (wanted - start[CLOCK_MONOTONIC]) / rate;
    struct timespec until = {actual / 1000000000, actual % 1000000000};
    return next(condition, mutex, &until);
}
