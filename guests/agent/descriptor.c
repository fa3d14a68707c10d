/* A descriptor goes from one process to another: SCM_RIGHTS of unix(7). */
#include "descriptor.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/uio.h>

/* Room for one descriptor; not sized by CMSG_SPACE(), which is no constant on NetBSD (cmsg(3)). */
union ancillary {
    struct cmsghdr header;
    unsigned char bytes[64];
};

/* A message needs at least one byte beside the descriptor (unix(7)). */
struct outcome descriptor_send(int channel, int fd)
{
    union ancillary ancillary;
    char byte = 0;
    struct iovec part = { &byte, 1 };
    struct msghdr message;
    memset(&ancillary, 0, sizeof ancillary);
    memset(&message, 0, sizeof message);
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = &ancillary;
    message.msg_controllen = CMSG_SPACE(sizeof fd);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    return outcome_of(CALL_SENDMSG, sendmsg(channel, &message, 0) == 1 ? 0 : -1);
}

struct outcome descriptor_receive(int channel, int *fd)
{
    union ancillary ancillary;
    char byte;
    struct iovec part = { &byte, 1 };
    struct msghdr message;
    ssize_t got;
    do {
        memset(&message, 0, sizeof message);
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        message.msg_control = &ancillary;
        message.msg_controllen = sizeof ancillary;
        got = recvmsg(channel, &message, 0);
    } while (got < 0 && errno == EINTR);
    struct cmsghdr *header = got == 1 ? CMSG_FIRSTHDR(&message) : NULL;
    if (got == 1 && (header == NULL || header->cmsg_type != SCM_RIGHTS))
        errno = EBADF; /* the byte came alone */
    if (header == NULL || header->cmsg_type != SCM_RIGHTS)
        return outcome_of(CALL_RECVMSG, -1);
    memcpy(fd, CMSG_DATA(header), sizeof *fd);
    return outcome_of(NO_CALL, 0);
}
