/* Loaded into a test's Postgres where nothing can be mounted: below $SMALL_DISK_DIR no file grows beyond
 * $SMALL_DISK_BYTES while the file $SMALL_DISK_FLAG is there. What grows is refused as a full disk refuses it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int is_full(int fd, off_t end) {
    const char *dir = getenv("SMALL_DISK_DIR"), *flag = getenv("SMALL_DISK_FLAG"), *bytes = getenv("SMALL_DISK_BYTES");
    char link[64], path[4096];
    struct stat file;
    if (!dir || !flag || !bytes || access(flag, F_OK) != 0 || fstat(fd, &file) != 0 || !S_ISREG(file.st_mode))
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return strncmp(path, dir, strlen(dir)) == 0 && end > file.st_size && end > atol(bytes);
}

static off_t total(const struct iovec *parts, int count) {
    off_t bytes = 0;
    for (int at = 0; at < count; at++)
        bytes += parts[at].iov_len;
    return bytes;
}

typedef ssize_t (*write_at)(int, const void *, size_t, off_t);
typedef ssize_t (*write_parts_at)(int, const struct iovec *, int, off_t);
typedef int (*allocate)(int, off_t, off_t);

static ssize_t write_or_refuse(const char *name, int fd, const void *data, size_t size, off_t at) {
    if (is_full(fd, at + (off_t)size)) {
        errno = ENOSPC;
        return -1;
    }
    return ((write_at)dlsym(RTLD_NEXT, name))(fd, data, size, at);
}

static ssize_t write_parts_or_refuse(const char *name, int fd, const struct iovec *parts, int count, off_t at) {
    if (is_full(fd, at + total(parts, count))) {
        errno = ENOSPC;
        return -1;
    }
    return ((write_parts_at)dlsym(RTLD_NEXT, name))(fd, parts, count, at);
}

/* These two answer the error itself. */
static int allocate_or_refuse(const char *name, int fd, off_t at, off_t size) {
    return is_full(fd, at + size) ? ENOSPC : ((allocate)dlsym(RTLD_NEXT, name))(fd, at, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return write_or_refuse("pwrite", fd, data, size, at); }
ssize_t pwrite64(int fd, const void *data, size_t size, off_t at) { return write_or_refuse("pwrite64", fd, data, size, at); }
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) { return write_parts_or_refuse("pwritev", fd, parts, count, at); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t at) { return write_parts_or_refuse("pwritev64", fd, parts, count, at); }
int posix_fallocate(int fd, off_t at, off_t size) { return allocate_or_refuse("posix_fallocate", fd, at, size); }
int posix_fallocate64(int fd, off_t at, off_t size) { return allocate_or_refuse("posix_fallocate64", fd, at, size); }
