/* change_only: leaves out what repeats the last reading. See README.md beside this file. */
#include "tidegate.h"
#include "tidegate_command.h"

TG_MODULE
TG_COMMAND

enum { MAX_SILENCE_S, PARAMS };
enum { OUTPUTS };

typedef struct {
    uint64_t silence_ns;
} config;

/* What was sent last. Texts and bytes are remembered by a digest of 64 bits. */
typedef struct {
    int64_t ts_ns;
    uint64_t value;
    uint16_t status;
    uint8_t kind;
    uint8_t seen;
    uint32_t length;
} memory;

static int32_t configure(config *c, const double *param) {
    if (!tg_is_size(param[MAX_SILENCE_S])) return TG_E_PARAMS;
    c->silence_ns = tg_limit_ns(param[MAX_SILENCE_S]);
    return TG_OK;
}

static int is_text(const tg_record *record) { return record->kind == TG_STR || record->kind == TG_BYTES; }

/* FNV-1a, 64 bits. */
static uint64_t digest(const unsigned char *at, uint32_t length) {
    uint64_t sum = 14695981039346656037ull;
    for (uint32_t i = 0; i < length; i++) sum = (sum ^ at[i]) * 1099511628211ull;
    return sum;
}

/* The bits to compare: 0 and -0 are one number, and all NaN are one. */
static uint64_t bits(const tg_record *record) {
    if (is_text(record)) return digest(tg_heap_now_ + record->value.span.offset, record->value.span.length);
    if (record->kind != TG_F64) return record->value.u64;
    if (record->value.f64 == 0) return 0;
    return record->value.f64 != record->value.f64 ? TG_NO_VALUE_BITS : record->value.u64;
}

static void reading(const config *c, memory *last, tg_record *now) {
    memory next = {now->ts_ns, bits(now), now->status, now->kind, 1, is_text(now) ? now->value.span.length : 0};
    int repeats = last->seen && last->value == next.value && last->length == next.length && last->kind == next.kind &&
                  last->status == next.status && !(now->flags & TG_LOST_BEFORE) && last->ts_ns <= next.ts_ns &&
                  tg_since_ns(last->ts_ns, next.ts_ns) < c->silence_ns;
    if (repeats) return;
    *last = next;
    tg_pass(now);
}

TG_POINTS(config, memory)
TG_SAVES(memory)
