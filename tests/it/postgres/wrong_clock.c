/* Loaded into the binary under test: its wall clock is $WRONG_CLOCK_SECONDS ahead. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    const char *seconds = getenv("WRONG_CLOCK_SECONDS");
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && clock == CLOCK_REALTIME && seconds)
        now->tv_sec += atoll(seconds);
    return result;
}
