/* Programs that choose the member of a group that a flow reaches.
 *
 * The structures and numbers are those of Linux's include/uapi/linux/filter.h and bpf.h, which the
 * headers that this is built with may lack. */
#include "platform_steer.h"

#include <errno.h>

#ifdef __linux__
#include <sys/resource.h>
#include <sys/syscall.h>

#include <stdint.h>
#include <string.h>
#include <unistd.h>

/* Socket options that the headers may not know yet. */
#ifndef SO_ATTACH_REUSEPORT_CBPF
#define SO_ATTACH_REUSEPORT_CBPF 51
#endif
#ifndef SO_ATTACH_REUSEPORT_EBPF
#define SO_ATTACH_REUSEPORT_EBPF 52
#endif
#ifndef SO_INCOMING_CPU /* 3.19 */
#define SO_INCOMING_CPU 49
#endif
#ifndef SO_DETACH_REUSEPORT_BPF
#define SO_DETACH_REUSEPORT_BPF 68
#endif

/* The network header of a packet is at this offset (SKF_NET_OFF): what is loaded from 0 on comes
 * behind the header of TCP or UDP, and a SYN has nothing there. */
static const uint32_t NETWORK = (uint32_t)-0x100000;

struct classic {
    uint16_t code;
    uint8_t when_true, when_false;
    uint32_t number;
};

struct classic_program {
    unsigned short length;
    const struct classic *code;
};

static int attach_classic(const struct steering *steering, int fd)
{
    uint32_t port = NETWORK + (steering->six ? 40 : 20);
    const struct classic code[] = {
        { 0x28, 0, 0, port },                      /* A = 16 bits of the packet */
        { 0x94, 0, 0, (uint32_t)steering->range }, /* A %= range */
        { 0x16, 0, 0, 0 },                         /* return A */
    };
    struct classic_program program = { sizeof code / sizeof code[0], code };
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) == 0
        ? 0 : errno;
}

enum {
    MAP_CREATE = 0, MAP_UPDATE = 2, PROGRAM_LOAD = 5, /* commands of bpf(2) */
    SOCKETS_OF_GROUP = 20,                            /* BPF_MAP_TYPE_REUSEPORT_SOCKARRAY */
    CHOOSES_MEMBER = 21,                              /* BPF_PROG_TYPE_SK_REUSEPORT */
    SELECT = 82                                       /* bpf_sk_select_reuseport() */
};

struct map_made {
    uint32_t type, key_size, value_size, entries, flags;
};

struct map_updated {
    uint32_t map, padding;
    uint64_t key, value, flags;
};

struct program_loaded {
    uint32_t type, count;
    uint64_t code, licence;
    uint32_t verbosity, log_size;
    uint64_t log;
    uint32_t kernel, flags;
};

struct extended {
    uint8_t code, registers; /* the source in the upper four bits, the destination in the lower */
    int16_t offset;
    int32_t number;
};

static int bpf(int command, void *attributes, size_t size)
{
    return (int)syscall(SYS_bpf, command, attributes, size);
}

/* A bit for each CPU.  The headers show cpu_set_t to GNU sources only. */
struct cpus {
    unsigned long bits[16];
};

enum { BITS = 8 * sizeof(unsigned long), CPUS = 16 * BITS };

static int find_cpus(int found[2])
{
    struct cpus mine;
    int count = 0;
    memset(&mine, 0, sizeof mine);
    if (syscall(SYS_sched_getaffinity, 0, sizeof mine, &mine) < 0)
        return errno;
    for (int i = 0; i < CPUS && count < 2; i++)
        if ((mine.bits[i / BITS] >> i % BITS & 1) != 0)
            found[count++] = i;
    return count == 2 ? 0 : ENODEV;
}

int platform_steer_stay(const struct steering *steering, int which)
{
    struct cpus one;
    int cpu = steering->cpus[which];
    memset(&one, 0, sizeof one);
    one.bits[cpu / BITS] = 1UL << cpu % BITS;
    return syscall(SYS_sched_setaffinity, 0, sizeof one, &one) == 0 ? 0 : errno;
}

/* Before Linux 5.11 maps and programs count as locked memory. */
int platform_steer_open(struct steering *steering, int places)
{
    struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
    struct map_made map = { SOCKETS_OF_GROUP, sizeof(uint32_t), sizeof(uint64_t),
                            (uint32_t)places, 0 };
    steering->places = -1;
    if (steering->kind != EXTENDED)
        return steering->kind == BY_CPU ? find_cpus(steering->cpus) : 0;
    (void)setrlimit(RLIMIT_MEMLOCK, &all);
    steering->places = bpf(MAP_CREATE, &map, sizeof map);
    return steering->places < 0 ? errno : 0;
}

/* A packet begins with the header of TCP or UDP here (struct sk_reuseport_md).  Where the place is
 * empty, the call fails, and the kernel chooses as if there were no program. */
static int load_extended(const struct steering *steering)
{
    const struct extended code[] = {
        { 0xbf, 0x16, 0, 0 },                /* r6 = r1, the context */
        { 0x79, 0x17, 0, 0 },                /* r7 = its data */
        { 0x79, 0x18, 8, 0 },                /* r8 = the end of its data */
        { 0xbf, 0x79, 0, 0 },                /* r9 = r7 + 2 */
        { 0x07, 0x09, 0, 2 },
        { 0x2d, 0x89, 11, 0 },               /* if r9 > r8, pass */
        { 0x69, 0x72, 0, 0 },                /* r2 = the client's port */
        { 0xdc, 0x02, 0, 16 },
        { 0x97, 0x02, 0, steering->range },  /* r2 %= range */
        { 0x63, 0x2a, -4, 0 },               /* on the stack: the place */
        { 0xbf, 0x61, 0, 0 },                /* r1 = the context */
        { 0x18, 0x12, 0, steering->places }, /* r2 = the map */
        { 0, 0, 0, 0 },
        { 0xbf, 0xa3, 0, 0 },                /* r3 = the address of the place */
        { 0x07, 0x03, 0, -4 },
        { 0xb7, 0x04, 0, 0 },                /* r4 = no flags */
        { 0x85, 0, 0, SELECT },
        { 0xb7, 0x00, 0, 1 },                /* pass: r0 = SK_PASS */
        { 0x95, 0, 0, 0 },
    };
    struct program_loaded program;
    memset(&program, 0, sizeof program);
    program.type = CHOOSES_MEMBER;
    program.count = sizeof code / sizeof code[0];
    program.code = (uint64_t)(uintptr_t)code;
    program.licence = (uint64_t)(uintptr_t)"";
    return bpf(PROGRAM_LOAD, &program, sizeof program);
}

int platform_steer_attach(const struct steering *steering, int fd)
{
    if (steering->kind != EXTENDED)
        return steering->kind == CLASSIC ? attach_classic(steering, fd) : 0;
    int program = load_extended(steering);
    if (program < 0)
        return errno;
    int failed = setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &program, sizeof program);
    int error = errno;
    close(program);
    return failed == 0 ? 0 : error;
}

int platform_steer_place(const struct steering *steering, int fd, int place)
{
    uint32_t key = (uint32_t)place;
    uint64_t value = (uint64_t)fd;
    struct map_updated update = { (uint32_t)steering->places, 0, (uint64_t)(uintptr_t)&key,
                                  (uint64_t)(uintptr_t)&value, 0 };
    int failed = 0;
    if (steering->kind == BY_CPU)
        failed = setsockopt(fd, SOL_SOCKET, SO_INCOMING_CPU, &steering->cpus[place % 2],
                            sizeof steering->cpus[0]);
    else if (steering->kind == EXTENDED)
        failed = bpf(MAP_UPDATE, &update, sizeof update);
    return failed == 0 ? 0 : errno;
}

int platform_steer_detach(int fd)
{
    int nothing = 0;
    return setsockopt(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &nothing, sizeof nothing) == 0
        ? 0 : errno;
}

#else /* the BSDs and darwin */

int platform_steer_open(struct steering *steering, int places)
{
    (void)steering, (void)places;
    return ENOPROTOOPT;
}

int platform_steer_attach(const struct steering *steering, int fd)
{
    (void)steering, (void)fd;
    return ENOPROTOOPT;
}

int platform_steer_place(const struct steering *steering, int fd, int place)
{
    (void)steering, (void)fd, (void)place;
    return ENOPROTOOPT;
}

int platform_steer_detach(int fd)
{
    (void)fd;
    return ENOPROTOOPT;
}

int platform_steer_stay(const struct steering *steering, int which)
{
    (void)steering, (void)which;
    return ENOPROTOOPT;
}

#endif
