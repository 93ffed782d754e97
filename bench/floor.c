/* The floor: the least that a chat server on this machine can do. It stores and checks nothing,
 * keeps no numbers for anybody to resume by, and writes straight to the sockets.
 *
 *   floor [--batch]
 *
 * Speaks enough of the native protocol for loadgen. Without --batch: a bare send() per delivery.
 * With it: what one epoll turn has for one receiver goes out in one send(). Prints its port, serves
 * one generator, and ends when it is killed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "mp.h"

#define INBUF 4096
#define OUTBUF (256 * 1024)
#define MAX_ROOMS 4096

struct conn {
    int fd, room, dirty;
    uint64_t sender;
    size_t have, waiting;
    uint8_t in[INBUF], *out;
};
struct room {
    char name[48];
    size_t name_len;
    uint64_t head;
    struct conn **members;
    int count, space;
};

static struct room rooms[MAX_ROOMS];
static int room_count, batch;
static struct conn **dirty;
static int dirty_count;

static void put(struct conn *c, const uint8_t *data, size_t n) {
    if (!batch) {
        if (send(c->fd, data, n, MSG_NOSIGNAL) != (ssize_t)n) perror("send");
        return;
    }
    if (c->waiting + n > OUTBUF) { fprintf(stderr, "floor: out of room\n"); return; }
    memcpy(c->out + c->waiting, data, n);
    c->waiting += n;
    if (!c->dirty) { c->dirty = 1; dirty[dirty_count++] = c; }
}

static void flush(void) {
    for (int i = 0; i < dirty_count; i++) {
        struct conn *c = dirty[i];
        if (send(c->fd, c->out, c->waiting, MSG_NOSIGNAL) != (ssize_t)c->waiting) perror("send");
        c->waiting = 0;
        c->dirty = 0;
    }
    dirty_count = 0;
}

static int room_named(const char *name, size_t n) {
    for (int i = 0; i < room_count; i++)
        if (rooms[i].name_len == n && !memcmp(rooms[i].name, name, n)) return i;
    memcpy(rooms[room_count].name, name, n);
    rooms[room_count].name_len = n;
    return room_count++;
}

static void answer(struct conn *c, const char *t, const char *key, uint64_t ref, uint64_t value) {
    uint8_t out[128], *p = mp_map(out, 3);
    p = mp_key(p, "t"); p = mp_key(p, t);
    p = mp_key(p, "ref"); p = mp_uint(p, ref);
    p = mp_key(p, key); p = mp_uint(p, value);
    put(c, out, (size_t)(p - out));
}

static void say(struct conn *c, const struct frame *f) {
    struct room *room = &rooms[c->room];
    uint8_t out[512], *p = mp_map(out, 7);
    room->head++;
    /* The same keys as a real message, so that as many bytes travel. */
    p = mp_key(p, "t"); p = mp_key(p, "message");
    p = mp_key(p, "room"); p = mp_str(p, room->name, room->name_len);
    p = mp_key(p, "seq"); p = mp_uint(p, room->head);
    p = mp_key(p, "sender"); p = mp_uint(p, c->sender);
    p = mp_key(p, "name"); p = mp_key(p, "b000000-0");
    p = mp_key(p, "text"); p = mp_str(p, f->text, f->text_len);
    p = mp_key(p, "at"); p = mp_uint(p, 1700000000000u);
    for (int i = 0; i < room->count; i++) put(room->members[i], out, (size_t)(p - out));
    answer(c, "ok", "seq", f->ref, room->head);
}

static void join(struct conn *c, const struct frame *f) {
    c->room = room_named(f->room, f->room_len);
    struct room *room = &rooms[c->room];
    if (room->count == room->space) {
        room->space = room->space ? room->space * 2 : 4;
        room->members = realloc(room->members, (size_t)room->space * sizeof *room->members);
    }
    room->members[room->count++] = c;
    answer(c, "roster", "head", f->ref, room->head);
}

static void readable(struct conn *c) {
    ssize_t n = recv(c->fd, c->in + c->have, INBUF - c->have, 0);
    if (n <= 0) {
        pause(); /* the generator is done: only our CPU clock is still of use */
        exit(0);
    }
    c->have += (size_t)n;
    const uint8_t *p = c->in, *end = c->in + c->have, *next;
    struct frame f;
    while (p < end && (next = mp_frame(p, end, &f))) {
        if (mp_is(f.t, f.t_len, "say")) say(c, &f);
        else if (mp_is(f.t, f.t_len, "hello")) answer(c, "welcome", "sender", f.ref, c->sender);
        else if (mp_is(f.t, f.t_len, "join")) join(c, &f);
        p = next;
    }
    c->have = (size_t)(end - p);
    memmove(c->in, p, c->have);
}

int main(int argc, char **argv) {
    batch = argc > 1 && !strcmp(argv[1], "--batch");
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), epoll_fd = epoll_create1(0), one = 1;
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 1024)) return 1;
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[512];
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
    dirty = calloc(65536, sizeof *dirty);
    for (uint64_t sender = 0;;) {
        int n = epoll_wait(epoll_fd, events, 512, -1);
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (c) { readable(c); continue; }
            c = calloc(1, sizeof *c);
            c->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
            c->sender = ++sender;
            if (batch) c->out = malloc(OUTBUF);
            setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            event.data.ptr = c;
            epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event);
        }
        flush();
    }
}
