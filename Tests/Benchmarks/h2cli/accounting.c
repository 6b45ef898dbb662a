// CPU and memory of the processes that are charged, and the histogram.

#include "load.h"
#include <stdio.h>
#include <time.h>
#include <unistd.h>

uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

// Seconds of all threads, those that have ended too.
double cpu_of(int pid) {
    clockid_t clock;
    struct timespec time;
    if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &time)) return 0;
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

double cpu_charged(void) {
    double sum = 0;
    for (int i = 0; i < settings.pid_count; i++) sum += cpu_of(settings.pids[i]);
    return sum;
}

// KiB that belong to the charged processes alone.
long memory_charged(void) {
    long sum = 0;
    for (int i = 0; i < settings.pid_count; i++) {
        char name[64], line[256];
        snprintf(name, sizeof name, "/proc/%d/status", settings.pids[i]);
        FILE *file = fopen(name, "r");
        if (!file) continue;
        while (fgets(line, sizeof line, file))
            if (!strncmp(line, "RssAnon:", 8)) sum += atol(line + 8);
        fclose(file);
    }
    return sum;
}

void histogram_add(struct histogram *h, uint64_t value) {
    if (value > h->most) h->most = value;
    int power = value < 64 ? 0 : 58 - __builtin_clzll(value);
    int bucket = value < 64 ? (int)value : 64 * power + (int)(value >> power);
    h->count[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
    h->all++;
}

double histogram_us(const struct histogram *h, double quantile) {
    uint64_t rank = (uint64_t)(quantile * (double)h->all), sum = 0;
    for (int i = 0; i < BUCKETS; i++) {
        sum += h->count[i];
        if (sum <= rank) continue;
        if (i < 64) return i / 1e3;
        int power = i / 64;
        return (double)((uint64_t)(i - 64 * power) << power) / 1e3;
    }
    return (double)h->most / 1e3;
}
