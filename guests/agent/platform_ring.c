/* An accept() that the kernel goes on with by itself: io_uring, by system calls.
 *
 * The structures and numbers are those of Linux's include/uapi/linux/io_uring.h, which the headers
 * that this is built with may lack.  They are the same on every architecture but alpha. */
#include "platform_ring.h"

#include <errno.h>

#ifdef __linux__
#include <sys/mman.h>

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

enum {
    SETUP = 425, ENTER = 426,     /* system calls */
    SUBMISSIONS = 0x10000000,     /* offset of mmap(); that of the rings is 0 and 0x8000000 */
    COMPLETED = 0x8000000,
    ACCEPT = 13, MULTISHOT = 1,   /* IORING_OP_ACCEPT, IORING_ACCEPT_MULTISHOT (Linux 5.19) */
    ENTRIES = 256                 /* twice as many connections fit; beyond, the kernel gives up */
};

struct submitted {
    uint32_t head, tail, mask, entries, flags, dropped, array, reserved;
    uint64_t address;
};

struct completed {
    uint32_t head, tail, mask, entries, overflow, events, flags, reserved;
    uint64_t address;
};

struct setup {
    uint32_t submissions, completions, flags, cpu, idle, features, queue, reserved[3];
    struct submitted submitted;
    struct completed completed;
};

struct submission {
    uint8_t operation, flags;
    uint16_t priority;
    int32_t fd;
    uint64_t offset, address;
    uint32_t length, accept_flags;
    uint64_t user;
    uint16_t buffer, personality;
    int32_t file;
    uint64_t more[2];
};

struct completion {
    uint64_t user;
    int32_t result;
    uint32_t flags;
};

static int set_up(struct setup *setup)
{
    memset(setup, 0, sizeof *setup);
    return (int)syscall(SETUP, (unsigned)ENTRIES, setup);
}

int platform_ring_missing(void)
{
    struct setup setup;
    int ring = set_up(&setup);
    return ring < 0 ? errno : close(ring);
}

static void *map(int ring, size_t size, off_t what)
{
    return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, what);
}

/* The only submission, and what came of it at once: 0 if the kernel waits for connections now. */
static int submit(int ring, const struct setup *setup, unsigned char *queue,
                  const unsigned char *done)
{
    uint32_t one = 1, zero = 0, events;
    const struct completed *at = &setup->completed;
    memcpy(queue + setup->submitted.array, &zero, sizeof zero);
    memcpy(queue + setup->submitted.tail, &one, sizeof one);
    if (syscall(ENTER, ring, 1U, 0U, 0U, NULL, (size_t)0) != 1)
        return errno;
    memcpy(&events, done + at->tail, sizeof events);
    if (events == 0)
        return 0;
    struct completion first;
    memcpy(&first, done + at->events, sizeof first);
    return first.result < 0 ? -first.result : 0;
}

/* Of a listener that does not block, io_uring accepts nothing either, and says EAGAIN. */
int platform_ring_accept(int listener)
{
    struct setup setup;
    int ring = set_up(&setup), flags = fcntl(listener, F_GETFL);
    if (ring < 0 || flags < 0 || fcntl(listener, F_SETFL, flags & ~O_NONBLOCK) != 0)
        return errno;
    size_t entries = setup.submitted.array + setup.submissions * sizeof(uint32_t);
    size_t events = setup.completed.events + setup.completions * sizeof(struct completion);
    unsigned char *queue = map(ring, entries, 0), *done = map(ring, events, COMPLETED);
    struct submission *submission = map(ring, ENTRIES * sizeof *submission, SUBMISSIONS);
    if (queue == MAP_FAILED || done == MAP_FAILED || (void *)submission == MAP_FAILED)
        return errno;
    memset(submission, 0, sizeof *submission);
    submission->operation = ACCEPT;
    submission->priority = MULTISHOT;
    submission->fd = listener;
    return submit(ring, &setup, queue, done);
}

#else /* the BSDs and darwin */

int platform_ring_missing(void)
{
    return ENOSYS;
}

int platform_ring_accept(int listener)
{
    (void)listener;
    return ENOSYS;
}

#endif
