/* Character classes of all code points: section 7 of docs/FORMAT.md. */
#ifndef SHREW_UNICODE_H
#define SHREW_UNICODE_H

#include <stddef.h>
#include <stdint.h>

enum shrew_character_class { CLASS_OTHER = 0, CLASS_LETTER = 1, CLASS_NUMBER = 2, CLASS_SPACE = 3 };

/* Consecutive code points first .. first + count - 1 of one class. */
typedef struct shrew_class_run {
    uint32_t first, count;
    uint32_t class_;
} shrew_class_run;

/* SHREW_OK or SHREW_E_UNICODE; table may be NULL. */
int shrew_unicode_check(const uint8_t *table, size_t bytes);

/* The run that contains a code point. The table must have passed shrew_unicode_check. */
shrew_class_run shrew_unicode_find(const uint8_t *table, uint32_t code_point);

#endif
