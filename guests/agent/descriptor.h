/* A descriptor goes from one process to another: SCM_RIGHTS of unix(7). */
#ifndef DESCRIPTOR_H
#define DESCRIPTOR_H

#include "platform.h"
#include "outcome.h"

struct outcome descriptor_send(int channel, int fd);
struct outcome descriptor_receive(int channel, int *fd);

#endif
