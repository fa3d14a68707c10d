/* What a client says to a server of a plan, and what it makes of the answer. */
#include "dialogue.h"

#include "dns_message.h"
#include "ending.h"
#include "plan.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { ENOUGH = 512 }; /* bytes of a body */

static const char CLOSES[] = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
static const char STAYS[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

void dialogue_open(struct dialogue *dialogue, const struct plan *plan)
{
    dialogue->plan = plan;
    dialogue->datagrams = plan->protocol == BY_DNS_UDP;
    if (plan->protocol == BY_HTTP) {
        dialogue->size = sizeof CLOSES - 1;
        dialogue->kept_size = sizeof STAYS - 1;
        memcpy(dialogue->request, CLOSES, sizeof CLOSES);
        memcpy(dialogue->kept, STAYS, sizeof STAYS);
        return;
    }
    if (plan->protocol == BY_PLAIN_TCP) {
        if (plan->request.size > ANSWER)
            broken("a request has %d bytes at most", ANSWER);
        dialogue->size = plan->request.size;
        memcpy(dialogue->request, plan->request.bytes, dialogue->size);
    } else {
        dialogue->size = dns_question(dialogue->request, !dialogue->datagrams);
    }
    dialogue->kept_size = dialogue->size;
    memcpy(dialogue->kept, dialogue->request, dialogue->size);
}

/* strstr() for bytes that may hold zeros. */
static const char *find(const char *bytes, size_t count, const char *word)
{
    size_t length = strlen(word);
    for (; count >= length; bytes++, count--)
        if (*bytes == *word && memcmp(bytes, word, length) == 0)
            return bytes;
    return NULL;
}

/* `generation N` and one byte more, unless no more will come: else -1. */
static int generation_in(const char *bytes, size_t count, int ended)
{
    static const char word[] = "generation ";
    const char *end = bytes + count, *at = find(bytes, count, word);
    int number = 0, digits = 0;
    if (at == NULL)
        return -1;
    for (at += sizeof word - 1; at < end && *at >= '0' && *at <= '9' && digits < 4; at++, digits++)
        number = number * 10 + (*at - '0');
    return digits == 0 || (at == end && !ended) ? -1 : number;
}

/* What a whole answer says. */
static int whole(const struct dialogue *dialogue, const char *bytes, size_t count)
{
    int generation = generation_in(bytes, count, 1);
    return generation >= 0 ? generation : dialogue->plan->tells ? HEARD_WRONG : 0;
}

static int hear_tcp(const struct dialogue *dialogue, const char *bytes, size_t count, int ended)
{
    const struct plan_text *begin = &dialogue->plan->answer;
    size_t compared = count < begin->size ? count : begin->size;
    if (memcmp(bytes, begin->bytes, compared) != 0 || (ended && count < begin->size))
        return HEARD_WRONG;
    if (count < begin->size)
        return HEARD_PART;
    bytes += begin->size;
    count -= begin->size;
    int done = ended || !dialogue->plan->tells || count >= ENOUGH
        || memchr(bytes, '\n', count) != NULL || generation_in(bytes, count, 0) >= 0;
    return done ? whole(dialogue, bytes, count) : HEARD_PART;
}

/* The value of a header, or null; `head` ends with an empty line. */
static const char *header(const char *head, size_t count, const char *name)
{
    size_t length = strlen(name);
    const char *end = head + count;
    while ((head = find(head, (size_t)(end - head), "\r\n")) != NULL) {
        head += 2;
        if ((size_t)(end - head) <= length)
            return NULL;
        if (strncasecmp(head, name, length) == 0 && head[length] == ':')
            return head + length + 1 + strspn(head + length + 1, " ");
    }
    return NULL;
}

/* A body ends by its length, by its last chunk, or with the connection. */
static int body_is_whole(const char *head, size_t head_size, const char *body, size_t count,
                         int ended)
{
    const char *length = header(head, head_size, "Content-Length");
    const char *coding = header(head, head_size, "Transfer-Encoding");
    if (coding != NULL && strncasecmp(coding, "chunked", 7) == 0)
        return count >= 5 && memcmp(body + count - 5, "0\r\n\r\n", 5) == 0;
    if (length != NULL)
        return count >= strtoul(length, NULL, 10);
    return ended;
}

static int hear_http(const struct dialogue *dialogue, const char *bytes, size_t count, int ended,
                     int kept)
{
    static const char version[] = "HTTP/1.";
    size_t compared = count < sizeof version - 1 ? count : sizeof version - 1;
    if (memcmp(bytes, version, compared) != 0)
        return HEARD_WRONG;
    const char *blank = find(bytes, count, "\r\n\r\n");
    if (blank == NULL)
        return count == ANSWER ? HEARD_WRONG : HEARD_PART;
    size_t head = (size_t)(blank - bytes) + 4;
    if (memcmp(bytes + 8, " 200 ", 5) != 0)
        return HEARD_WRONG;
    if (!body_is_whole(bytes, head, bytes + head, count - head, ended)
        && (kept || count - head < ENOUGH))
        return count == ANSWER ? HEARD_WRONG : HEARD_PART;
    return whole(dialogue, bytes, count);
}

int dialogue_hear(const struct dialogue *dialogue, const char *bytes, size_t count, int ended,
                  int kept)
{
    int protocol = dialogue->plan->protocol;
    if (count == 0)
        return HEARD_PART;
    if (protocol == BY_HTTP)
        return hear_http(dialogue, bytes, count, ended, kept);
    if (protocol == BY_PLAIN_TCP)
        return hear_tcp(dialogue, bytes, count, ended);
    int heard = dns_answer(bytes, count, protocol == BY_DNS_TCP);
    return heard == HEARD_PART && ended && dialogue->datagrams ? HEARD_WRONG : heard;
}
