/* One asking of a question, as it begins, and the draw of random numbers. */
#include "trial.h"

#include "clock.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

uint32_t mix(uint32_t z)
{
    z = (z ^ (z >> 16)) * 0x21f0aaadU;
    z = (z ^ (z >> 15)) * 0x735a2d97U;
    return z ^ (z >> 15);
}

/* splitmix, 32 bits: with the same seed in the question it draws the same ports again. */
uint32_t draw(struct trial *trial)
{
    return mix(trial->draw += 0x9e3779b9U);
}

/* The token tells this run's replies from those of any other server.  It is drawn before the
 * question's seed is used, so that two runs with one seed have different tokens. */
void trial_open(struct trial *trial, const struct question *question)
{
    memset(trial, 0, sizeof *trial);
    trial->question = question;
    trial->option = question->option;
    trial->family = question->family;
    trial->wildcard = question->wildcard != SPECIFIC;
    strcpy(trial->home[0], "127.0.0.1");
    strcpy(trial->home[1], "::1");
    trial->began = clock_ms();
    trial->draw = (uint32_t)trial->began * 2654435761U ^ (uint32_t)getpid() << 16;
    uint32_t high = draw(trial), low = draw(trial);
    snprintf(trial->token, sizeof trial->token, "%08lx%08lx", (unsigned long)high,
             (unsigned long)low);
    trial->spread = question->source == MANY_ADDRESSES;
    trial->net = draw(trial);
    if (question->seeded)
        trial->draw = question->seed;
}
