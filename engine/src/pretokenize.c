/* Implements this regular expression, whose alternatives are tried in order:
 *
 *     's|'t|'re|'ve|'m|'ll|'d | ?L+| ?N+| ?[^SLN]+ | S+(?!\S) | S+
 */
#include "pretokenize.h"

#include "utf8.h"

static uint32_t ascii_class(uint32_t byte) {
    if ((byte | 0x20) - 'a' < 26)
        return CLASS_LETTER;
    if (byte == ' ' || byte - '\t' < 5)
        return CLASS_SPACE;
    return byte - '0' < 10 ? CLASS_NUMBER : CLASS_OTHER;
}

/* Class and length of the first character of text. */
static uint32_t classify(shrew_pretokenizer *cut, const uint8_t *text, size_t bytes, size_t *length) {
    *length = 1;
    if (text[0] < 0x80)
        return ascii_class(text[0]);
    uint32_t code_point;
    *length = shrew_read_character(text, bytes, &code_point);
    if (code_point == NOT_UTF8)
        return CLASS_OTHER;
#ifndef SHREW_NO_UNICODE
    if (cut->unicode) {
        if (code_point - cut->run.first >= cut->run.count)
            cut->run = shrew_unicode_find(cut->unicode, code_point);
        return cut->run.class_;
    }
#else
    (void)cut;
#endif
    return CLASS_LETTER;
}

/* Length of the contraction at the start of text, whose first byte is an apostrophe; 0 if there is none. */
static size_t contraction(const uint8_t *text, size_t bytes) {
    if (bytes < 2)
        return 0;
    const uint8_t first = text[1], second = bytes > 2 ? text[2] : 0;
    if (first == 's' || first == 't' || first == 'm' || first == 'd')
        return 2;
    return ((first == 'r' || first == 'v') && second == 'e') || (first == 'l' && second == 'l') ? 3 : 0;
}

/* White space up to the end of the text is one pre-token. Before other text it ends one character early: a final space
 * belongs to the word that follows, any other character is a pre-token of its own. */
static size_t white_space(shrew_pretokenizer *cut, const uint8_t *text, size_t bytes) {
    size_t end = 0, last = 0, length;
    while (end < bytes && classify(cut, text + end, bytes - end, &length) == CLASS_SPACE) {
        last = end;
        end += length;
    }
    return end < bytes && last > 0 ? last : end;
}

size_t shrew_pretoken(shrew_pretokenizer *cut, const uint8_t *text, size_t bytes) {
    const size_t short_form = text[0] == '\'' ? contraction(text, bytes) : 0;
    if (short_form)
        return short_form;
    size_t end = text[0] == ' ' && bytes > 1, length;
    const uint32_t class_ = classify(cut, text + end, bytes - end, &length);
    if (class_ == CLASS_SPACE)
        return white_space(cut, text, bytes);
    do
        end += length;
    while (end < bytes && classify(cut, text + end, bytes - end, &length) == class_);
    return end;
}
