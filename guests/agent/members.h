/* The members as their parent sees them: it forks them, and tells them what to do step by step. */
#ifndef MEMBERS_H
#define MEMBERS_H

#include "platform.h"
#include "command.h"
#include "outcome.h"

struct address;
struct trial;

/* Starts this many members, a process each; none has a socket yet. */
void members_fork(struct trial *, int count);

/* As members_fork(), with another body than worker_run(). */
void members_fork_as(struct trial *, int count,
                     void (*run)(const struct trial *, int index, int control));

/* Ends them all, so that others can be started; a member that had ended by itself breaks the
 * trial. */
void members_end(struct trial *);

/* One step of one member: send and hear, or both at once. */
void member_send(struct trial *, int index, enum operation, int option, int late);
struct outcome member_hear(struct trial *, int index);
struct outcome member_do(struct trial *, int index, enum operation);
struct outcome member_bind(struct trial *, int index, int option, int late);

/* The member sends a datagram that answers nobody. */
void member_speak(struct trial *, int index, const struct address *to);

/* The member opens one more socket at the group's address and port and connects it to the client;
 * it answers by this index. */
struct outcome member_connect(struct trial *, int index, int answers, const struct address *client);

/* As member_bind(); ends the question where it cannot be asked here. */
struct outcome member_bind_first(struct trial *, int index);

/* Binds and listens at once, and says so; 0, or -1 if the kernel refuses. */
int member_stand(struct trial *, int index);
int members_stand(struct trial *, int count);

/* As member_stand(), and says nothing: what the kernel answered. */
struct outcome member_stand_again(struct trial *, int index);

/* Makes the member fail in this way, and says so. */
void member_fail(struct trial *, int index, int failure);

/* As member_fail(), and says nothing; 0, or the errno. */
int member_fail_quietly(struct trial *, int index, int failure);

#endif
