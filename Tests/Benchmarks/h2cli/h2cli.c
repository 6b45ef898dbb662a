// h2cli: load for a proxy in front of the token backend, over HTTP/2 or HTTP/1.1, TLS 1.3 or the
// attested channel (whose Evidence it does NOT verify, see exchange.c). One thread, epoll.
//
//   h2cli [options]                 every connection goes to 127.0.0.1
//     -m stream|rate|hs|idle|dl     what is measured; see below
//     -p port  -c core  -P pid,...  the proxy, the core to run on, the processes that are charged
//     -B pid                        the backend, reported apart
//     -C connections  -M streams    of each connection
//     -1  -t  -A  -E                HTTP/1.1; plaintext (with -1); attested; attested, but
//                                   without a question for Evidence
//     -L  -N  -K file               attested by leases after the first; the attested protocol's
//                                   TLS and no exchange; the client's key and certificate
//     -r path  -b bytes             the request's target, and the size of its body
//     -n tokens  -e bytes           of a stream, and of an event; streams without -n never end
//     -d seconds  -w seconds        the window, and what passes before it
//     -q rate                       requests a second (-m rate)
//     -x count                      connections that come and go in turn (-m idle)
//     -l count  -R path             slow readers on each connection: of this target, no windows
//     -s count  -k                  streams beside the measured ones on each connection; -k says
//                                   `ready` when those of -l and -s stand, and waits for a line
//     -X rate  -T rate              resets a second, header bytes a second, on one connection more
//     -o connections                handshakes at once while connections are opened
//
//   stream  every stream has begun, then the window; one that ends is followed by the next
//   rate    requests begin at a rate, each on the connection with the fewest streams
//   hs      handshakes (with the exchange) and closes
//   idle    connections after one small request each: memory of the charged processes
//   dl      -n bytes over each connection
//
// Prints one line of JSON. Errors are counted, and the first is told on standard error.

#include "load.h"
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

struct settings settings = {
    .port = 8443, .conns = 8, .streams = 1, .core = -1, .at_once = 64, .window = 3, .warm = 1,
    .path = "/v1/chat/completions?size=290&rate=50",
    .slow_path = "/v1/chat/completions?size=290&rate=0", .body = 128};
struct counts counts;
struct histogram latency, first_token;
bool is_window, must_stop;
static struct conn *conns;
static int all, next_start, replaced;
static double next_request;
static const double RAMP_SECONDS = 120, SETTLE_SECONDS = 2.5;

static void parse(int count, char **words) {
    static const char *const modes[] = {"stream", "rate", "hs", "idle", "dl"};
    int option;
    const char *options = "m:p:c:K:P:B:C:M:1tAELNr:b:n:e:d:w:q:x:l:R:s:kX:T:o:";
    while ((option = getopt(count, words, options)) != -1)
        switch (option) {
        case 'm':
            while (settings.mode < DOWNLOAD && strcmp(optarg, modes[settings.mode]))
                settings.mode++;
            break;
        case 'p': settings.port = atoi(optarg); break;
        case 'c': settings.core = atoi(optarg); break;
        case 'K': settings.identity = optarg; break;
        case 'P':
            for (char *p = strtok(optarg, ","); p && settings.pid_count < 64; p = strtok(NULL, ","))
                settings.pids[settings.pid_count++] = atoi(p);
            break;
        case 'B': settings.backend = atoi(optarg); break;
        case 'C': settings.conns = atoi(optarg); break;
        case 'M': settings.streams = atoi(optarg); break;
        case '1': settings.http1 = true; break;
        case 't': settings.plain = true; break;
        case 'A': settings.attested = true; break;
        case 'L': settings.attested = settings.leases = true; break;
        case 'N': settings.attested = settings.stops = true; break;
        case 'E': settings.attested = settings.asks_nothing = true; break;
        case 'r': settings.path = optarg; break;
        case 'b': settings.body = atol(optarg); break;
        case 'n': settings.tokens = atol(optarg); break;
        case 'e': settings.event = atol(optarg); break;
        case 'd': settings.window = atof(optarg); break;
        case 'w': settings.warm = atof(optarg); break;
        case 'q': settings.per_second = atof(optarg); break;
        case 'x': settings.again = atol(optarg); break;
        case 'l': settings.slow = atoi(optarg); break;
        case 'R': settings.slow_path = optarg; break;
        case 's': settings.stalled = atoi(optarg); break;
        case 'k': settings.waits = true; break;
        case 'X': settings.resets = atof(optarg); break;
        case 'T': settings.trickle = atof(optarg); break;
        case 'o': settings.at_once = atoi(optarg); break;
        default: exit(2);
        }
    bool is_many = settings.streams + settings.slow + settings.stalled > 1;
    bool is_hostile = settings.resets > 0 || settings.trickle > 0;
    if ((settings.plain && !settings.http1) || (settings.plain && settings.attested)
        || (settings.http1 && (is_hostile || is_many))) {
        fprintf(stderr, "h2cli: HTTP/1.1 has one stream a connection and no frames, and plaintext "
                        "is HTTP/1.1: give -1 with -M 1, without -l, -s, -X and -T\n");
        exit(2);
    }
}

static void make_body(void) {
    static const char begin[] = "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\","
                                "\"content\":\"",
                      end[] = "\"}]}", words[] = "the quick brown fox jumps over the lazy dog ";
    long size = settings.body, rest = size - (long)(sizeof begin + sizeof end - 2);
    if (size && rest < 0) exit(2);
    body = malloc((size_t)size + 1);
    if (!size) return;
    char *to = body + sprintf(body, "%s", begin);
    // A router passes no query on: an engine behind one reads it here.
    const char *query = strchr(settings.path, '?');
    for (; query && *query && rest > 0; rest--) *to++ = *query++;
    for (long i = 0; i < rest; i++) *to++ = words[i % (long)(sizeof words - 1)];
    memcpy(to, end, sizeof end);
}

// Requests that are due, each where the fewest streams are; one without room waits.
static void start_requests(uint64_t now) {
    for (; next_request <= (double)now; next_request += 1e9 / settings.per_second) {
        struct conn *best = NULL;
        for (int i = 0; i < settings.conns; i++)
            if (is_room(&conns[i]) && (!best || conns[i].active < best->active)) best = &conns[i];
        if (!best) {
            counts.deferred++;
            return;
        }
        stream_open(best, true, false);
        if (best->http2) http2_pump(best);
        conn_flush(best);
    }
}

// Idle connections are asked something before a server's patience with them ends.
static void keep_alive(uint64_t now) {
    for (int i = 0; i < settings.conns; i++)
        if (conns[i].state == OPEN && !conns[i].active && now - conns[i].used > 30000000000u) {
            counts.answered--;
            stream_open(&conns[i], true, false);
            if (conns[i].http2) http2_pump(&conns[i]);
            conn_flush(&conns[i]);
        }
}

static void tick(uint64_t now) {
    int limit = settings.mode == HANDSHAKES ? settings.conns : settings.at_once;
    while (next_start < all && counts.in_progress < limit) conn_start(&conns[next_start++]);
    for (int i = settings.conns; i < next_start; i++) hostile_tick(&conns[i], now);
    if (settings.mode == RATE && counts.open >= settings.conns) {
        if (next_request == 0) next_request = (double)now;
        start_requests(now);
    }
    if (settings.mode == HANDSHAKES)
        for (int i = 0; i < settings.conns; i++)
            if (conns[i].fd < 0 && i < next_start && !must_stop) conn_start(&conns[i]);
}

// Whether not all can come that are waited for.
static bool is_hopeless(void) { return counts.errors > 0; }

// Runs until `*value` is `enough`, or for so long; ends early once one has failed.
static bool run(double seconds, const int *value, int enough) {
    static struct epoll_event events[512];
    uint64_t end = now_ns() + (uint64_t)(seconds * 1e9), asked = now_ns();
    bool is_timed = settings.mode == RATE || all > settings.conns;
    while (!must_stop) {
        uint64_t now = now_ns();
        if (value && *value >= enough) return true;
        if (now >= end) return !value;
        tick(now);
        if (is_hopeless() && value) return false;
        if (settings.mode == IDLE && now - asked > 1000000000u) {
            asked = now;
            keep_alive(now);
        }
        int patience = is_timed ? 1 : (int)((end - now) / 1000000);
        int count = epoll_wait(poll_fd, events, 512, patience < 100 ? patience : 100);
        for (int i = 0; i < count; i++) conn_ready(events[i].data.ptr, events[i].events);
    }
    return false;
}

static void must(bool is_done, const char *what) {
    if (!is_done) fail(NULL, "not all %s: %d connections, %d streams, %d beside, %d answers", what,
                       counts.open, counts.begun, counts.beside, counts.answered);
}

// Lets who started this change the world once the streams beside stand.
static void wait_for_word(void) {
    must(run(RAMP_SECONDS, &counts.beside, settings.conns * (settings.slow + settings.stalled)),
         "streams beside began");
    puts("ready");
    fflush(stdout);
    char line[16];
    if (!fgets(line, sizeof line, stdin)) exit(2);
    settings.waits = false;
    for (int i = 0; i < settings.conns; i++)
        if (conns[i].state == OPEN) streams_open(&conns[i]);
}

// Connections end, and as many others come, a few at a time: a server that takes no more than there
// are has to have seen the ends first.
static void replace(void) {
    const double unseen = 0.05;
    for (int done = 0; done < settings.again && !must_stop; replaced = done) {
        int first = done, count = 0;
        for (; count < settings.at_once && done < settings.again; count++, done++)
            conn_close(&conns[done % settings.conns], true);
        counts.answered -= count;
        run(unseen, NULL, 0);
        for (int i = 0; i < count; i++) conn_start(&conns[(first + i) % settings.conns]);
        must(run(RAMP_SECONDS, &counts.answered, settings.conns), "came and went");
    }
}

static void idle(void) {
    long before = memory_charged();
    must(run(4 * RAMP_SECONDS, &counts.answered, settings.conns), "connections were answered");
    run(settings.warm, NULL, 0);
    long held = memory_charged(), again = held, gone;
    if (settings.again) {
        replace();
        run(SETTLE_SECONDS, NULL, 0);
        again = memory_charged();
    }
    for (int i = 0; i < settings.conns; i++) conn_close(&conns[i], true);
    next_start = all;
    run(SETTLE_SECONDS, NULL, 0);
    gone = memory_charged();
    printf("{\"mode\":\"idle\",\"conns\":%d,\"err\":%d,\"kb_per_conn\":%.3f,\"before_kb\":%ld,"
           "\"held_kb\":%ld,\"again_kb\":%ld,\"again\":%d,\"gone_kb\":%ld}\n",
           settings.conns, counts.errors, (double)(held - before) / settings.conns, before, held,
           again, replaced, gone);
}

static const char *mode_name(void) {
    return (const char *[]){"stream", "rate", "hs", "idle", "dl"}[settings.mode];
}

static double units(const struct counts *from) {
    switch (settings.mode) {
    case HANDSHAKES: return (double)(counts.handshakes - from->handshakes);
    case DOWNLOAD: return (double)(counts.bytes - from->bytes) / 1073741824.0;
    default: return (double)(counts.tokens - from->tokens);
    }
}

static void window(void) {
    struct counts from = counts;
    uint64_t began = now_ns();
    double proxy = cpu_charged(), own = cpu_of(getpid());
    double backend = settings.backend ? cpu_of(settings.backend) : 0;
    is_window = true;
    bool is_download = settings.mode == DOWNLOAD;
    bool is_done = run(settings.window, is_download ? &counts.answered : NULL, settings.conns);
    if (is_download) must(is_done, "downloads ended");
    is_window = false;
    double wall = (double)(now_ns() - began) / 1e9, unit = units(&from);
    proxy = cpu_charged() - proxy;
    own = cpu_of(getpid()) - own;
    if (settings.backend) backend = cpu_of(settings.backend) - backend;
    uint64_t tokens = counts.tokens - from.tokens, records = counts.records - from.records;
    printf("{\"mode\":\"%s\",\"conns\":%d,\"started\":%d,\"err\":%d,\"win_s\":%.3f,\"tokens\":%llu,"
           "\"tok_s\":%.0f,\"reqs\":%llu,\"hs\":%llu,\"hs_s\":%.0f,\"MBps\":%.1f,"
           "\"reads_per_s\":%.0f,\"deferred\":%llu,",
           mode_name(), settings.conns, counts.begun, counts.errors, wall,
           (unsigned long long)tokens, (double)tokens / wall,
           (unsigned long long)(counts.requests - from.requests),
           (unsigned long long)(counts.handshakes - from.handshakes),
           (double)(counts.handshakes - from.handshakes) / wall,
           (double)(counts.bytes - from.bytes) / wall / 1e6, (double)records / wall,
           (unsigned long long)(counts.deferred - from.deferred));
    printf("\"resets\":%llu,\"header_MB\":%.2f,\"reconnects\":%d,",
           (unsigned long long)(counts.resets - from.resets),
           (double)(counts.header_bytes - from.header_bytes) / 1e6,
           counts.reconnects - from.reconnects);
    printf("\"proxy_cpu_s\":%.4f,\"proxy_util\":%.3f,\"cli_util\":%.3f,\"be_util\":%.3f,"
           "\"us_per_unit\":%.3f,", proxy, proxy / wall, own / wall, backend / wall,
           unit > 0 ? proxy / unit * 1e6 : 0);
    printf("\"lat_us\":{\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f},"
           "\"ttfb_us\":{\"p50\":%.1f,\"p99\":%.1f}}\n",
           histogram_us(&latency, .5), histogram_us(&latency, .9), histogram_us(&latency, .99),
           histogram_us(&latency, .999), (double)latency.most / 1e3,
           histogram_us(&first_token, .5), histogram_us(&first_token, .99));
}

static void prepare(int count, char **words) {
    parse(count, words);
    if (settings.core >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(settings.core, &set);
        sched_setaffinity(0, sizeof set, &set);
    }
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    if (settings.mode == IDLE) settings.path = "/health";
    if (settings.mode != STREAMS && settings.mode != RATE) settings.body = 0;
    make_body();
    connections_begin();
    all = settings.conns + (settings.resets > 0) + (settings.trickle > 0);
    conns = calloc((size_t)all, sizeof *conns);
    for (int i = 0; i < all; i++)
        conns[i] = (struct conn){.fd = -1, .number = i, .state = DEAD};
    if (settings.resets > 0) conns[settings.conns].use = RESETS;
    if (settings.trickle > 0) conns[all - 1].use = TRICKLE;
}

int main(int count, char **words) {
    prepare(count, words);
    if (settings.mode == IDLE) {
        idle();
        return counts.errors > 0;
    }
    if (settings.waits) wait_for_word();
    if (settings.mode == STREAMS)
        must(run(RAMP_SECONDS, &counts.begun, settings.conns * settings.streams), "streams began");
    if (settings.mode != DOWNLOAD) run(settings.warm, NULL, 0);
    window();
    return counts.errors > 0;
}
