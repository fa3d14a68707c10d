/* The way from the loader into main() for programs that are linked here for a BSD whose own start
 * is younger than the guests: compiled in with -DOWN_START only (harness/agent/build.py).
 *
 * Zig's crt1 for that system is of its release 14, which calls __libc_start1() of libc.so.7,
 * version FBSD_1.7.  That one symbol kept the agent from 12 and 13, where crt1 did the same by
 * itself (lib/csu/common/ignore_init.c, lib/csu/amd64/crt1.c) and all else that the agent needs is
 * FBSD_1.5 or older.  Defined here, the linker takes this one.  The arguments are those of
 * lib/csu/amd64/crt1_s.S, and the body is lib/libc/csu/libc_start1.c without what only static
 * programs need: in a dynamic one the loader has set up TLS and called the constructors (crt1
 * carries the note that asks it to), and has filled in environ, which crt1 defines. */
#include "platform.h"

#ifdef OWN_START
#include <stdlib.h>
#include <string.h>

extern char **environ;
extern const char *__progname;

void __libc_start1(int argc, char *argv[], char *env[], void (*cleanup)(void),
                   int (*run)(int, char *[], char *[]));

void __libc_start1(int argc, char *argv[], char *env[], void (*cleanup)(void),
                   int (*run)(int, char *[], char *[]))
{
    if (environ == NULL)
        environ = env;
    if (argc > 0 && argv[0] != NULL) {
        const char *slash = strrchr(argv[0], '/');
        __progname = slash != NULL ? slash + 1 : argv[0];
    }
    atexit(cleanup);
    exit(run(argc, argv, env));
}
#endif
