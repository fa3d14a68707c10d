/* A question to a DNS server, and its answer: RFC 1035. */
#include "dns_message.h"

#include "dialogue.h"

#include <string.h>

enum { HEAD = 12, TYPE_A = 1, FIXED = 10, LENGTH = 2 };

/* ID, recursion desired, one question, the name, A, IN. */
static const char QUESTION[] = "\x17\x35\x01\0\0\1\0\0\0\0\0\0" "\12generation\4test\0" "\0\1\0\1";

size_t dns_question(char *into, int over_tcp)
{
    size_t size = sizeof QUESTION - 1;
    into[0] = 0;
    into[1] = (char)size;
    memcpy(into + (over_tcp ? LENGTH : 0), QUESTION, size);
    return size + (over_tcp ? LENGTH : 0);
}

static size_t pair(const unsigned char *bytes)
{
    return (size_t)bytes[0] << 8 | bytes[1];
}

/* The place behind a name, which may end in a pointer; beyond `count` if it has no end. */
static size_t behind_name(const unsigned char *bytes, size_t at, size_t count)
{
    while (at < count && bytes[at] != 0) {
        if (bytes[at] >= 0xc0)
            return at + 2;
        at += (size_t)bytes[at] + 1;
    }
    return at + 1;
}

static int read_message(const unsigned char *bytes, size_t count)
{
    if (count < HEAD || memcmp(bytes, QUESTION, 2) != 0 || (bytes[2] & 0x80) == 0
        || (bytes[3] & 0x0f) != 0)
        return HEARD_WRONG;
    size_t questions = pair(bytes + 4), records = pair(bytes + 6), at = HEAD;
    for (; questions > 0; questions--)
        at = behind_name(bytes, at, count) + 4;
    for (; records > 0; records--) {
        at = behind_name(bytes, at, count);
        if (at + FIXED > count)
            return HEARD_WRONG;
        size_t type = pair(bytes + at), size = pair(bytes + at + 8);
        at += FIXED;
        if (type == TYPE_A && size == 4 && at + 4 <= count)
            return memcmp(bytes + at, "\x7f\1\0", 3) == 0 ? bytes[at + 3] : HEARD_WRONG;
        at += size;
    }
    return HEARD_WRONG;
}

int dns_answer(const char *bytes, size_t count, int over_tcp)
{
    const unsigned char *at = (const unsigned char *)bytes;
    if (!over_tcp)
        return read_message(at, count);
    if (count < LENGTH || count < pair(at) + LENGTH)
        return count == ANSWER ? HEARD_WRONG : HEARD_PART;
    return read_message(at + LENGTH, pair(at));
}
