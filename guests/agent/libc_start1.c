/* __libc_start1() of FreeBSD 14, so that a program linked with its crt1 also runs on 12 and 13.
 * Compiled in with -DOWN_START only (harness/agent/build.py).
 *
 * Zig has the crt1 of FreeBSD 14, which calls __libc_start1() of libc.so.7, version FBSD_1.7.  The
 * libc of 12 and 13 has no such function: their crt1 does the same by itself
 * (lib/csu/common/ignore_init.c, lib/csu/amd64/crt1.c).  All else that the agent needs is FBSD_1.5
 * or older.  The linker prefers a function that the program defines.
 *
 * The arguments are those of lib/csu/amd64/crt1_s.S.  The body is that of
 * lib/libc/csu/libc_start1.c, without what only static programs need: in a dynamic one the loader
 * has set up TLS, called the constructors (a note in crt1 asks it to), and filled in environ. */
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
