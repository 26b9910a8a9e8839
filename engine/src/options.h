/* The build options of shrew.h as constants. Code that a build leaves out is in an ordinary condition instead of an
 * #if: the compiler removes it, but still checks it. */
#ifndef SHREW_OPTIONS_H
#define SHREW_OPTIONS_H

#include "shrew.h"

enum {
#ifdef SHREW_NO_F32
    HAS_F32 = 0,
#else
    HAS_F32 = 1,
#endif
#ifdef SHREW_NO_Q4
    HAS_Q4 = 0,
#else
    HAS_Q4 = 1,
#endif
#ifdef SHREW_NO_TERNARY
    HAS_TERNARY = 0,
#else
    HAS_TERNARY = 1,
#endif
#ifdef SHREW_NO_DRAFT
    HAS_DRAFT = 0,
#else
    HAS_DRAFT = 1,
#endif
#ifdef SHREW_NO_COMMANDS
    HAS_COMMANDS = 0,
#else
    HAS_COMMANDS = 1,
#endif
#ifdef SHREW_NO_PROMPTS
    HAS_PROMPTS = 0,
#else
    HAS_PROMPTS = 1,
#endif
#ifdef SHREW_NO_MEMORY
    HAS_MEMORY = 0,
#else
    HAS_MEMORY = 1,
#endif
#ifdef SHREW_NO_MARKS
    HAS_MARKS = 0,
#else
    HAS_MARKS = 1,
#endif
#ifdef SHREW_GREEDY_TOP_P
    HAS_EVERY_FILTER = 0
#else
    HAS_EVERY_FILTER = 1
#endif
};

#endif
