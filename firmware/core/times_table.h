/* Times for people: milliseconds per token, by operator and by layer. */
#ifndef SHREW_TIMES_TABLE_H
#define SHREW_TIMES_TABLE_H

#include "shrew_times.h"
#include "text.h"

enum { TIMES_LINE_BYTES = 64 };

/* Appends the index-th line, without a newline, of a table of times in microseconds. Returns 0 past the last line; a
 * model that has processed no token has none. */
int fw_times_add_line(text *out, const shrew_times *spent, uint32_t index);

#endif
