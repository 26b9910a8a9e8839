#include "commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "esp_random.h"
#include "esp_system.h"

#include "board.h"
#include "clock.h"
#include "core/console.h"
#include "generate.h"
#include "models.h"
#include "nvs_settings.h"
#include "server.h"
#include "status.h"
#include "wifi.h"

static uint32_t connection;
static volatile int is_asking;
static void (*answered)(void);

/* ---- ask -------------------------------------------------------------------------------------------------------- */

static int print_text(const queue_entry *entry, const char *bytes, size_t count) {
    (void)entry;
    fwrite(bytes, 1, count, stdout);
    fflush(stdout);
    return 0;
}

static void print_end(queue_entry *entry, const protocol_result *result, const protocol_error *error) {
    generate_lock();
    generate_release(entry);
    generate_unlock();
    if (error)
        printf("%s\n", error->line);
    else
        printf("\n[%s: %" PRIu32 " tokens, %.1f tokens/s, prompt %.1f tokens/s, seed %" PRIu64 ", digest %08" PRIx32 "]\n",
               protocol_reason_name(result->reason), result->tokens, (double)result->tok_per_s,
               (double)result->prompt_tok_per_s, result->seed, result->digest);
    is_asking = 0;
    answered();
}

static const audience person = {.write = print_text, .finish = print_end};

static void ask(const console_command *command) {
    const protocol_rules rules = generate_rules();
    const protocol_request request = {.options = rules.defaults,
                                      .seed = rules.seed,
                                      .prompt = command->text,
                                      .prompt_bytes = command->text_bytes};
    uint32_t ahead;
    protocol_error error;
    is_asking = 1;
    if (!generate_push(connection, &request, &ahead, &error))
        return;
    is_asking = 0;
    printf("%s\n", error.line);
}

int commands_are_busy(void) {
    return is_asking;
}

void commands_cancel(void) {
    protocol_result cancelled;
    if (!is_asking || !generate_cancel(connection, 0, &cancelled))
        return; /* or it ends by itself, at its next step */
    printf("[%s]\n", protocol_reason_name(cancelled.reason));
    is_asking = 0;
}

/* ---- Models ------------------------------------------------------------------------------------------------------- */

static void print_models(void) {
    const models_view *view = models_look();
    for (uint32_t i = 0; i < view->stored_count; i++)
        printf("%c %-*s %9" PRIu32 " bytes  %s\n", view->stored[i].active ? '*' : ' ', (int)PROTOCOL_NAME_BYTES,
               view->stored[i].name, view->stored[i].bytes, view->stored[i].place);
    if (!view->stored_count)
        printf("none: upload one on the page, or with shrew flash\n");
    models_look_away();
}

static void load(const char *name) {
    protocol_error error;
    if (models_load(name, &error)) {
        printf("%s\n", error.line);
        return;
    }
    models_remember(name);
    server_announce();
    status_print();
}

static void unload(void) {
    protocol_error error;
    if (models_unload(&error)) {
        printf("%s\n", error.line);
        return;
    }
    server_announce();
    printf("no model answers until the next load, or start\n");
}

static void selftest(void) {
    static const char *const verdicts[] = {"the image has none", "passed", "FAILED: this build computes other tokens"};
    info_selftest verdict;
    protocol_error error;
    printf("self-test: %s\n", models_selftest(&verdict, &error) ? error.line : verdicts[verdict]);
}

/* Tokens into the session, so many a call: tokens per second, 0 where there is no room. */
static double feed(shrew_session *session, uint32_t tokens, uint32_t at_once) {
    uint16_t ids[SHREW_MAX_BLOCK] = {0};
    const uint64_t begun = clock_us();
    for (uint32_t done = 0; done < tokens;) {
        size_t used;
        if (shrew_session_feed(session, ids, tokens - done < at_once ? tokens - done : at_once, &used))
            return 0;
        done += (uint32_t)used;
    }
    return tokens * 1e6 / (double)(clock_us() - begun + 1);
}

/* Without choosing tokens, so that the model's end of text does not matter: half of the context as a prompt, as much
 * again one by one. */
static void bench(uint32_t tokens) {
    const models_view *view = models_look();
    const uint32_t most = view->model ? view->model->context / 2 : 0;
    models_look_away();
    if (tokens > most)
        tokens = most;
    shrew_session *session = models_enter();
    if (!session) {
        printf("%s\n", protocol_code_line(PROTOCOL_NO_MODEL));
        return;
    }
    shrew_session_reset(session);
    const double prompt = feed(session, tokens, SHREW_MAX_BLOCK), answer = feed(session, tokens, 1);
    shrew_session_reset(session);
    models_leave();
    printf("%" PRIu32 " tokens as a prompt: %.1f tokens/s; %" PRIu32 " more, one by one: %.1f tokens/s\n", tokens, prompt,
           tokens, answer);
}

/* ---- Settings ----------------------------------------------------------------------------------------------------- */

static void show(void) {
    const settings kept = settings_now();
    for (int i = 0; i < OPTIONS; i++) {
        float number;
        uint32_t integer;
        if (option_get(&kept.defaults, (option)i, &number, &integer))
            printf("%-18s %-10" PRIu32 " %s\n", option_name((option)i), integer, option_range((option)i));
        else
            printf("%-18s %-10g %s\n", option_name((option)i), (double)number, option_range((option)i));
    }
}

static void set(const console_command *command) {
    settings kept = settings_begin();
    if (option_set(&kept.defaults, command->option, &command->value) != OPTION_FITS) {
        settings_drop();
        printf("%s is %s\n", option_name(command->option), option_range(command->option));
        return;
    }
    settings_keep(&kept);
    server_announce();
    show();
}

static void show_wifi(void) {
    const wifi_state state = wifi_now();
    const settings kept = settings_now();
    if (!state.mode)
        printf("this device has no Wi-Fi\n");
    else if (*state.mode == 'a')
        printf("access point %s, password %s, http://%s\n", state.ssid, kept.password, state.address);
    else
        printf("network %s, http://%s, http://shrew.local\n", state.ssid, state.address);
}

static void join(const console_command *command) {
    settings kept = settings_begin();
    protocol_error error;
    const int forget = command->verb == CONSOLE_WIFI_FORGET;
    if (settings_set_wifi(&kept, forget ? "" : command->text, forget ? 0 : command->text_bytes,
                          forget ? "" : command->password, forget ? 0 : command->password_bytes, &error)) {
        settings_drop();
        printf("%s\n", error.line);
        return;
    }
    settings_keep(&kept);
    if (!wifi_now().mode)
        show_wifi();
    wifi_restart();
}

static void show_token(int make_new) {
    if (make_new) {
        settings changed = settings_begin();
        uint8_t random[SETTINGS_TOKEN_BYTES];
        esp_fill_random(random, sizeof random);
        settings_make_secret(changed.token, random, SETTINGS_TOKEN_BYTES);
        settings_keep(&changed);
    }
    const settings kept = settings_now();
    printf("token %s\n", kept.token);
}

static void help(const console_command *command) {
    const int only = command->text_bytes ? console_find(command->text, command->text_bytes) : -1;
    for (int i = only < 0 ? 0 : only; console_usage((size_t)i); i++) {
        printf("%-24s %s\n", console_usage((size_t)i), console_description((size_t)i));
        if (only >= 0)
            break;
    }
}

/* ---- Lines -------------------------------------------------------------------------------------------------------- */

void commands_run(char *line, size_t bytes) {
    console_command command;
    char buffer[2 * PROTOCOL_LINE_BYTES];
    text error = text_in(buffer, sizeof buffer);
    if (console_read(&command, line, bytes, &error)) {
        printf("%s\n", error.bytes);
        return;
    }
    switch (command.verb) {
    case CONSOLE_NOTHING: break;
    case CONSOLE_ASK: ask(&command); break;
    case CONSOLE_MODELS: print_models(); break;
    case CONSOLE_LOAD: load(command.text); break;
    case CONSOLE_UNLOAD: unload(); break;
    case CONSOLE_SHOW: show(); break;
    case CONSOLE_SET: set(&command); break;
    case CONSOLE_STATUS: status_print(); break;
    case CONSOLE_WIFI: show_wifi(); break;
    case CONSOLE_WIFI_JOIN:
    case CONSOLE_WIFI_FORGET: join(&command); break;
    case CONSOLE_TOKEN: show_token(0); break;
    case CONSOLE_TOKEN_NEW: show_token(1); break;
    case CONSOLE_SELFTEST: selftest(); break;
    case CONSOLE_BENCH: bench(command.number); break;
    case CONSOLE_RESTART: esp_restart(); break;
    case CONSOLE_HELP: help(&command); break;
    }
}

void commands_start(void (*when_answered)(void)) {
    answered = when_answered;
    connection = generate_connect(&person);
}
