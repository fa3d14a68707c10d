/* Asks one question in this process, which ends with it. */
#ifndef ASK_H
#define ASK_H

#include "platform.h"

struct question;
struct scenario;

void ask(const struct scenario *, const struct question *);

#endif
