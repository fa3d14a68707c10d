/* MPTCP (RFC 8684): whether it can be asked about here, and whether connections really use it. */
#ifndef MULTIPATH_H
#define MULTIPATH_H

#include "platform.h"

struct trial;

/* Ends the question if it is about MPTCP and this system has none. */
void need_multipath(struct trial *);

/* A client's connection is established: does it use MPTCP, as asked?  Ends the question if the
 * first one does not; later ones are counted. */
void multipath_check(struct trial *, int fd);

#endif
