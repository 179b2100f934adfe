/*
 * A sick disk, a full one, and too few descriptors: makes calls fail that change files below FT_SICK_DIR.
 *
 * Loaded with LD_PRELOAD. FT_SICK=CALLS:WHAT:FROM:COUNT says which calls (write, sync, name, open, or change: all but
 * open), what happens to them (an errno such as EIO; `crash`: the process is killed before the call; `short`: a write
 * of half its bytes, then ENOSPC), and to which: COUNT of them from the FROM-th on. Counting begins at 1 with the
 * process; FT_SICK_COUNT names a file for their number. What a sync that fails was to make durable may or may not be on the disk; here it is.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum call { WRITE = 1, SYNC = 2, NAME = 4, OPEN = 8 };
enum { CRASH = -1, SHORT = -2 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char sick_dir[PATH_MAX];
static size_t sick_len;
static int calls, what;
static long from, count;
static atomic_long seen;

static const struct { const char *name; int number; } errors[] = {
    {"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EROFS", EROFS}, {"EMFILE", EMFILE}, {"EDQUOT", EDQUOT},
    {"EACCES", EACCES}, {"crash", CRASH}, {"short", SHORT},
};
static const struct { const char *name; int calls; } kinds[] = {
    {"write", WRITE}, {"sync", SYNC}, {"name", NAME}, {"open", OPEN}, {"change", WRITE | SYNC | NAME},
};

static void start(void) {
    const char *dir = getenv("FT_SICK_DIR"), *sick = getenv("FT_SICK");
    char kind[16], error[16];
    if (!dir || !sick) return;
    if (sscanf(sick, "%15[^:]:%15[^:]:%ld:%ld", kind, error, &from, &count) != 4) abort();
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) if (!strcmp(kinds[i].name, kind)) calls = kinds[i].calls;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) if (!strcmp(errors[i].name, error)) what = errors[i].number;
    if (!calls || !what) abort();
    snprintf(sick_dir, sizeof sick_dir, "%s", dir);
    sick_len = strlen(sick_dir);
}

/* How many calls there were, for who wants to hit each of them. */
__attribute__((destructor)) static void tell(void) {
    const char *path = getenv("FT_SICK_COUNT");
    char text[32];
    if (!path) return;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    int len = snprintf(text, sizeof text, "%ld", atomic_load(&seen));
    if (fd < 0 || syscall(SYS_write, fd, text, len) != len) abort();
}

static int below(const char *path) {
    return strncmp(path, sick_dir, sick_len) == 0 && (path[sick_len] == '/' || path[sick_len] == 0);
}

static int fd_below(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0) return 0;
    path[n] = 0;
    return below(path);
}

/* 0: it goes well. Otherwise what happens to the call. */
static int fate(enum call call, const char *path, int fd) {
    pthread_once(&once, start);
    if (!(calls & call)) return 0;
    int error = errno;
    int ours = path ? below(path) : fd_below(fd);
    errno = error;
    if (!ours) return 0;
    long n = atomic_fetch_add(&seen, 1) + 1;
    if (n < from || n >= from + count) return 0;
    if (what == CRASH) raise(SIGABRT);
    return what;
}

#define FAIL_IF(call, path, fd)              \
    do {                                     \
        int fails = fate(call, path, fd);    \
        if (fails > 0) {                     \
            errno = fails;                   \
            return -1;                       \
        }                                    \
    } while (0)

static ssize_t write_at(int fd, const void *data, size_t len, off_t at) {
    int fails = fate(WRITE, NULL, fd);
    if (fails > 0 || (fails == SHORT && len < 2)) {
        errno = fails > 0 ? fails : ENOSPC;
        return -1;
    }
    if (fails == SHORT) len /= 2;
    return at < 0 ? syscall(SYS_write, fd, data, len) : syscall(SYS_pwrite64, fd, data, len, at);
}

ssize_t write(int fd, const void *data, size_t len) { return write_at(fd, data, len, -1); }
ssize_t pwrite(int fd, const void *data, size_t len, off_t at) { return write_at(fd, data, len, at); }
ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at) { return write_at(fd, data, len, at); }
ssize_t writev(int fd, const struct iovec *parts, int n) {
    FAIL_IF(WRITE, NULL, fd);
    return syscall(SYS_writev, fd, parts, n);
}

int ftruncate(int fd, off_t size) {
    FAIL_IF(WRITE, NULL, fd);
    return (int)syscall(SYS_ftruncate, fd, size);
}
int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }
int fallocate(int fd, int mode, off_t at, off_t len) {
    FAIL_IF(WRITE, NULL, fd);
    return (int)syscall(SYS_fallocate, fd, mode, at, len);
}
int posix_fallocate(int fd, off_t at, off_t len) { return fallocate(fd, 0, at, len) ? errno : 0; }
int posix_fallocate64(int fd, off64_t at, off64_t len) { return posix_fallocate(fd, at, len); }

int fsync(int fd) {
    FAIL_IF(SYNC, NULL, fd);
    return (int)syscall(SYS_fsync, fd);
}
int fdatasync(int fd) {
    FAIL_IF(SYNC, NULL, fd);
    return (int)syscall(SYS_fdatasync, fd);
}

/* Opening fails as `open`; making a file, or opening one to write, is a change of names as well. */
static int open_at(int dir, const char *name, int flags, mode_t mode) {
    FAIL_IF(OPEN, name, -1);
    if (flags & O_CREAT) FAIL_IF(NAME, name, -1);
    return (int)syscall(SYS_openat, dir, name, flags, mode);
}

static mode_t mode_of(int flags, va_list list) {
    return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(list, mode_t) : 0;
}

#define OPEN_CALL(function, ...)                      \
    int function(__VA_ARGS__ const char *name, int flags, ...) { \
        va_list list;                                 \
        va_start(list, flags);                        \
        mode_t mode = mode_of(flags, list);           \
        va_end(list);                                 \
        return open_at(DIR_OF, name, flags, mode);    \
    }
#define DIR_OF AT_FDCWD
OPEN_CALL(open)
OPEN_CALL(open64)
#undef DIR_OF
#define DIR_OF dir
OPEN_CALL(openat, int dir,)
OPEN_CALL(openat64, int dir,)

int rename(const char *a, const char *b) {
    FAIL_IF(NAME, b, -1);
    return (int)syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 0);
}
int unlink(const char *name) {
    FAIL_IF(NAME, name, -1);
    return (int)syscall(SYS_unlinkat, AT_FDCWD, name, 0);
}
int mkdir(const char *name, mode_t mode) {
    FAIL_IF(NAME, name, -1);
    return (int)syscall(SYS_mkdirat, AT_FDCWD, name, mode);
}
