/* Text in, text out: prefix and suffix of the prompt, one token per step, stop strings, and whole UTF-8 characters. */
#include "bytes.h"
#include "commands.h"
#include "crc32.h"
#include "feed.h"
#include "options.h"
#include "prompt_form.h"
#include "sampling.h"
#include "tokenizer.h"
#include "utf8.h"

#include <string.h>

/* ---- Beginning ---------------------------------------------------------------------------------------------- */

/* Length of a stop string. Reads at most one byte past the longest one allowed. */
static uint32_t stop_length(const char *stop) {
    uint32_t length = 0;
    while (length <= SHREW_MAX_STOP_BYTES && stop[length])
        length++;
    return length;
}

/* Appends ids after those that a session holds. After an error, further calls do nothing. */
typedef struct prompt_ids {
    uint16_t *next, *end;
    int status;
} prompt_ids;

static void put_id(prompt_ids *prompt, uint32_t id) {
    if (!prompt->status && prompt->next == prompt->end)
        prompt->status = SHREW_E_CONTEXT;
    if (!prompt->status)
        *prompt->next++ = (uint16_t)id;
}

/* ids: u16, aligned. */
static void put_all(prompt_ids *prompt, const void *ids, size_t count) {
    for (const uint16_t *id = ids; count; count--)
        put_id(prompt, *id++);
}

/* Asks the image's memory, if nothing was said before, and encodes. Both work in the overlay, which the forward pass
 * uses at other times: at its end is the prompt in the image's form, before it the memory's work, then the ids and
 * scratch. */
static void put_text(shrew_session *session, const shrew_request *request, prompt_ids *prompt, int is_first) {
    const uint8_t *text = request->prompt, *form = session->model->prompts;
    size_t bytes = request->prompt_bytes, free_bytes = session->overlay_bytes, used = 0;
    const size_t room = (bytes + SHREW_ALIGNMENT) & ~(size_t)(SHREW_ALIGNMENT - 1);
    uint16_t *encoded = session->overlay;
    if (!prompt->status && bytes > (size_t)SHREW_PROMPT_BYTES_PER_TOKEN * session->context)
        prompt->status = SHREW_E_CONTEXT;
    if (prompt->status)
        return;
    free_bytes -= room * sizeof *encoded;
    if (HAS_PROMPTS && form && !request->raw) {
        free_bytes -= room;
        uint8_t *const put = (uint8_t *)(encoded + room) + free_bytes;
        bytes = shrew_put_in_form(form, text, bytes, put);
        text = put;
    }
    if (HAS_MEMORY && session->model->memory && !request->raw && is_first)
        session->recollection = shrew_recall(session->model->memory, text, bytes, session->overlay);
    prompt->status = shrew_encode(&session->model->tokenizer, text, bytes, encoded, room, &used, encoded + room,
                                  free_bytes);
    put_all(prompt, encoded, used);
}

int shrew_session_begin(shrew_session *session, const shrew_request *request) {
    if (!session || !request || (!request->prompt && request->prompt_bytes) || request->raw > 1 || request->keep > 1 ||
        (request->stop_count && !request->stops) || !shrew_sampling_is_valid(&request->sampling))
        return SHREW_E_ARGUMENT;
    for (uint32_t i = 0; i < request->stop_count; i++)
        if (!request->stops[i] || stop_length(request->stops[i]) - 1u >= SHREW_MAX_STOP_BYTES)
            return SHREW_E_ARGUMENT;
    const shrew_tokenizer *tokenizer = &session->model->tokenizer;
    if (!request->keep)
        shrew_session_reset(session);
    /* What a conversation that goes on has said but not yet appended. */
    const uint32_t unfed = session->unfed, held = session->position + (HAS_MEMORY ? session->unread : 0);
    session->generating = 0;
    if (HAS_COMMANDS)
        session->finish = SHREW_RUNNING;
    prompt_ids prompt = {session->history + held, session->history + session->context, SHREW_OK};
    if (unfed != SHREW_NO_TOKEN)
        put_id(&prompt, unfed);
    if (HAS_MEMORY)
        session->recollection.verdict = RECALL_NOTHING;
    if (!request->raw)
        put_all(&prompt, tokenizer->prefix, tokenizer->prefix_count);
    else if (tokenizer->bos != SHREW_NO_TOKEN && prompt.next == session->history)
        put_id(&prompt, tokenizer->bos);
    put_text(session, request, &prompt, !held);
    if (!request->raw)
        put_all(&prompt, tokenizer->suffix, tokenizer->suffix_count);
    if (prompt.status)
        return prompt.status;
    if (prompt.next == session->history && !(HAS_MEMORY && session->recollection.verdict == RECALL_REFUSAL))
        return SHREW_E_ARGUMENT; /* nothing to continue from */
    session->unfed = SHREW_NO_TOKEN;
    if (HAS_MEMORY)
        session->unread = 0;
    session->sampling = request->sampling;
    session->stops = request->stops;
    session->stop_count = request->stop_count;
    session->max_tokens = request->max_tokens;
    session->prompt_start = session->position;
    session->prompt_end = (uint32_t)(prompt.next - session->history);
    session->tokens = 0;
    session->digest = 0;
    session->ahead = 0;
    session->drafted = 0;
    session->accepted = 0;
    session->finish = SHREW_RUNNING;
    if (HAS_COMMANDS) {
        memset(&session->walk, 0, sizeof session->walk);
        session->walk.phase = session->model->commands && !request->raw ? ANSWER_IS_OPEN : ANSWER_IS_TEXT;
        session->confidence = 1.0f;
    }
    if (shrew_recalls(session))
        session->confidence = session->recollection.confidence;
    session->pending_count = 0;
    session->generating = 1;
    return shrew_session_seed(session, request->seed);
}

/* ---- Text out ------------------------------------------------------------------------------------------------- */

/* Stop strings in the pending text. A complete one ends the text; a possible beginning of one is held back. */
typedef struct stop_search {
    uint32_t found; /* start of the first complete stop string, or pending_count */
    uint32_t safe;  /* start of the first incomplete one, at the end of the text, or pending_count */
} stop_search;

static void search_stop(const shrew_session *session, const char *stop, uint32_t stop_bytes, stop_search *search) {
    for (uint32_t at = 0; at < session->pending_count; at++) {
        const uint32_t left = session->pending_count - at;
        if (!bytes_equal(session->pending + at, stop, left < stop_bytes ? left : stop_bytes))
            continue;
        uint32_t *const earliest = left < stop_bytes ? &search->safe : &search->found;
        if (at < *earliest)
            *earliest = at;
        return;
    }
}

/* Searches for the request's stop strings and the image's own. */
static stop_search search_stops(const shrew_session *session) {
    stop_search search = {session->pending_count, session->pending_count};
    for (uint32_t i = 0; i < session->stop_count; i++)
        search_stop(session, session->stops[i], stop_length(session->stops[i]), &search);
    const uint8_t *at = session->model->metadata;
    if (!at)
        return search;
    uint32_t pairs = read_u32(at);
    for (at += 4; pairs; pairs--) {
        const uint32_t key_bytes = read_u16(at), value_bytes = read_u32(at + 4);
        if (key_bytes == 4 && bytes_equal(at + 8, "stop", 4))
            search_stop(session, (const char *)at + 8 + key_bytes, value_bytes, &search);
        at += 8 + key_bytes + value_bytes;
    }
    return search;
}

/* Moves whole characters from the first `safe` bytes of the pending text to text. With flush, an incomplete character
 * becomes U+FFFD. */
static size_t release(shrew_session *session, uint32_t safe, int flush, uint8_t *text) {
    uint32_t at = 0;
    size_t written = 0;
    while (at < safe) {
        int length = shrew_character_bytes(session->pending + at, safe - at);
        if (!length && !flush)
            break;
        if (length > 0) {
            memcpy(text + written, session->pending + at, (size_t)length);
            written += (size_t)length;
        } else {
            memcpy(text + written, "\xEF\xBF\xBD", 3);
            written += 3;
            length = length ? -length : (int)(safe - at);
        }
        at += (uint32_t)length;
    }
    uint8_t kept[PENDING_BYTES];
    session->pending_count -= at;
    memcpy(kept, session->pending + at, session->pending_count);
    memcpy(session->pending, kept, session->pending_count);
    return written;
}

/* Of the last of the answer's tokens. */
static void append_text(shrew_session *session, uint32_t id) {
    const uint32_t before = session->history[session->prompt_end + session->tokens - 2];
    const shrew_byte_span spoken = shrew_spoken_bytes(&session->model->tokenizer, before, id);
    memcpy(session->pending + session->pending_count, spoken.bytes, spoken.count);
    session->pending_count += (uint32_t)spoken.count;
}

/* The image's refusal, cut to the room of a command. */
static void put_refusal(shrew_session *session) {
    const char *key, *value;
    size_t key_bytes, value_bytes;
    session->pending_count = 0;
    for (uint32_t i = 0;
         shrew_model_metadata(session->model, i, &key, &key_bytes, &value, &value_bytes) == SHREW_OK; i++) {
        if (key_bytes != 7 || !bytes_equal(key, "refusal", 7))
            continue;
        session->pending_count = SHREW_MAX_COMMAND_BYTES;
        if (value_bytes < SHREW_MAX_COMMAND_BYTES)
            session->pending_count = (uint32_t)value_bytes;
        memcpy(session->pending, value, session->pending_count);
        return;
    }
}

static uint32_t phase_of(const shrew_session *session) {
    return HAS_COMMANDS ? session->walk.phase : ANSWER_IS_TEXT;
}

/* ---- One step ------------------------------------------------------------------------------------------------- */

static int feed_prompt(shrew_session *session) {
    size_t used;
    return shrew_feed_block(session, session->history + session->position, session->prompt_end - session->position,
                            NULL, &used);
}

/* Appends the token of the step before and chooses the next one. *id: SHREW_NO_TOKEN if there is none. */
static int choose_token(shrew_session *session, uint32_t *id) {
    if (session->unfed != SHREW_NO_TOKEN) {
        if (session->position == session->context) {
            session->finish = SHREW_FINISH_CONTEXT;
            return SHREW_OK;
        }
        const int status = shrew_feed_unfed(session);
        if (status)
            return status;
    }
    const int status = shrew_session_sample(session, &session->sampling, id);
    if (status)
        return status;
    if (phase_of(session) != ANSWER_IS_TEXT) {
        shrew_begin_phase(session, SHREW_PHASE_CHOOSE, 0, 1);
        shrew_commands_choose(session, *id, id);
    }
    session->unfed = *id;
    if (HAS_COMMANDS && *id == SHREW_NO_TOKEN)
        session->finish = SHREW_FINISH_REFUSED; /* the vocabulary cannot write what the grammar asks for */
    return SHREW_OK;
}

/* The next token of an answer from memory, if it goes on. It goes into the history, but is not fed. */
static void recall_token(shrew_session *session, uint32_t *id) {
    const shrew_recollection *found = &session->recollection;
    const uint32_t end = session->prompt_end + session->tokens;
    const int has_ended = session->tokens == found->ids_count;
    if (end > session->context) { /* as with the model: the last token need not fit */
        session->finish = SHREW_FINISH_CONTEXT;
        return;
    }
    const uint32_t next = has_ended ? session->model->tokenizer.eos : found->ids[session->tokens];
    if (phase_of(session) != ANSWER_IS_TEXT && !shrew_commands_follow(session, next)) {
        session->finish = SHREW_FINISH_REFUSED; /* a command that the grammar lacks, which is not told */
        session->walk.phase = ANSWER_IS_TEXT;
        return;
    }
    session->unread = end - session->position;
    session->unfed = next;
    if (has_ended) {
        session->finish = SHREW_FINISH_END;
        return;
    }
    if (end < session->context)
        session->history[end] = (uint16_t)next;
    *id = next;
}

/* Says the next token, and whether the generation is over. */
static int generate_token(shrew_session *session, uint32_t *token) {
    uint32_t id = SHREW_NO_TOKEN;
    int status = SHREW_OK;
    *token = SHREW_NO_TOKEN;
    if (!shrew_recalls(session))
        status = choose_token(session, &id);
    else if (session->recollection.verdict == RECALL_ANSWER)
        recall_token(session, &id);
    else
        session->finish = SHREW_FINISH_REFUSED;
    if (id == SHREW_NO_TOKEN)
        return status;
    if (id == session->model->tokenizer.eos) {
        session->finish = SHREW_FINISH_END;
        return SHREW_OK;
    }
    *token = id;
    session->tokens++;
    session->digest = shrew_digest(session->digest, id);
    if (phase_of(session) != ANSWER_IS_COMMAND)
        append_text(session, id);
    if (session->max_tokens && session->tokens == session->max_tokens)
        session->finish = SHREW_FINISH_LENGTH;
    return SHREW_OK;
}

/* Writes the part of the answer that is certain by now. */
static size_t write_text(shrew_session *session, uint8_t *text) {
    uint32_t safe = 0;
    if (phase_of(session) == ANSWER_IS_COMMAND) {
        if (session->finish != SHREW_RUNNING)
            shrew_commands_finish(session);
    } else {
        const stop_search search = search_stops(session);
        if (search.found < session->pending_count) {
            session->finish = SHREW_FINISH_STOP;
            session->pending_count = search.found;
        }
        if (phase_of(session) == ANSWER_IS_TEXT)
            safe = search.safe;
    }
    const int ended = session->finish != SHREW_RUNNING;
    if ((HAS_COMMANDS || HAS_MEMORY) && session->finish == SHREW_FINISH_REFUSED)
        put_refusal(session);
    return release(session, ended ? session->pending_count : safe, ended, text);
}

int shrew_session_next(shrew_session *session, void *text, size_t capacity, shrew_progress *progress) {
    if (!session || !text || !progress)
        return SHREW_E_ARGUMENT;
    if (capacity < SHREW_TEXT_BYTES)
        return SHREW_E_BUFFER;
    if (!session->generating)
        return SHREW_E_STATE;
    uint32_t token = SHREW_NO_TOKEN;
    size_t written = 0;
    int status;
    if (!shrew_recalls(session) && session->tokens == 0 && session->position < session->prompt_end) {
        status = feed_prompt(session);
    } else {
        status = generate_token(session, &token);
        written = write_text(session, text);
    }
    shrew_begin_phase(session, SHREW_PHASE_NONE, 0, 0);
    if (status || session->finish != SHREW_RUNNING)
        session->generating = 0;
    if (status)
        return status;
    progress->text_bytes = written;
    progress->finish = session->finish;
    progress->prompt_tokens = (session->position < session->prompt_end ? session->position : session->prompt_end) -
                              session->prompt_start;
    progress->prompt_total = session->prompt_end - session->prompt_start;
    progress->tokens = session->tokens;
    progress->digest = session->digest;
    progress->drafted = session->drafted;
    progress->accepted = session->accepted;
    progress->token = token;
    progress->from_memory = (uint32_t)shrew_recalls(session);
    progress->confidence =
        progress->from_memory || phase_of(session) == ANSWER_IS_COMMAND ? session->confidence : 0.0f;
    return SHREW_OK;
}
