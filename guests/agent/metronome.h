/* A tiny process that measures how long this guest was not scheduled, and guards the question. */
#ifndef METRONOME_H
#define METRONOME_H

#include "platform.h"

/* `lifeline` is readable once the batch that asked is gone. */
void metronome_start(int lifeline);

/* The errno of its fork(), to be said once there is an answer to say it in; 0 if it runs. */
int metronome_missing(void);

/* In a child of the question, whose copy of the channel would hide the question's end. */
void metronome_leave(void);

/* Ends it; the longest gap so far, in ms. */
int metronome_stop(void);

#endif
