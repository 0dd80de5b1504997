/* Makes the n-th call of one kind fail, or kills the process there. Loaded with LD_PRELOAD; armed and disarmed by the
   process itself (trust_arm, trust_disarm), so that nothing but what is tried is counted.

   Of calls on files only those are counted that are about a path below the given folder, or about a descriptor of such
   a file. Kinds: see `names`. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OPEN, WRITE, FSYNC, FDATASYNC, CLOSE, RENAME, UNLINK, MKDIR, RMDIR, MEMORY, THREAD, KINDS };
static const char* const names[KINDS] = {"open",   "write", "fsync", "fdatasync", "close", "rename",
                                         "unlink", "mkdir", "rmdir", "memory",    "thread"};

static char folder[PATH_MAX];
static size_t least_bytes;
static int armed_kind = -1, error_number, repeats;
static atomic_long left; /* calls until the fault */
static atomic_long seen; /* calls of the kind since it was armed */

/* error 0: SIGKILL. number 0: only counts. many: every call from the n-th on. */
int trust_arm(const char* kind, long number, int error, int many, const char* below, size_t bytes) {
  for (int k = 0; k < KINDS; ++k) {
    if (strcmp(kind, names[k]) != 0) continue;
    snprintf(folder, sizeof folder, "%s", below);
    least_bytes = bytes;
    error_number = error;
    repeats = many;
    atomic_store(&left, number);
    atomic_store(&seen, 0);
    armed_kind = k;
    return 0;
  }
  return -1;
}

long trust_disarm(void) {
  armed_kind = -1;
  return atomic_load(&seen);
}

static int strikes(void) {
  atomic_fetch_add(&seen, 1);
  const long before = atomic_fetch_sub(&left, 1);
  if (!(before == 1 || (repeats && before < 1 && before > -1000000))) return 0;
  if (error_number == 0) kill(getpid(), SIGKILL);
  errno = error_number;
  return 1;
}

static int below_folder(const char* path) {
  return path != NULL && folder[0] != 0 && strncmp(path, folder, strlen(folder)) == 0;
}

static int path_fails(int kind, const char* path) { return armed_kind == kind && below_folder(path) && strikes(); }

static int descriptor_fails(int kind, int descriptor) {
  if (armed_kind != kind) return 0;
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  const ssize_t size = readlink(link, path, sizeof path - 1);
  if (size <= 0) return 0;
  path[size] = 0;
  return below_folder(path) && strikes();
}

#define REAL(name) \
  static __typeof__(&name) real; \
  if (real == NULL) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define OPENS(name) \
  int name(const char* path, int flags, ...) { \
    REAL(name); \
    va_list rest; \
    va_start(rest, flags); \
    const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0; \
    va_end(rest); \
    return path_fails(OPEN, path) ? -1 : real(path, flags, mode); \
  }
#define OPENS_AT(name) \
  int name(int directory, const char* path, int flags, ...) { \
    REAL(name); \
    va_list rest; \
    va_start(rest, flags); \
    const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0; \
    va_end(rest); \
    return path_fails(OPEN, path) ? -1 : real(directory, path, flags, mode); \
  }
OPENS(open)
OPENS(open64)
OPENS_AT(openat)
OPENS_AT(openat64)

ssize_t write(int descriptor, const void* data, size_t size) {
  REAL(write);
  return descriptor_fails(WRITE, descriptor) ? -1 : real(descriptor, data, size);
}
int fsync(int descriptor) {
  REAL(fsync);
  return descriptor_fails(FSYNC, descriptor) ? -1 : real(descriptor);
}
int fdatasync(int descriptor) {
  REAL(fdatasync);
  return descriptor_fails(FDATASYNC, descriptor) ? -1 : real(descriptor);
}
int close(int descriptor) {
  REAL(close);
  if (!descriptor_fails(CLOSE, descriptor)) return real(descriptor);
  real(descriptor); /* Linux releases the descriptor in any case */
  errno = error_number;
  return -1;
}
int rename(const char* from, const char* to) {
  REAL(rename);
  return path_fails(RENAME, to) ? -1 : real(from, to);
}
int renameat(int a, const char* from, int b, const char* to) {
  REAL(renameat);
  return path_fails(RENAME, to) ? -1 : real(a, from, b, to);
}
int unlink(const char* path) {
  REAL(unlink);
  return path_fails(UNLINK, path) ? -1 : real(path);
}
int unlinkat(int directory, const char* path, int flags) {
  REAL(unlinkat);
  return path_fails(UNLINK, path) ? -1 : real(directory, path, flags);
}
int mkdir(const char* path, mode_t mode) {
  REAL(mkdir);
  return path_fails(MKDIR, path) ? -1 : real(path, mode);
}
int rmdir(const char* path) {
  REAL(rmdir);
  return path_fails(RMDIR, path) ? -1 : real(path);
}

/* The C library's own names, as dlsym may allocate before it has found them. */
extern void* __libc_malloc(size_t);
extern void* __libc_calloc(size_t, size_t);
extern void* __libc_realloc(void*, size_t);
extern void* __libc_memalign(size_t, size_t);

/* OpenMP and the library of safetensors end the process where their own allocations fail: that is not promised
   otherwise, and not tried. */
static int is_foreign(const void* caller) {
  Dl_info place;
  if (dladdr(caller, &place) == 0 || place.dli_fname == NULL) return 0;
  return strstr(place.dli_fname, "libgomp") != NULL || strstr(place.dli_fname, "safetensors") != NULL;
}

static int memory_fails(size_t size, const void* caller) {
  return armed_kind == MEMORY && size >= least_bytes && !is_foreign(caller) && strikes();
}

#define FAILS(size) memory_fails(size, __builtin_return_address(0))

void* malloc(size_t size) { return FAILS(size) ? NULL : __libc_malloc(size); }
void* calloc(size_t count, size_t size) { return FAILS(count * size) ? NULL : __libc_calloc(count, size); }
void* realloc(void* old, size_t size) { return FAILS(size) ? NULL : __libc_realloc(old, size); }
void* memalign(size_t alignment, size_t size) { return FAILS(size) ? NULL : __libc_memalign(alignment, size); }
void* aligned_alloc(size_t alignment, size_t size) { return FAILS(size) ? NULL : __libc_memalign(alignment, size); }
int posix_memalign(void** result, size_t alignment, size_t size) {
  if (FAILS(size)) return ENOMEM;
  *result = __libc_memalign(alignment, size);
  return *result == NULL ? ENOMEM : 0;
}
void* mmap(void* address, size_t size, int protection, int flags, int descriptor, off_t offset) {
  REAL(mmap);
  return (flags & MAP_ANONYMOUS) && FAILS(size) ? MAP_FAILED
                                                       : real(address, size, protection, flags, descriptor, offset);
}

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*), void* argument) {
  REAL(pthread_create);
  if (armed_kind == THREAD && strikes()) return EAGAIN;
  return real(thread, attributes, start, argument);
}
