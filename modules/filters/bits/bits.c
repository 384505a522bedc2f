/* bits: the bits of a status word, as derived points. See README.md beside this file. */
#include "tidegate.h"
#include "tidegate_command.h"

TG_MODULE
TG_COMMAND

enum { ONLY_CHANGES, KEEP_READINGS, PARAMS };
enum { OUTPUTS = 32 };

typedef struct {
    int only_changes;
    int keep_readings;
} config;

typedef struct {
    uint32_t bits;
    uint16_t status;
    uint8_t told;
    uint8_t unused;
} memory;

static int32_t configure(config *c, const double *param) {
    *c = (config){param[ONLY_CHANGES] != 0, param[KEEP_READINGS] != 0};
    return TG_OK;
}

static void reading(const config *c, memory *m, tg_record *now) {
    int is_word = now->kind == TG_I64 || now->kind == TG_U64;
    if (!is_word && !tg_is_bad(now)) {
        tg_pass(now);
        return;
    }
    if (c->keep_readings) tg_pass(now);
    uint32_t bits = is_word ? (uint32_t)now->value.u64 : m->bits;
    int all = !m->told || !c->only_changes || m->status != now->status;
    for (uint32_t n = 0; n < OUTPUTS; n++)
        if (all || ((bits ^ m->bits) >> n & 1u)) tg_emit_bool(n, now, (int)(bits >> n & 1u));
    *m = (memory){bits, now->status, 1, 0};
}

TG_POINTS(config, memory)
TG_SAVES(memory)
