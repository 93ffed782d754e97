/* A load generator for the native protocol: one thread, one epoll, prints one JSON object.
 *
 *   loadgen --ports P,P --rooms N --members N --rate N | --closed  [--warm S] [--seconds S]
 *
 * Connection i is member i / rooms of room i % rooms, on port i % (number of ports). At --rate
 * the rooms take turns, and in each room its members; --closed: everybody has one message in
 * flight. Every text is 64 bytes: send time in ns, connection, padding. "begin" and "end" on
 * standard error mark the measured seconds, for whoever reads the servers' CPU clocks.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#include "mp.h"

#define TEXT 64
#define INBUF (256 * 1024)
#define AT_ONCE 64           /* connections that are being opened at one time */
#define TICK 10              /* microseconds of one histogram cell */
#define CELLS 1000000        /* ten seconds */

enum state { CLOSED, HELLO, JOIN, READY };
struct conn {
    int fd, room;
    enum state state;
    uint64_t sender, expect;   /* expect: the next number of the room */
    uint64_t holes, ref;
    int in_flight;
    size_t have;
    uint8_t *in;
};

static struct conn *conns;
static int count, rooms = 1, members = 100, closed_loop, ports[16], port_count, epoll_fd;
static double rate = 200, warm = 2, seconds = 10;
static uint64_t *heads;        /* per room: the highest number seen by anybody */
static uint32_t cells[CELLS + 1];
static uint64_t begin_at, end_at, run;   /* run: tells this run's names from others' */
static uint64_t sent, acked, refused, delivered, measured, doubled, disorder, max_latency;
static uint64_t unsent, events_seen;
static int opened, opening, ready;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what) { perror(what); exit(1); }

static void put(struct conn *c, const uint8_t *data, size_t n) {
    /* A say is 130 bytes: a socket that takes less is full, and the load is too much. */
    ssize_t done = send(c->fd, data, n, MSG_NOSIGNAL);
    if (done != (ssize_t)n) {
        if (done > 0 || (errno != EAGAIN && errno != EPIPE && errno != ECONNRESET)) die("send");
        unsent++;
    }
}

static uint8_t *with_id(uint8_t *p) {
    static uint64_t serial;
    uint8_t id[16];
    serial++;
    memcpy(id, &run, 8);
    memcpy(id + 8, &serial, 8);
    p = mp_key(p, "id");
    return mp_bin16(p, id);
}

static void open_next(void) {
    struct conn *c = &conns[opened];
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)ports[opened % port_count]),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0)
        die("connect");
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event);
    c->in = malloc(INBUF);
    c->room = opened % rooms;
    c->state = HELLO;
    uint8_t out[256], *p = mp_map(out, 4);
    char name[40];
    snprintf(name, sizeof name, "b%06x-%d", (unsigned)(run & 0xffffff), opened);
    p = mp_key(p, "t"); p = mp_key(p, "hello");
    p = mp_key(p, "ref"); p = mp_uint(p, ++c->ref);
    p = with_id(p);
    p = mp_key(p, "name"); p = mp_key(p, name);
    put(c, out, (size_t)(p - out));
    opened++;
    opening++;
}

static void join(struct conn *c) {
    uint8_t out[256], *p = mp_map(out, 4);
    char room[40];
    snprintf(room, sizeof room, "bench-%06x-%d", (unsigned)(run & 0xffffff), c->room);
    p = mp_key(p, "t"); p = mp_key(p, "join");
    p = mp_key(p, "ref"); p = mp_uint(p, ++c->ref);
    p = with_id(p);
    p = mp_key(p, "room"); p = mp_key(p, room);
    put(c, out, (size_t)(p - out));
    c->state = JOIN;
}

static void say(struct conn *c, uint64_t now) {
    uint8_t out[256], *p = mp_map(out, 5);
    char room[40], text[TEXT + 1];
    snprintf(room, sizeof room, "bench-%06x-%d", (unsigned)(run & 0xffffff), c->room);
    memset(text, '.', TEXT);
    snprintf(text, sizeof text, "%016llx", (unsigned long long)now);
    text[16] = ' ';
    p = mp_key(p, "t"); p = mp_key(p, "say");
    p = mp_key(p, "ref"); p = mp_uint(p, ++c->ref);
    p = with_id(p);
    p = mp_key(p, "room"); p = mp_key(p, room);
    p = mp_key(p, "text"); p = mp_str(p, text, TEXT);
    put(c, out, (size_t)(p - out));
    c->in_flight = 1;
    sent++;
}

static uint64_t from_hex(const char *s) {
    uint64_t v = 0;
    for (int i = 0; i < 16; i++) v = v << 4 | (uint64_t)(s[i] <= '9' ? s[i] - '0' : s[i] - 'a' + 10);
    return v;
}

static void numbered(struct conn *c, const struct frame *f) {
    if (f->seq == c->expect) c->expect++;
    else if (f->seq > c->expect) { c->holes += f->seq - c->expect; c->expect = f->seq + 1; }
    else if (c->holes) { c->holes--; disorder++; }   /* late: was counted as a hole */
    else doubled++;
    if (f->seq > heads[c->room]) heads[c->room] = f->seq;
}

static void message(struct conn *c, const struct frame *f, uint64_t now) {
    numbered(c, f);
    if (f->sender == c->sender || f->text_len != TEXT) return;
    delivered++;
    if (begin_at && now >= begin_at && now < end_at) measured++;
    uint64_t at = from_hex(f->text);
    if (!begin_at || at < begin_at || at >= end_at) return;
    uint64_t late = (now - at) / 1000;
    if (late > max_latency) max_latency = late;
    late /= TICK;
    cells[late < CELLS ? late : CELLS]++;
}

static void take(struct conn *c, const struct frame *f, uint64_t now) {
    if (f->t_len == 7 && memcmp(f->t, "message", 7) == 0) message(c, f, now);
    else if (mp_is(f->t, f->t_len, "ok")) { acked++; c->in_flight = 0; }
    else if (mp_is(f->t, f->t_len, "welcome")) { c->sender = f->sender; join(c); }
    else if (mp_is(f->t, f->t_len, "roster") && c->state == JOIN) {
        c->expect = f->head + 1;
        c->state = READY;
        opening--;
        ready++;
    } else if (mp_is(f->t, f->t_len, "event")) { numbered(c, f); events_seen++; }
    else if (mp_is(f->t, f->t_len, "error")) {
        if (!refused++) fprintf(stderr, "error: %.*s\n", (int)f->text_len, f->text);
        c->in_flight = 0;
        if (c->state != READY) exit(1);
    } else if (mp_is(f->t, f->t_len, "behind")) fprintf(stderr, "behind\n");
}

static void readable(struct conn *c) {
    ssize_t n = recv(c->fd, c->in + c->have, INBUF - c->have, 0);
    if (n <= 0) {
        if (n < 0 && errno == EAGAIN) return;
        fprintf(stderr, "a connection was closed\n");
        exit(1);
    }
    c->have += (size_t)n;
    const uint8_t *p = c->in, *end = c->in + c->have, *next;
    struct frame f;
    uint64_t now = now_ns();
    while (p < end && (next = mp_frame(p, end, &f))) {
        if (f.t) take(c, &f, now);
        p = next;
    }
    c->have = (size_t)(end - p);
    memmove(c->in, p, c->have);
    if (c->have == INBUF) { fprintf(stderr, "a frame is too large\n"); exit(1); }
}

static int turn(int timer, int block) {
    struct epoll_event events[512];
    int n = epoll_wait(epoll_fd, events, 512, block);
    if (n < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr) readable(events[i].data.ptr);
        else { uint64_t ticks; if (read(timer, &ticks, sizeof ticks) < 0) continue; }
    }
    return n;
}

static double cpu(void) {
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
           (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

static double quantile(double q) {
    uint64_t all = 0, seen = 0;
    for (int i = 0; i <= CELLS; i++) all += cells[i];
    for (int i = 0; i <= CELLS; i++) {
        seen += cells[i];
        if (all && (double)seen >= q * (double)all) return (i + 0.5) * TICK / 1000.0;
    }
    return 0;
}

/* Everybody has everything up to the highest number that anybody has seen. */
static int settled(void) {
    if (acked + refused < sent) return 0;
    for (int i = 0; i < count; i++)
        if (conns[i].expect != heads[conns[i].room] + 1) return 0;
    return 1;
}

static void load(int timer) {
    uint64_t start = now_ns(), tick = 0;
    begin_at = start + (uint64_t)(warm * 1e9);
    end_at = begin_at + (uint64_t)(seconds * 1e9);
    int began = 0;
    for (uint64_t now = start; now < end_at; now = now_ns()) {
        if (!began && now >= begin_at) { began = 1; fprintf(stderr, "begin\n"); }
        if (closed_loop) {
            for (int i = 0; i < count; i++)
                if (!conns[i].in_flight) say(&conns[i], now);
        } else {
            while (start + (uint64_t)((double)tick * 1e9 / rate) <= now) {
                int room = (int)(tick % (uint64_t)rooms);
                int member = (int)(tick / (uint64_t)rooms % (uint64_t)members);
                say(&conns[member * rooms + room], now);
                tick++;
            }
        }
        turn(timer, -1);
    }
    fprintf(stderr, "end\n");
}

static void arm(int timer) {
    /* At most 1,000 wake-ups a second: beyond that several messages are sent in one. */
    long interval = closed_loop ? 100000000 : (long)(1e9 / (rate < 1000 ? rate : 1000));
    struct itimerspec spec = {{0, interval}, {0, interval}};
    if (interval >= 1000000000) spec.it_interval = spec.it_value = (struct timespec){1, 0};
    timerfd_settime(timer, 0, &spec, NULL);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer, &event);
}

static void options(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--closed")) { closed_loop = 1; continue; }
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(argv[i], "--ports"))
            for (char *part = strtok(strdup(value), ","); part && port_count < 16; part = strtok(NULL, ","))
                ports[port_count++] = atoi(part);
        else if (!strcmp(argv[i], "--rooms")) rooms = atoi(value);
        else if (!strcmp(argv[i], "--members")) members = atoi(value);
        else if (!strcmp(argv[i], "--rate")) rate = atof(value);
        else if (!strcmp(argv[i], "--warm")) warm = atof(value);
        else if (!strcmp(argv[i], "--seconds")) seconds = atof(value);
        else { fprintf(stderr, "unknown option %s\n", argv[i]); exit(2); }
        i++;
    }
    if (!port_count) { fprintf(stderr, "--ports is missing\n"); exit(2); }
}

int main(int argc, char **argv) {
    options(argc, argv);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (getrandom(&run, sizeof run, 0) != sizeof run) die("getrandom");
    count = rooms * members;
    conns = calloc((size_t)count, sizeof *conns);
    heads = calloc((size_t)rooms, sizeof *heads);
    epoll_fd = epoll_create1(0);
    while (ready < count) {
        while (opened < count && opening < AT_ONCE) open_next();
        turn(-1, 1000);
    }
    for (int i = 0; i < count; i++)
        if (conns[i].expect > heads[conns[i].room] + 1) heads[conns[i].room] = conns[i].expect - 1;
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    arm(timer);
    double cpu_before = cpu();
    uint64_t before = delivered;
    load(timer);
    uint64_t give_up = now_ns() + 10000000000u;
    while (!settled() && now_ns() < give_up) turn(timer, 100);
    double spent = cpu() - cpu_before;
    uint64_t lost = 0;
    for (int i = 0; i < count; i++)
        lost += conns[i].holes + (heads[conns[i].room] + 1 - conns[i].expect);
    printf("{\"connections\": %d, \"sent\": %llu, \"acked\": %llu, \"refused\": %llu, "
           "\"unsent\": %llu, \"deliveries\": %llu, \"seconds\": %.3f, \"p50_ms\": %.2f, "
           "\"p99_ms\": %.2f, \"max_ms\": %.2f, \"lost\": %llu, \"doubled\": %llu, "
           "\"out_of_order\": %llu, \"generator_us\": %.3f}\n",
           count, (unsigned long long)sent, (unsigned long long)acked,
           (unsigned long long)refused, (unsigned long long)unsent, (unsigned long long)measured,
           seconds, quantile(0.5), quantile(0.99), (double)max_latency / 1000,
           (unsigned long long)lost, (unsigned long long)doubled, (unsigned long long)disorder,
           delivered > before ? spent * 1e6 / (double)(delivered - before) : 0.0);
    return 0;
}
