/*
 * Records what a process asks of the file system, so that a power cut can be played back later.
 *
 * Loaded with LD_PRELOAD. Every call that changes a file below FT_RECORD_DIR, or makes a change durable, is carried
 * out and then appended to FT_RECORD_LOG. One lock covers both, so the order of the log is the order in which the
 * calls took effect. What the process writes to the file FT_RECORD_MARKS goes into the same log as a mark: "this was
 * promised by now". The log and the marks lie outside FT_RECORD_DIR.
 *
 * A record is a header (struct entry, in the byte order of this machine), then `len` bytes, then `len2` bytes.
 * tests/crash/disk.rs reads it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind {
    CREATE = 1,   /* inode, data: path */
    TRUNCATE = 2, /* inode, offset: the new size */
    WRITE = 3,    /* inode, offset, data: the bytes */
    SYNC = 4,     /* inode: a file's content, and its size */
    SYNC_DIR = 5, /* data: path of the directory */
    RENAME = 6,   /* data: from, data2: to */
    UNLINK = 7,   /* data: path */
    MKDIR = 8,    /* data: path */
    RMDIR = 9,    /* data: path */
    MARK = 10,    /* data: what was promised */
    UNKNOWN = 11, /* data: a call that the replay could not follow */
};

struct entry {
    uint32_t magic;
    uint32_t kind;
    uint64_t inode;
    uint64_t offset;
    uint32_t len;
    uint32_t len2;
};

#define MAGIC 0x46545243u
#define REAL(name) ((__typeof__(&name))real(#name))
#define FDS 4096

enum watched { UNSEEN = 0, OTHER, FILE_BELOW, DIR_BELOW, MARKS };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static char watched_dir[PATH_MAX], marks_path[PATH_MAX];
static size_t watched_len;
static int log_fd = -1;
static unsigned char seen[FDS]; /* enum watched, by descriptor; forgotten at close */

static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) abort();
    return found;
}

static void start(void) {
    const char *dir = getenv("FT_RECORD_DIR"), *log = getenv("FT_RECORD_LOG"), *marks = getenv("FT_RECORD_MARKS");
    if (!dir || !log || !marks || !realpath(dir, watched_dir) || !realpath(marks, marks_path)) return;
    watched_len = strlen(watched_dir);
    log_fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

static int recording(void) {
    pthread_once(&once, start);
    return log_fd >= 0;
}

static void put(const void *bytes, size_t len) {
    const char *at = bytes;
    while (len > 0) {
        long n = syscall(SYS_write, log_fd, at, len);
        if (n <= 0) abort(); /* a log with a hole would acquit anybody */
        at += n;
        len -= (size_t)n;
    }
}

static void append(enum kind kind, uint64_t inode, uint64_t offset, const void *data, size_t len, const void *data2,
                   size_t len2) {
    struct entry entry = {MAGIC, kind, inode, offset, (uint32_t)len, (uint32_t)len2};
    put(&entry, sizeof entry);
    put(data, len);
    put(data2, len2);
}

static void append_path(enum kind kind, const char *path) { append(kind, 0, 0, path, strlen(path), NULL, 0); }

/* Is this absolute path the watched directory, or below it? */
static int below(const char *path) {
    return strncmp(path, watched_dir, watched_len) == 0 && (path[watched_len] == '/' || path[watched_len] == 0);
}

/* The absolute path of `name` seen from `dir`, its parent resolved (the name itself may not exist). */
static int absolute(int dir, const char *name, char *out) {
    char whole[PATH_MAX], parent[PATH_MAX];
    if (name[0] == '/') {
        snprintf(whole, sizeof whole, "%s", name);
    } else if (dir == AT_FDCWD) {
        if (!getcwd(parent, sizeof parent)) return 0;
        if (snprintf(whole, sizeof whole, "%s/%s", parent, name) >= (int)sizeof whole) return 0;
    } else {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
        ssize_t n = readlink(link, parent, sizeof parent - 1);
        if (n < 0) return 0;
        parent[n] = 0;
        if (snprintf(whole, sizeof whole, "%s/%s", parent, name) >= (int)sizeof whole) return 0;
    }
    size_t len = strlen(whole);
    while (len > 1 && whole[len - 1] == '/') whole[--len] = 0;
    char *slash = strrchr(whole, '/');
    if (!slash) return 0;
    char last[NAME_MAX + 1];
    snprintf(last, sizeof last, "%s", slash + 1);
    *(slash == whole ? slash + 1 : slash) = 0;
    if (!realpath(whole, parent)) return 0;
    return snprintf(out, PATH_MAX, "%s/%s", strcmp(parent, "/") ? parent : "", last) < PATH_MAX;
}

/* What a descriptor stands for. Read from the kernel, so that no way of opening or copying one escapes. */
static enum watched look(int fd, char *path) {
    if (fd < 0 || (fd < FDS && seen[fd] == OTHER)) return OTHER;
    if (fd < FDS && seen[fd] != UNSEEN && !path) return (enum watched)seen[fd];
    char link[64], buffer[PATH_MAX];
    if (!path) path = buffer;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_MAX - 1);
    enum watched what = OTHER;
    if (n > 0) {
        struct stat st;
        path[n] = 0;
        if (strcmp(path, marks_path) == 0) what = MARKS;
        else if (below(path) && fstat(fd, &st) == 0) what = S_ISDIR(st.st_mode) ? DIR_BELOW : FILE_BELOW;
    }
    if (fd < FDS) seen[fd] = (unsigned char)what;
    return what;
}

static uint64_t inode_of(int fd) {
    struct stat st;
    return fstat(fd, &st) == 0 ? (uint64_t)st.st_ino : 0;
}

static void forget(int fd) {
    if (fd >= 0 && fd < FDS) seen[fd] = UNSEEN;
}

/* --- opening ---------------------------------------------------------------------------------------------------- */

static int open_recorded(int dir, const char *name, int flags, mode_t mode) {
    if (!recording()) return (int)syscall(SYS_openat, dir, name, flags, mode);
    pthread_mutex_lock(&lock);
    char path[PATH_MAX];
    struct stat st;
    int changes = (flags & (O_CREAT | O_TRUNC)) && absolute(dir, name, path) && below(path);
    int existed = changes && stat(path, &st) == 0;
    int fd = (int)syscall(SYS_openat, dir, name, flags, mode);
    int error = errno;
    if (fd >= 0) forget(fd);
    if (fd >= 0 && changes) {
        if ((flags & O_TMPFILE) == O_TMPFILE) append_path(UNKNOWN, "O_TMPFILE");
        else if (!existed) append(CREATE, inode_of(fd), 0, path, strlen(path), NULL, 0);
        else if (flags & O_TRUNC) append(TRUNCATE, inode_of(fd), 0, NULL, 0, NULL, 0);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return fd;
}

static mode_t mode_of(int flags, va_list list) {
    return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(list, mode_t) : 0;
}

#define OPEN(function)                                          \
    int function(const char *name, int flags, ...) {            \
        va_list list;                                           \
        va_start(list, flags);                                  \
        mode_t mode = mode_of(flags, list);                     \
        va_end(list);                                           \
        return open_recorded(AT_FDCWD, name, flags, mode);      \
    }
#define OPENAT(function)                                        \
    int function(int dir, const char *name, int flags, ...) {   \
        va_list list;                                           \
        va_start(list, flags);                                  \
        mode_t mode = mode_of(flags, list);                     \
        va_end(list);                                           \
        return open_recorded(dir, name, flags, mode);           \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
int __open_2(const char *name, int flags) { return open_recorded(AT_FDCWD, name, flags, 0); }
int __open64_2(const char *name, int flags) { return open_recorded(AT_FDCWD, name, flags, 0); }
int creat(const char *name, mode_t mode) { return open_recorded(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *name, mode_t mode) { return creat(name, mode); }

int close(int fd) {
    if (!recording()) return (int)syscall(SYS_close, fd);
    pthread_mutex_lock(&lock);
    forget(fd);
    int result = (int)syscall(SYS_close, fd), error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

/* --- content ---------------------------------------------------------------------------------------------------- */

/* Carries out one write and records it. `at` < 0: at the descriptor's own position. */
static ssize_t write_recorded(int fd, const void *data, size_t len, off_t at) {
    enum watched what = OTHER;
    if (recording()) pthread_mutex_lock(&lock), what = look(fd, NULL);
    off_t offset = at;
    if (what == FILE_BELOW) {
        int flags = fcntl(fd, F_GETFL);
        if (flags >= 0 && (flags & O_APPEND)) {
            struct stat st;
            offset = fstat(fd, &st) == 0 ? st.st_size : 0;
        } else if (at < 0) {
            offset = lseek(fd, 0, SEEK_CUR);
        }
    }
    ssize_t n = at < 0 ? syscall(SYS_write, fd, data, len) : syscall(SYS_pwrite64, fd, data, len, at);
    int error = errno;
    if (n > 0 && what == FILE_BELOW) append(WRITE, inode_of(fd), (uint64_t)offset, data, (size_t)n, NULL, 0);
    if (n > 0 && what == MARKS) append(MARK, 0, 0, data, (size_t)n, NULL, 0);
    if (recording()) pthread_mutex_unlock(&lock);
    errno = error;
    return n;
}

ssize_t write(int fd, const void *data, size_t len) { return write_recorded(fd, data, len, -1); }
ssize_t pwrite(int fd, const void *data, size_t len, off_t at) { return write_recorded(fd, data, len, at); }
ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at) { return write_recorded(fd, data, len, at); }

/* One write per part: the parts of a gathered write are torn apart by a power cut all the same. */
static ssize_t gather(int fd, const struct iovec *parts, int count, off_t at) {
    ssize_t all = 0;
    for (int i = 0; i < count; i++) {
        if (parts[i].iov_len == 0) continue;
        ssize_t n = write_recorded(fd, parts[i].iov_base, parts[i].iov_len, at < 0 ? -1 : at + all);
        if (n < 0) return all > 0 ? all : n;
        all += n;
        if ((size_t)n < parts[i].iov_len) break;
    }
    return all;
}

static int is_file(int fd) {
    if (!recording()) return 0;
    pthread_mutex_lock(&lock);
    enum watched what = look(fd, NULL);
    pthread_mutex_unlock(&lock);
    return what == FILE_BELOW || what == MARKS;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    return is_file(fd) ? gather(fd, parts, count, -1) : syscall(SYS_writev, fd, parts, count);
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
    return is_file(fd) ? gather(fd, parts, count, at) : REAL(pwritev)(fd, parts, count, at);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) { return pwritev(fd, parts, count, at); }

int ftruncate(int fd, off_t size) {
    if (!recording()) return (int)syscall(SYS_ftruncate, fd, size);
    pthread_mutex_lock(&lock);
    int below_dir = look(fd, NULL) == FILE_BELOW;
    int result = (int)syscall(SYS_ftruncate, fd, size), error = errno;
    if (result == 0 && below_dir) append(TRUNCATE, inode_of(fd), (uint64_t)size, NULL, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}
int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }

static int sync_recorded(int fd, long call) {
    if (!recording()) return (int)syscall(call, fd);
    pthread_mutex_lock(&lock);
    char path[PATH_MAX];
    enum watched what = look(fd, path);
    int result = (int)syscall(call, fd), error = errno;
    if (result == 0 && what == FILE_BELOW) append(SYNC, inode_of(fd), 0, NULL, 0, NULL, 0);
    if (result == 0 && what == DIR_BELOW) append_path(SYNC_DIR, path);
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

int fsync(int fd) { return sync_recorded(fd, SYS_fsync); }
int fdatasync(int fd) { return sync_recorded(fd, SYS_fdatasync); }

/* --- names ------------------------------------------------------------------------------------------------------ */

static int rename_recorded(int from_dir, const char *from, int to_dir, const char *to, unsigned flags) {
    if (!recording()) return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
    pthread_mutex_lock(&lock);
    char a[PATH_MAX], b[PATH_MAX];
    int known = absolute(from_dir, from, a) && absolute(to_dir, to, b);
    int result = (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags), error = errno;
    if (result == 0 && known && (below(a) || below(b))) {
        if (flags || !below(a) || !below(b)) append_path(UNKNOWN, "a rename with flags, or across the watched directory");
        else append(RENAME, 0, 0, a, strlen(a), b, strlen(b));
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

int rename(const char *from, const char *to) { return rename_recorded(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int a, const char *from, int b, const char *to) { return rename_recorded(a, from, b, to, 0); }
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
    return rename_recorded(a, from, b, to, flags);
}

static int remove_recorded(int dir, const char *name, int flags) {
    if (!recording()) return (int)syscall(SYS_unlinkat, dir, name, flags);
    pthread_mutex_lock(&lock);
    char path[PATH_MAX];
    int known = absolute(dir, name, path) && below(path);
    int result = (int)syscall(SYS_unlinkat, dir, name, flags), error = errno;
    if (result == 0 && known) append_path(flags & AT_REMOVEDIR ? RMDIR : UNLINK, path);
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

int unlink(const char *name) { return remove_recorded(AT_FDCWD, name, 0); }
int unlinkat(int dir, const char *name, int flags) { return remove_recorded(dir, name, flags); }
int rmdir(const char *name) { return remove_recorded(AT_FDCWD, name, AT_REMOVEDIR); }

static int mkdir_recorded(int dir, const char *name, mode_t mode) {
    if (!recording()) return (int)syscall(SYS_mkdirat, dir, name, mode);
    pthread_mutex_lock(&lock);
    char path[PATH_MAX];
    int result = (int)syscall(SYS_mkdirat, dir, name, mode), error = errno;
    if (result == 0 && absolute(dir, name, path) && below(path)) append_path(MKDIR, path);
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

int mkdir(const char *name, mode_t mode) { return mkdir_recorded(AT_FDCWD, name, mode); }
int mkdirat(int dir, const char *name, mode_t mode) { return mkdir_recorded(dir, name, mode); }

/* --- what the replay does not model: recorded, so that it refuses instead of acquitting ---------------------------- */

static void unknown(const char *what, int fd) {
    if (!recording()) return;
    pthread_mutex_lock(&lock);
    if (look(fd, NULL) == FILE_BELOW) append_path(UNKNOWN, what);
    pthread_mutex_unlock(&lock);
}

int fallocate(int fd, int mode, off_t at, off_t len) {
    unknown("fallocate", fd);
    return (int)syscall(SYS_fallocate, fd, mode, at, len);
}
int fallocate64(int fd, int mode, off64_t at, off64_t len) { return fallocate(fd, mode, at, len); }
int posix_fallocate(int fd, off_t at, off_t len) {
    unknown("posix_fallocate", fd);
    return REAL(posix_fallocate)(fd, at, len);
}
int posix_fallocate64(int fd, off64_t at, off64_t len) { return posix_fallocate(fd, at, len); }
ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t len, unsigned flags) {
    unknown("copy_file_range", out);
    return syscall(SYS_copy_file_range, in, from, out, to, len, flags);
}
ssize_t sendfile(int out, int in, off_t *from, size_t len) {
    unknown("sendfile", out);
    return syscall(SYS_sendfile, out, in, from, len);
}
ssize_t sendfile64(int out, int in, off64_t *from, size_t len) { return sendfile(out, in, from, len); }

int linkat(int a, const char *from, int b, const char *to, int flags) {
    char path[PATH_MAX];
    if (recording() && absolute(b, to, path) && below(path)) {
        pthread_mutex_lock(&lock);
        append_path(UNKNOWN, "linkat");
        pthread_mutex_unlock(&lock);
    }
    return (int)syscall(SYS_linkat, a, from, b, to, flags);
}
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

/* SQLite maps its -shm file; that one is rebuilt after a crash and carries nothing. */
void *mmap(void *where, size_t len, int protection, int flags, int fd, off_t at) {
    char path[PATH_MAX];
    if (fd >= 0 && (protection & PROT_WRITE) && (flags & MAP_SHARED) && recording()) {
        pthread_mutex_lock(&lock);
        if (look(fd, path) == FILE_BELOW && (strlen(path) < 4 || strcmp(path + strlen(path) - 4, "-shm") != 0))
            append_path(UNKNOWN, "a file mapped for writing");
        pthread_mutex_unlock(&lock);
    }
    return (void *)syscall(SYS_mmap, where, len, protection, flags, fd, at);
}
void *mmap64(void *where, size_t len, int protection, int flags, int fd, off64_t at) {
    return mmap(where, len, protection, flags, fd, at);
}
