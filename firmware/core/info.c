#include "info.h"

#include <string.h>

#include "bytes.h"

/* ---- Facts from an image ----------------------------------------------------------------------------------------- */

static info_text metadata_of(const shrew_model *model, const char *wanted) {
    info_text found = {NULL, 0};
    const char *key;
    size_t key_bytes;
    for (uint32_t i = 0; !shrew_model_metadata(model, i, &key, &key_bytes, &found.bytes, &found.count); i++)
        if (fw_text_equal(wanted, key, key_bytes)) {
            found.count = fw_text_whole_characters(found.bytes, found.count, INFO_TEXT_BYTES);
            return found;
        }
    found.bytes = NULL;
    return found;
}

/* The number of trained values: all except the frequencies of rotary positions. */
static uint64_t count_parameters(const shrew_model *model) {
    uint64_t parameters = 0;
    for (int role = 0; role < SHREW_ROLES; role++)
        for (uint32_t layer = 0; layer < model->config.layers && role != SHREW_ROPE_FREQUENCY; layer++) {
            shrew_tensor tensor;
            if (!shrew_model_tensor(model, (shrew_role)role, layer, &tensor))
                parameters += (uint64_t)tensor.rows * tensor.cols;
        }
    return parameters;
}

void fw_info_of_model(info_model *about, const char *name, const shrew_model *model) {
    memset(about, 0, sizeof *about);
    about->name = name;
    about->title = metadata_of(model, "name");
    about->refusal = metadata_of(model, "refusal");
    about->licence = metadata_of(model, "licence");
    about->description = metadata_of(model, "description");
    about->bytes = model->image_bytes;
    about->crc32 = read_u32(model->image + 12);
    about->context = model->config.context;
    about->vocab = model->config.vocab;
    about->dim = model->config.dim;
    about->layers = model->config.layers;
    about->parameters = count_parameters(model);
    about->commands = model->commands != NULL;
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

static void string(text *out, const char *name, const char *value) {
    fw_json_name(out, name);
    fw_json_write_string(out, value);
}

static void metadata(text *out, const char *name, info_text value) {
    fw_json_name(out, name);
    if (value.bytes)
        fw_json_write_text(out, value.bytes, value.count);
    else
        fw_json_write_null(out);
}

static void integer(text *out, const char *name, uint64_t value) {
    fw_json_name(out, name);
    fw_json_write_integer(out, (int64_t)value);
}

static void boolean(text *out, const char *name, int value) {
    fw_json_name(out, name);
    fw_json_write_boolean(out, value);
}

static void open(text *out, const char *name, char bracket) {
    fw_json_name(out, name);
    fw_json_open(out, bracket);
}

static void write_model(text *out, const info_model *model) {
    static const char *const selftests[] = {"absent", "passed", "failed"};
    open(out, "model", '{');
    string(out, "name", model->name);
    metadata(out, "title", model->title);
    integer(out, "bytes", model->bytes);
    fw_json_name(out, "crc32");
    fw_json_write_hex(out, model->crc32);
    integer(out, "context", model->context);
    integer(out, "vocab", model->vocab);
    integer(out, "dim", model->dim);
    integer(out, "layers", model->layers);
    integer(out, "parameters", model->parameters);
    string(out, "selftest", selftests[model->selftest]);
    metadata(out, "refusal", model->refusal);
    metadata(out, "licence", model->licence);
    metadata(out, "description", model->description);
    boolean(out, "commands", (int)model->commands);
    fw_json_close(out, '}');
}

static void write_models(text *out, const info_stored *models, size_t count) {
    open(out, "models", '[');
    for (size_t i = 0; i < count; i++) {
        fw_json_open(out, '{');
        string(out, "name", models[i].name);
        integer(out, "bytes", models[i].bytes);
        string(out, "place", models[i].place);
        boolean(out, "active", (int)models[i].active);
        fw_json_close(out, '}');
    }
    fw_json_close(out, ']');
}

static void write_defaults(text *out, const options *defaults) {
    open(out, "defaults", '{');
    for (int which = 0; which < OPTIONS; which++) {
        float number;
        uint32_t value;
        if (fw_option_get(defaults, (option)which, &number, &value)) {
            integer(out, fw_option_name((option)which), value);
        } else {
            fw_json_name(out, fw_option_name((option)which));
            fw_json_write_number(out, number);
        }
    }
    fw_json_close(out, '}');
}

static void write_limits(text *out, const info *about) {
    open(out, "limits", '{');
    integer(out, "message_bytes", about->message_bytes);
    integer(out, "prompt_bytes", about->prompt_bytes);
    integer(out, "queue", about->queue);
    integer(out, "per_client", about->per_client);
    integer(out, "clients", about->clients);
    integer(out, "upload_bytes", about->upload_bytes);
    fw_json_close(out, '}');
}

void fw_info_write(text *out, const info *about, int message) {
    fw_json_open(out, '{');
    if (message)
        string(out, "type", "info");
    integer(out, "protocol", PROTOCOL_VERSION);
    string(out, "version", about->version);
    string(out, "device", about->device);
    if (about->model)
        write_model(out, about->model);
    else
        string(out, "model", NULL);
    write_models(out, about->models, about->model_count);
    write_defaults(out, &about->defaults);
    write_limits(out, about);
    open(out, "memory", '{');
    for (size_t i = 0; i < about->memory_count; i++)
        integer(out, about->memory[i].kind, about->memory[i].bytes);
    fw_json_close(out, '}');
    integer(out, "uptime_s", about->uptime_s);
    integer(out, "requests", about->requests);
    if (about->wifi_mode) {
        open(out, "wifi", '{');
        string(out, "mode", about->wifi_mode);
        string(out, "ssid", about->wifi_ssid);
        string(out, "address", about->wifi_address);
        fw_json_close(out, '}');
    }
    fw_json_close(out, '}');
}
