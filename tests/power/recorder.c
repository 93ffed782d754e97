/* Preloaded into a process, notes all that it does to the files of one directory.
 *
 *     cc -shared -fPIC -O2 -o recorder.so recorder.c -ldl -lpthread
 *     FAULTS_RECORD_ROOT=/data FAULTS_RECORD_INTO=/elsewhere LD_PRELOAD=recorder.so command
 *
 * Each process (also those that it starts) writes a file of its own, PID-NANOSECONDS.rec, through
 * a shared mapping: what stands there outlives SIGKILL at any instruction. A record is written
 * before the call that it tells of, and completed when that has returned; so what a killed process
 * was just doing is known as well. tests/power/recording.py reads it.
 *
 * What changes a file in a way that is not understood here is noted as such, and the reader refuses
 * the recording. What bypasses the C library is not seen; so the reader compares what was recorded
 * with what the directory holds in the end.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1u << 2)
#endif
#define CAPACITY (1ull << 30) /* bytes of one recording; the file is sparse */
#define MOST_FILES 65536

enum { OPEN = 1, WRITE, TRUNCATE, SYNC, RENAME, UNLINK, UNSEEN };

/* Little-endian and without gaps, as recording.py reads it; then `path`, then `data`. */
struct record {
    _Atomic uint32_t size; /* of all, a multiple of 8; 0: the end */
    uint16_t op;
    uint16_t path; /* bytes */
    uint32_t opened; /* which OPEN of this process the file is from; of an OPEN, its own number */
    int32_t flags;
    int64_t offset; /* TRUNCATE: the length */
    uint64_t data; /* bytes */
    int64_t result;
    uint64_t began; /* nanoseconds, CLOCK_MONOTONIC */
    _Atomic uint64_t ended; /* 0: it never returned */
};

static char root[PATH_MAX];
static size_t root_length;
static unsigned char *log_begin;
static uint64_t log_used;
static pid_t log_owner;
static uint32_t opens;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static _Atomic uint32_t opened_by[MOST_FILES]; /* by descriptor; 0: not one of ours */

#define NEXT(name)                                                                                 \
    ({                                                                                             \
        static __typeof__(&name) next;                                                             \
        if (!next)                                                                                 \
            next = (__typeof__(&name))dlsym(RTLD_NEXT, #name);                                     \
        next;                                                                                      \
    })

static void fail(const char *why)
{
    fprintf(stderr, "power recorder: %s: %s\n", why, strerror(errno));
    abort();
}

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

__attribute__((constructor)) static void begin(void)
{
    const char *into = getenv("FAULTS_RECORD_INTO"), *of = getenv("FAULTS_RECORD_ROOT");
    char path[PATH_MAX];
    if (!into || !of)
        return;
    if (strlen(of) >= sizeof root)
        fail(of);
    strcpy(root, of);
    root_length = strlen(root);
    snprintf(path, sizeof path, "%s/%d-%llu.rec", into, getpid(), (unsigned long long)now());
    int fd = NEXT(open)(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || NEXT(ftruncate)(fd, CAPACITY))
        fail(path);
    void *map = NEXT(mmap)(NULL, CAPACITY, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        fail(path);
    NEXT(close)(fd);
    log_owner = getpid();
    log_begin = map;
}

/* A child between fork and exec has our memory, perhaps the very same: it is not to touch it. */
static int is_recording(void)
{
    return log_begin && getpid() == log_owner;
}

static uint32_t number_of(int fd)
{
    if (fd < 0 || fd >= MOST_FILES || !opened_by[fd])
        return 0;
    return is_recording() ? opened_by[fd] : 0;
}

/* The path below the root, "" for the root itself, NULL if it is not there. */
static const char *ours(int directory, const char *path, char *room)
{
    if (!path || !is_recording())
        return NULL;
    if (path[0] != '/') {
        char link[64];
        ssize_t length;
        if (directory == AT_FDCWD) {
            if (!getcwd(room, PATH_MAX))
                return NULL;
        } else {
            snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
            length = readlink(link, room, PATH_MAX - 1);
            if (length < 0)
                return NULL;
            room[length] = 0;
        }
        if (strlen(room) + strlen(path) + 2 > PATH_MAX)
            return NULL;
        strcat(strcat(room, "/"), path);
        path = room;
    }
    if (strncmp(path, root, root_length))
        return NULL;
    path += root_length;
    if (*path && *path != '/')
        return NULL;
    while (*path == '/')
        path++;
    return path;
}

static struct record *note(int op, uint32_t opened, int flags, int64_t offset, const char *path,
                           size_t path_length, const struct iovec *parts, int count)
{
    int kept = errno;
    size_t data = 0;
    for (int n = 0; n < count; n++)
        data += parts[n].iov_len;
    size_t size = (sizeof(struct record) + path_length + data + 7) & ~(size_t)7;
    pthread_mutex_lock(&mutex);
    if (log_used + size + 8 > CAPACITY) {
        errno = ENOSPC;
        fail("the recording is full");
    }
    struct record *record = (struct record *)(log_begin + log_used);
    unsigned char *at = (unsigned char *)(record + 1);
    record->op = (uint16_t)op;
    record->path = (uint16_t)path_length;
    record->opened = op == OPEN ? ++opens : opened;
    record->flags = flags;
    record->offset = offset;
    record->data = data;
    record->began = now();
    if (path_length)
        memcpy(at, path, path_length);
    at += path_length;
    for (int n = 0; n < count; n++) {
        memcpy(at, parts[n].iov_base, parts[n].iov_len);
        at += parts[n].iov_len;
    }
    atomic_store_explicit(&record->size, (uint32_t)size, memory_order_release);
    log_used += size;
    pthread_mutex_unlock(&mutex);
    errno = kept;
    return record;
}

static long done(struct record *record, long result)
{
    int kept = errno;
    if (record) {
        record->result = result;
        atomic_store_explicit(&record->ended, now(), memory_order_release);
    }
    errno = kept;
    return result;
}

static struct record *note_path(int op, int flags, int64_t offset, const char *path)
{
    return note(op, 0, flags, offset, path, strlen(path), NULL, 0);
}

static void unseen(int fd, const char *how)
{
    uint32_t opened = number_of(fd);
    if (opened)
        done(note(UNSEEN, opened, 0, 0, how, strlen(how), NULL, 0), 0);
}

/* --- opening and closing ---------------------------------------------------------------------- */

static int opened(struct record *record, int fd)
{
    if (fd >= 0 && fd < MOST_FILES && is_recording())
        opened_by[fd] = record ? record->opened : 0;
    else if (fd >= MOST_FILES && record)
        fail("too many open files");
    return (int)done(record, fd);
}

static struct record *opening(int directory, const char *path, int flags)
{
    char room[PATH_MAX];
    const char *found = ours(directory, path, room);
    return found ? note_path(OPEN, flags, 0, found) : NULL;
}

#define MODE_OF(flags)                                                                             \
    mode_t mode = 0;                                                                               \
    if ((flags) & (O_CREAT | __O_TMPFILE)) {                                                       \
        va_list rest;                                                                              \
        va_start(rest, flags);                                                                     \
        mode = va_arg(rest, mode_t);                                                               \
        va_end(rest);                                                                              \
    }

#define OPENS(name)                                                                                \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        MODE_OF(flags)                                                                             \
        struct record *record = opening(AT_FDCWD, path, flags);                                    \
        return opened(record, NEXT(name)(path, flags, mode));                                      \
    }
#define OPENS_AT(name)                                                                             \
    int name(int directory, const char *path, int flags, ...)                                      \
    {                                                                                              \
        MODE_OF(flags)                                                                             \
        struct record *record = opening(directory, path, flags);                                   \
        return opened(record, NEXT(name)(directory, path, flags, mode));                           \
    }
#define CREATES(name)                                                                              \
    int name(const char *path, mode_t mode)                                                        \
    {                                                                                              \
        struct record *record = opening(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC);             \
        return opened(record, NEXT(name)(path, mode));                                             \
    }

OPENS(open)
OPENS(open64)
OPENS_AT(openat)
OPENS_AT(openat64)
CREATES(creat)
CREATES(creat64)

/* What fortified programs call when there is no mode. */
int __open_2(const char *path, int flags) { return open(path, flags, 0); }
int __open64_2(const char *path, int flags) { return open64(path, flags, 0); }
int __openat_2(int at, const char *path, int flags) { return openat(at, path, flags, 0); }
int __openat64_2(int at, const char *path, int flags) { return openat64(at, path, flags, 0); }

int close(int fd)
{
    if (number_of(fd))
        opened_by[fd] = 0;
    return NEXT(close)(fd);
}

int close_range(unsigned first, unsigned last, int flags)
{
    for (unsigned fd = first; fd <= last && fd < MOST_FILES; fd++)
        if (!(flags & (int)CLOSE_RANGE_CLOEXEC) && number_of((int)fd))
            opened_by[fd] = 0;
    return NEXT(close_range)(first, last, flags);
}

static int duplicated(int from, int to)
{
    if (to >= 0 && to < MOST_FILES && is_recording())
        opened_by[to] = from >= 0 && from < MOST_FILES ? opened_by[from] : 0;
    return to;
}

int dup(int fd) { return duplicated(fd, NEXT(dup)(fd)); }
int dup2(int fd, int to) { return duplicated(fd, NEXT(dup2)(fd, to)); }
int dup3(int fd, int to, int flags) { return duplicated(fd, NEXT(dup3)(fd, to, flags)); }

#define CONTROLS(name)                                                                             \
    int name(int fd, int command, ...)                                                             \
    {                                                                                              \
        va_list rest;                                                                              \
        va_start(rest, command);                                                                   \
        void *argument = va_arg(rest, void *);                                                     \
        va_end(rest);                                                                              \
        int result = NEXT(name)(fd, command, argument);                                            \
        if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)                                      \
            duplicated(fd, result);                                                                \
        return result;                                                                             \
    }

CONTROLS(fcntl)
CONTROLS(fcntl64)

/* --- writing ---------------------------------------------------------------------------------- */

static int64_t position(int fd)
{
    struct stat about;
    int flags = NEXT(fcntl)(fd, F_GETFL);
    if (flags & O_APPEND)
        return fstat(fd, &about) ? 0 : about.st_size;
    return lseek(fd, 0, SEEK_CUR);
}

static struct record *writing(int fd, const struct iovec *parts, int count, int64_t offset)
{
    uint32_t from = number_of(fd);
    if (!from)
        return NULL;
    return note(WRITE, from, 0, offset < 0 ? position(fd) : offset, NULL, 0, parts, count);
}

static struct record *writing_one(int fd, const void *data, size_t size, int64_t offset)
{
    struct iovec part = {(void *)data, size};
    return writing(fd, &part, 1, offset);
}

ssize_t write(int fd, const void *data, size_t size)
{
    struct record *record = writing_one(fd, data, size, -1);
    return done(record, NEXT(write)(fd, data, size));
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    struct record *record = writing_one(fd, data, size, offset);
    return done(record, NEXT(pwrite)(fd, data, size, offset));
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
    struct record *record = writing_one(fd, data, size, offset);
    return done(record, NEXT(pwrite64)(fd, data, size, offset));
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    struct record *record = writing(fd, parts, count, -1);
    return done(record, NEXT(writev)(fd, parts, count));
}

#define WRITES_PARTS(name, number)                                                                 \
    ssize_t name(int fd, const struct iovec *parts, int count, number offset)                      \
    {                                                                                              \
        struct record *record = writing(fd, parts, count, offset);                                 \
        return done(record, NEXT(name)(fd, parts, count, offset));                                 \
    }
#define WRITES_PARTS_SO(name, number)                                                              \
    ssize_t name(int fd, const struct iovec *parts, int count, number offset, int flags)           \
    {                                                                                              \
        struct record *record = writing(fd, parts, count, offset);                                 \
        return done(record, NEXT(name)(fd, parts, count, offset, flags));                          \
    }

WRITES_PARTS(pwritev, off_t)
WRITES_PARTS(pwritev64, off64_t)
WRITES_PARTS_SO(pwritev2, off_t)
WRITES_PARTS_SO(pwritev64v2, off64_t)

static struct record *truncating(int fd, int64_t length)
{
    uint32_t from = number_of(fd);
    return from ? note(TRUNCATE, from, 0, length, NULL, 0, NULL, 0) : NULL;
}

static struct record *truncating_path(const char *path, int64_t length)
{
    char room[PATH_MAX];
    const char *found = ours(AT_FDCWD, path, room);
    return found ? note_path(TRUNCATE, 0, length, found) : NULL;
}

int ftruncate(int fd, off_t length)
{
    struct record *record = truncating(fd, length);
    return (int)done(record, NEXT(ftruncate)(fd, length));
}

int ftruncate64(int fd, off64_t length)
{
    struct record *record = truncating(fd, length);
    return (int)done(record, NEXT(ftruncate64)(fd, length));
}

int truncate(const char *path, off_t length)
{
    struct record *record = truncating_path(path, length);
    return (int)done(record, NEXT(truncate)(path, length));
}

int truncate64(const char *path, off64_t length)
{
    struct record *record = truncating_path(path, length);
    return (int)done(record, NEXT(truncate64)(path, length));
}

/* --- syncing ---------------------------------------------------------------------------------- */

/* sync, syncfs, sync_file_range and msync are not noted: nothing counts as safe by them alone. */
#define SYNCS(name)                                                                                \
    int name(int fd)                                                                               \
    {                                                                                              \
        uint32_t from = number_of(fd);                                                             \
        struct record *record = from ? note(SYNC, from, 0, 0, NULL, 0, NULL, 0) : NULL;            \
        return (int)done(record, NEXT(name)(fd));                                                  \
    }

SYNCS(fsync)
SYNCS(fdatasync)

/* --- names ------------------------------------------------------------------------------------ */

static struct record *renaming(int from_at, const char *from, int to_at, const char *to)
{
    char from_room[PATH_MAX], to_room[PATH_MAX], both[2 * PATH_MAX];
    const char *a = ours(from_at, from, from_room), *b = ours(to_at, to, to_room);
    if (!a && !b)
        return NULL;
    if (!a || !b)
        return note_path(UNSEEN, 0, 0, "rename across the border");
    size_t length = strlen(a) + 1;
    memcpy(both, a, length);
    memcpy(both + length, b, strlen(b));
    return note(RENAME, 0, 0, 0, both, length + strlen(b), NULL, 0);
}

int rename(const char *from, const char *to)
{
    struct record *record = renaming(AT_FDCWD, from, AT_FDCWD, to);
    return (int)done(record, NEXT(rename)(from, to));
}

int renameat(int from_at, const char *from, int to_at, const char *to)
{
    struct record *record = renaming(from_at, from, to_at, to);
    return (int)done(record, NEXT(renameat)(from_at, from, to_at, to));
}

int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags)
{
    char room[PATH_MAX];
    struct record *record = NULL;
    if (!flags)
        record = renaming(from_at, from, to_at, to);
    else if (ours(from_at, from, room) || ours(to_at, to, room))
        record = note_path(UNSEEN, 0, 0, "renameat2 with flags");
    return (int)done(record, NEXT(renameat2)(from_at, from, to_at, to, flags));
}

static struct record *unlinking(int directory, const char *path)
{
    char room[PATH_MAX];
    const char *found = ours(directory, path, room);
    return found ? note_path(UNLINK, 0, 0, found) : NULL;
}

int unlink(const char *path)
{
    struct record *record = unlinking(AT_FDCWD, path);
    return (int)done(record, NEXT(unlink)(path));
}

int unlinkat(int directory, const char *path, int flags)
{
    struct record *record = flags & AT_REMOVEDIR ? NULL : unlinking(directory, path);
    return (int)done(record, NEXT(unlinkat)(directory, path, flags));
}

int remove(const char *path)
{
    struct record *record = unlinking(AT_FDCWD, path);
    return done(record, NEXT(remove)(path)) ? -1 : 0;
}

int linkat(int from_at, const char *from, int to_at, const char *to, int flags)
{
    char room[PATH_MAX];
    struct record *record = NULL;
    if (ours(from_at, from, room) || ours(to_at, to, room))
        record = note_path(UNSEEN, 0, 0, "link");
    return (int)done(record, NEXT(linkat)(from_at, from, to_at, to, flags));
}

int link(const char *from, const char *to)
{
    char room[PATH_MAX];
    struct record *record = NULL;
    if (ours(AT_FDCWD, from, room) || ours(AT_FDCWD, to, room))
        record = note_path(UNSEEN, 0, 0, "link");
    return (int)done(record, NEXT(link)(from, to));
}

/* --- what is not understood ------------------------------------------------------------------- */

#define MAPS(name, number)                                                                         \
    void *name(void *at, size_t size, int access, int flags, int fd, number offset)                \
    {                                                                                              \
        if (fd >= 0 && (flags & MAP_TYPE) != MAP_PRIVATE && (access & PROT_WRITE))                 \
            unseen(fd, "mmap");                                                                    \
        return NEXT(name)(at, size, access, flags, fd, offset);                                    \
    }

MAPS(mmap, off_t)
MAPS(mmap64, off64_t)

#define ALLOCATES(name, number)                                                                    \
    int name(int fd, number offset, number length)                                                 \
    {                                                                                              \
        unseen(fd, #name);                                                                         \
        return NEXT(name)(fd, offset, length);                                                     \
    }

ALLOCATES(posix_fallocate, off_t)
ALLOCATES(posix_fallocate64, off64_t)

int fallocate(int fd, int mode, off_t offset, off_t length)
{
    unseen(fd, "fallocate");
    return NEXT(fallocate)(fd, mode, offset, length);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t length)
{
    unseen(fd, "fallocate");
    return NEXT(fallocate64)(fd, mode, offset, length);
}

ssize_t sendfile(int out, int in, off_t *offset, size_t size)
{
    unseen(out, "sendfile");
    return NEXT(sendfile)(out, in, offset, size);
}

ssize_t sendfile64(int out, int in, off64_t *offset, size_t size)
{
    unseen(out, "sendfile");
    return NEXT(sendfile64)(out, in, offset, size);
}

ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t size, unsigned flags)
{
    unseen(out, "copy_file_range");
    return NEXT(copy_file_range)(in, from, out, to, size, flags);
}

ssize_t splice(int in, off64_t *from, int out, off64_t *to, size_t size, unsigned flags)
{
    unseen(out, "splice");
    return NEXT(splice)(in, from, out, to, size, flags);
}
