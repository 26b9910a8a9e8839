/* Times for people: milliseconds a token, by operator and by layer. */
#ifndef SHREW_TIMES_TABLE_H
#define SHREW_TIMES_TABLE_H

#include "shrew_times.h"
#include "text.h"

enum { TIMES_LINE_BYTES = 64 };

/* Appends the index-th line, without its end, of a table of times in microseconds. 0 past the last; a model that has
 * read no token has none. */
int fw_times_add_line(text *out, const shrew_times *spent, uint32_t index);

#endif
