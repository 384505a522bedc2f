/* Stands between a child and libc, for the files below one folder: fails calls as a broken disk would, or records them.

   FAULTS_FOLDER   the folder; all other files are left alone
   FAULTS_CONTROL  a file of four int32: the errno with which reads, writes, syncs, and opening for writing fail; 0: they
                   work. It is mapped, so whoever writes to it changes what happens from that moment on.
   FAULTS_RECORD   a file to which each change is appended, in the order in which the calls returned:
                   u8 kind, u8 length of the name, u32 length of the data, i64 offset or size; the name, the data.
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { READ, WRITE, SYNC, OPEN, FAULTS };
enum { WROTE = 1, TRUNCATED, SYNCED, REMOVED };
enum { DESCRIPTORS = 1024, NAME_BYTES = 250 };

static const char *folder;
static const volatile int32_t *control;
static int record = -1;
static char *names[DESCRIPTORS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name, type, ...) \
  static type (*real)(__VA_ARGS__); \
  if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static int plain_open(const char *path, int flags) {
  REAL("open64", int, const char *, int, ...);
  return real(path, flags, 0600);
}

__attribute__((constructor)) static void begin(void) {
  folder = getenv("FAULTS_FOLDER");
  const char *path = getenv("FAULTS_CONTROL");
  if (path) {
    int fd = plain_open(path, O_RDONLY | O_CLOEXEC);
    void *mapped = mmap(0, FAULTS * sizeof(int32_t), PROT_READ, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED) _exit(99);
    control = mapped;
  }
  path = getenv("FAULTS_RECORD");
  if (path) record = plain_open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC);
}

static const char *ours(const char *path) {
  size_t size = folder && path ? strlen(folder) : 0;
  return size && !strncmp(path, folder, size) && path[size] == '/' ? path + size + 1 : 0;
}

static const char *name_of(int fd) { return fd >= 0 && fd < DESCRIPTORS ? names[fd] : 0; }

static int fails(int fd, int what) {
  int error = control && name_of(fd) ? control[what] : 0;
  if (error) errno = error;
  return error;
}

static void put(int fd, const void *data, size_t size) {
  REAL("write", ssize_t, int, const void *, size_t);
  for (const char *at = data; size;) {
    ssize_t done = real(fd, at, size);
    if (done <= 0) _exit(98);
    at += done;
    size -= (size_t)done;
  }
}

static void note(uint8_t kind, const char *name, int64_t at, const void *data, uint32_t size) {
  if (record < 0 || !name) return;
  uint8_t length = (uint8_t)strlen(name);
  char head[14];
  head[0] = (char)kind;
  head[1] = (char)length;
  memcpy(head + 2, &size, 4);
  memcpy(head + 6, &at, 8);
  int before = errno;
  pthread_mutex_lock(&lock);
  put(record, head, sizeof head);
  put(record, name, length);
  if (size) put(record, data, size);
  pthread_mutex_unlock(&lock);
  errno = before;
}

static int refused(const char *path, int flags) {
  if (!ours(path) || !control || !control[OPEN]) return 0;
  if ((flags & O_ACCMODE) == O_RDONLY && !(flags & O_CREAT)) return 0;
  errno = control[OPEN];
  return 1;
}

static int opened(const char *path, int fd) {
  if (fd >= 0 && fd < DESCRIPTORS) {
    free(names[fd]);
    names[fd] = ours(path) ? strndup(ours(path), NAME_BYTES) : 0;
  }
  return fd;
}

static mode_t mode_in(int flags, va_list rest) { return flags & O_CREAT ? va_arg(rest, mode_t) : 0; }

#define OPEN_AS(name) \
  int name(const char *path, int flags, ...) { \
    REAL(#name, int, const char *, int, ...); \
    va_list rest; \
    va_start(rest, flags); \
    mode_t mode = mode_in(flags, rest); \
    va_end(rest); \
    return refused(path, flags) ? -1 : opened(path, real(path, flags, mode)); \
  }
OPEN_AS(open)
OPEN_AS(open64)

#define OPENAT_AS(name) \
  int name(int at, const char *path, int flags, ...) { \
    REAL(#name, int, int, const char *, int, ...); \
    va_list rest; \
    va_start(rest, flags); \
    mode_t mode = mode_in(flags, rest); \
    va_end(rest); \
    return refused(path, flags) ? -1 : opened(path, real(at, path, flags, mode)); \
  }
OPENAT_AS(openat)
OPENAT_AS(openat64)

int close(int fd) {
  REAL("close", int, int);
  if (name_of(fd)) {
    free(names[fd]);
    names[fd] = 0;
  }
  return real(fd);
}

#define PREAD_AS(name) \
  ssize_t name(int fd, void *data, size_t size, off64_t at) { \
    REAL(#name, ssize_t, int, void *, size_t, off64_t); \
    return fails(fd, READ) ? -1 : real(fd, data, size, at); \
  }
PREAD_AS(pread)
PREAD_AS(pread64)

#define PWRITE_AS(name) \
  ssize_t name(int fd, const void *data, size_t size, off64_t at) { \
    REAL(#name, ssize_t, int, const void *, size_t, off64_t); \
    if (fails(fd, WRITE)) return -1; \
    ssize_t done = real(fd, data, size, at); \
    if (done > 0) note(WROTE, name_of(fd), at, data, (uint32_t)done); \
    return done; \
  }
PWRITE_AS(pwrite)
PWRITE_AS(pwrite64)

ssize_t write(int fd, const void *data, size_t size) {
  REAL("write", ssize_t, int, const void *, size_t);
  if (fails(fd, WRITE)) return -1;
  ssize_t done = real(fd, data, size);
  if (done > 0) note(WROTE, name_of(fd), -1, data, (uint32_t)done);
  return done;
}

#define TRUNCATE_AS(name) \
  int name(int fd, off64_t size) { \
    REAL(#name, int, int, off64_t); \
    if (fails(fd, WRITE)) return -1; \
    int answer = real(fd, size); \
    if (!answer) note(TRUNCATED, name_of(fd), size, 0, 0); \
    return answer; \
  }
TRUNCATE_AS(ftruncate)
TRUNCATE_AS(ftruncate64)

#define FALLOCATE_AS(name) \
  int name(int fd, off64_t at, off64_t size) { \
    REAL(#name, int, int, off64_t, off64_t); \
    return fails(fd, WRITE) ? errno : real(fd, at, size); \
  }
FALLOCATE_AS(posix_fallocate)
FALLOCATE_AS(posix_fallocate64)

#define SYNC_AS(name) \
  int name(int fd) { \
    REAL(#name, int, int); \
    if (fails(fd, SYNC)) return -1; \
    int answer = real(fd); \
    if (!answer) note(SYNCED, name_of(fd), 0, 0, 0); \
    return answer; \
  }
SYNC_AS(fsync)
SYNC_AS(fdatasync)

int unlink(const char *path) {
  REAL("unlink", int, const char *);
  int answer = real(path);
  if (!answer) note(REMOVED, ours(path), 0, 0, 0);
  return answer;
}
