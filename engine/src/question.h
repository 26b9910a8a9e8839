/* The features of a question, by which an image's memory recognises it: its words and the pieces of its words, each as a
 * hash. docs/FORMAT.md, section 10, defines them. */
#ifndef SHREW_QUESTION_H
#define SHREW_QUESTION_H

#include <stddef.h>
#include <stdint.h>

/* Calls take once for every feature of a text (any bytes), in a fixed order. */
void shrew_each_feature(const uint8_t *text, size_t bytes, void (*take)(void *context, uint32_t feature),
                        void *context);

#endif
