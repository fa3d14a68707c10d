/* What the parts of the agent know of each other.  The agent observes; the host judges. */
#ifndef AGENT_H
#define AGENT_H

#include "ending.h"
#include "platform.h"
#include "scenarios.h"
#include "unsupported.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MAX_LISTENERS = 64,
    MAX_MEMBERS = MAX_LISTENERS + 2, /* a newcomer or a bystander, and one to spare */
    MAX_FLOWS = 20000,
    MAX_SOCKETS = 1000,              /* of one group in one process */
    TOKEN = 16,                      /* hex digits that name a run */
    REQUEST = TOKEN + 4,             /* token, number of the flow in this phase */
    REPLY = REQUEST + 2,             /* the same, and the index of the member */
    WINDOW = 32,
    TUNABLE = 128,                   /* a tunable's name, and its value as text */
    FULL = 100, LEAST = 25,          /* percent of one CPU; a question's load is 0 or at least LEAST */
    MAX_JOBS = 64, MAX_SLOTS = MAX_JOBS + FULL / LEAST
};

struct scenario;

enum option { NONE, REUSEADDR, REUSEPORT, REUSEPORT_LB, REUSEPORT_AND_LB };
enum family { IPV4, IPV6, MAPPED };
enum failure { CLOSE, EXIT, KILL, HANG, SHUTDOWN, RELISTEN_ZERO };
enum place { FIRST, MIDDLE, LAST };
enum order { NEWEST, OLDEST, MIDDLEMOST };
enum change { LEAVE, JOIN, RESTART };
enum bind { SPECIFIC, WILDCARD, MIXED };
enum pair { BY_ADDRESS, BY_OPTION, BY_FAMILY };
enum peer { SOCKETS, TUN };
enum source { MANY_PORTS, ONE_SENDER, MANY_ADDRESSES };
enum delivery { UNICAST, MULTICAST, BROADCAST };
enum acknowledgement { AT_ONCE, AFTER_REPEAT };
enum way { BY_CLOSE, BY_SHUTDOWN, BY_LISTEN_ZERO, BY_PASS, BY_INHERIT };
enum sharing {
    BOTH, ONLY_FIRST, ONLY_SECOND, AFTER_BIND, OTHER_UID, ROOT_OVER_USER, TIME_WAIT
};

/* One question as it was asked: docs/wire.md, "Asking". */
struct question {
    const char *id;
    int option, udp, family, wildcard, failure, listeners, flows, deadline, alarm;
    int member, order, change, position, sharing, pair, sockets, backlog, raise_loopback;
    int peer; /* flows come through a tun device */
    int acknowledgement, source, delivery;
    int way, rounds;
    int seeded;
    uint32_t seed;
    const char *tunables; /* names to be said, or one NAME=VALUE that is set */
    const char *obstacle; /* why it could not be set; may be empty */
    int load;
    int slot, slots; /* which of so many questions that may run at once */
    char **pairs; /* KEY=VALUE as asked, to be echoed */
    int pair_count;
};

struct member {
    pid_t pid;   /* 0: none, or ended and reaped */
    int control; /* our end of its channel */
};

struct address {
    struct sockaddr_storage storage;
    socklen_t size;
};

/* One asking: the question, the port it is about, the members, and where the draw has got to. */
struct trial {
    const struct question *question;
    char token[TOKEN + 1];
    int64_t began;
    uint32_t draw;                      /* state of the generator */
    unsigned char drawn[65536 / 8];     /* source ports in use */
    int ports_drawn;
    char home[2][46];                   /* the members' specific addresses: IPv4, IPv6 */
    int port;                           /* of the group */
    int backlog;
    int service;                        /* ms that a member takes for each request */
    int option, family, wildcard;       /* of the next member: the question's, as a rule */
    int indexes;                        /* answers bear numbers below this */
    int handover[2];                    /* a channel that all members share, for descriptors */
    long drained;                       /* connections that members took while they retired */
    struct member members[MAX_MEMBERS];
    int member_count, binds, listens, phases, retries, rebinds, resends;
};

/* A reply of a member: the call that failed and its errno, or null and 0. */
struct outcome {
    const char *call;
    int error;
};

enum fate { UNDECIDED, SERVED, FAILED, TIMED_OUT, LEFT_OPEN, ENDED, FOREIGN };
enum state { IDLE, CONNECTING, OPEN, DONE };

/* A flow's connection as a far end of our own keeps it (RFC 9293 3.3.1, as far as a client needs).
 * `answers`: SYN-ACKs that came; `owes`: an ACK; `theirs`: their FIN; `due`: when what is not yet
 * acknowledged goes again, 0 for nothing; `closing`: since when. */
struct wire {
    enum { CLOSED, SYN_SENT, HALF_OPEN, ESTABLISHED, CLOSING } at;
    int target, answers, owes, theirs, tries;
    uint32_t next, acknowledged, expected;
    int64_t due, closing;
};

/* One flow of a client; `state` says what its socket does, `fate` how this phase ended for it. */
struct flow {
    int fd, port, error, group;
    enum state state;
    enum fate fate;
    int64_t started, ended;
    uint32_t number;
    int received, answers;
    unsigned char bytes[REPLY];
    uint16_t answered[MAX_MEMBERS];
    struct wire wire;
};

/* What is done with an array of flows until each has its fate or its deadline. */
struct phase {
    const char *name;
    struct flow *flows;
    int count;
    int started;   /* flows that have begun; those before `settled` have their fate */
    int settled;
    int keep;      /* leave served connections open */
    int handshake; /* a flow is `open`, and done, once its handshake is */
    int half_open; /* the final ACK is held back; a flow is `open` once so many SYN-ACKs came */
    int resume;    /* go on with the sockets as they are */
    int echo;      /* send again on served connections, and expect the reply again */
    int deadline;  /* ms; 0: the question's */
    int window;    /* flows that may be unanswered at once; 0: the usual */
    int64_t busy;  /* since when the next flow's port is in use by somebody else, 0: not */
    int hold;      /* set by `watch`: more flows may still be asked for */
    int pause;     /* set by `watch`: none begins for now */
    int watched;   /* a descriptor to wake up for, 0: none */
    int heard;     /* it has something to read */
    void (*watch)(struct trial *, struct phase *); /* called on every turn, and at the end */
    void (*begun)(struct trial *, struct phase *); /* called as soon as a flow has begun */
};

/* emit.c: what is said, one JSON object a line */
const char *errno_name(int error);
void emit_begin(const struct trial *, const char *scenario);
void emit_member(int index, int bind, int listen, struct outcome);
void emit_change(const struct trial *, const char *what, int member, int error);
void emit_flows(const struct trial *, const char *phase, const struct flow *, int count, int group);
void emit_attempt(const char *what, struct outcome);
void emit_fact(const char *name, long long value);
void emit_fact_text(const char *name, const char *value);
void emit_end(const struct trial *, int gap);
void emit_unsupported(const char *why);
void emit_exit(char *line, size_t size, const char *id, int status, int signal);

/* question.c: from words to a question; a sentence if they are wrong, null if not */
const char *question_parse(struct question *, char **pairs, int count);
const char *failure_name(int failure);
const char *way_name(int way);


/* tunable_facts.c */
void each_tunable(const char *names);

/* batch.c: questions from words */
int ask_alone(const struct scenario *, struct question *);
int ask_batch(int jobs);

/* metronome.c: the longest gap, and the guard of the question's process group */
void metronome_start(int lifeline);
int metronome_missing(void);
int metronome_stop(void);
void metronome_forget(void);

/* clock.c */
int64_t clock_ms(void);
void pause_ms(int ms);

/* sockets.c */
void trial_open(struct trial *, const struct question *);
uint32_t draw(struct trial *);
struct address address(int family, const char *text, int port);
int draw_port(struct trial *);
void need_family(struct trial *, struct outcome);
void reserve_port(struct trial *);
void need_descriptors(struct trial *, int count);
void raise_loopback(struct trial *);
const char *option_missing(int option);
struct address address_of_member(const struct trial *);
struct address address_of_client(const struct trial *, int port);
struct address address_of_delivery(const struct trial *);
int join_group(const struct trial *, int fd);
int socket_of_member(const struct trial *, int family, int option, struct outcome *);
int option_set(int fd, int option);
int set_nonblocking(int fd);
int send_patiently(int fd, const void *bytes, int count, const struct address *to, int *retries);

/* worker.c: inside a member's process */
enum operation {
    BIND, LISTEN, SERVE, PAUSE, CLOSE_LISTENER, SHUT_DOWN, LISTEN_ZERO, LEAVE_PROCESS,
    CHANGE_UID, END_CONNECTIONS, RETIRE, HAND_OVER, RECEIVE, DROP, BEQUEATH, RECLAIM, FINISH
};
struct command {
    enum operation operation;
    int option, family, late; /* late: the option is set after bind() */
    struct address address;
};
struct answer {
    int call, error; /* index into call_names, 0: none failed */
    int taken;       /* connections accepted on the way out */
};
extern const char *const call_names[];
void worker_run(const struct trial *, int index, int control);
int reply_to(const struct trial *, int index, const unsigned char *request, unsigned char *reply);

/* group_process.c: the one process that is all members of a group of hundreds */
void crowd_run(const struct trial *, int index, int control);
int crowd_hear(struct trial *, struct outcome *last);

/* members.c: the members as their parent sees them */
void members_fork(struct trial *, int count);
void crowd_fork(struct trial *);
void members_end(struct trial *);
struct outcome member_do(struct trial *, int index, enum operation);
struct outcome member_bind(struct trial *, int index, int option, int late);
void member_send(struct trial *, int index, enum operation, int option, int late);
struct outcome member_hear(struct trial *, int index);
struct outcome member_bind_first(struct trial *, int index);
int member_stand(struct trial *, int index);
int members_stand(struct trial *, int count);
void member_fail(struct trial *, int index, int failure);
int busiest(const struct trial *, const struct flow *, int count, int asked);
int victim(const struct trial *, const struct flow *, int count);

/* failure.c: a group that stands, and its flows; null if the kernel refuses a member */
struct flow *group_stands(struct trial *, int spare);

/* socket_client.c: one flow */
struct flow *flows_new(struct trial *, int count);
int flow_start(struct trial *, struct flow *, uint32_t number, int handshake);
void flow_begin(struct flow *, uint32_t number);
void flow_request(const struct trial *, const struct flow *, unsigned char *request);
void flow_hear(const struct trial *, struct flow *, const unsigned char *bytes, int count);
void flow_resume(struct flow *);
void flow_echo(struct trial *, struct flow *, uint32_t number);
void flow_wake(struct trial *, const struct phase *, struct flow *);
void flow_end(struct flow *, enum fate, int error);
void flow_close(struct flow *);

/* phase.c: many flows at once */
void phase_run(struct trial *, struct phase *);
void flows_queue(struct trial *, struct flow *, int count);
void flows_settle(struct trial *, struct flow *, int count);
void flows_end(struct flow *, int count);
void flows_serve(struct trial *, const char *name, struct flow *, int count);
void flows_hold(struct trial *, const char *name, struct flow *, int count);
void flows_echo(struct trial *, const char *name, struct flow *, int count);


#endif
