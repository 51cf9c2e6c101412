/* A wall clock that jumps a day forth or back every 300 ms, for a process started with LD_PRELOAD. The monotonic clock
   is left alone. Python's time.time and datetime.now, and everything in C, read the wall clock here. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>

static int (*real_clock)(clockid_t, struct timespec *);

static int jumping(struct timespec *now) {
    struct timespec passed;
    if (!real_clock) real_clock = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    real_clock(CLOCK_MONOTONIC, &passed);
    long long jumps = (passed.tv_sec * 1000LL + passed.tv_nsec / 1000000) / 300;
    int failed = real_clock(CLOCK_REALTIME, now);
    now->tv_sec += jumps % 2 ? 86400 : -86400;
    return failed;
}

int clock_gettime(clockid_t id, struct timespec *now) {
    if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) return jumping(now);
    if (!real_clock) real_clock = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    return real_clock(id, now);
}

int gettimeofday(struct timeval *now, void *zone) {
    (void)zone;
    struct timespec exact;
    int failed = jumping(&exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return failed;
}

time_t time(time_t *out) {
    struct timespec now;
    jumping(&now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
