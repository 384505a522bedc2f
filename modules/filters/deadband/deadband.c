/* deadband: lets a reading pass only when it tells something new. See README.md beside this file. */
#include "tidegate.h"
#include "tidegate_command.h"

TG_MODULE
TG_COMMAND

enum { ABSOLUTE, PERCENT, SPAN, MAX_SILENCE_S, PARAMS };

/* What was sent last of a point, and how far the next may stray from it. */
typedef struct {
    int64_t ts_ns;
    tg_value value;
    double band;
    uint64_t silence_ns;
    uint16_t status;
    uint8_t kind;
    uint8_t seen;
} memory;

static tg_index index_;
static memory *memories;

static int usable(double param) { return param >= 0 && param <= 1.7976931348623157e308; }

/* 0 seconds is no limit; so is what does not fit, 584 years. */
static uint64_t silence_ns(double silence_s) {
    double ns = silence_s * 1e9;
    return ns >= 1.0 && ns < 18446744073709551615.0 ? (uint64_t)ns : UINT64_MAX;
}

TG_EXPORT(tg_configure) int32_t tg_configure(uint32_t table, uint32_t rows, uint32_t params) {
    if (params != PARAMS) return TG_E_PARAMS;
    int32_t failed = tg_index_build(&index_, table, rows, params);
    if (failed) return failed;
    if (rows > UINT32_MAX / sizeof(memory) || !(memories = tg_take(rows * (uint32_t)sizeof(memory)))) return TG_E_MEMORY;
    for (uint32_t row = 0; row < rows; row++) {
        const double *param = tg_row_at(table, row, params)->param;
        for (int i = 0; i < PARAMS; i++)
            if (!usable(param[i])) return TG_E_PARAMS;
        if (param[PERCENT] > 0 && param[SPAN] == 0) return TG_E_PARAMS;
        double relative = param[PERCENT] / 100.0 * param[SPAN];
        memories[row].band = relative > param[ABSOLUTE] ? relative : param[ABSOLUTE];
        memories[row].silence_ns = silence_ns(param[MAX_SILENCE_S]);
    }
    return TG_OK;
}

static int strays_f64(double last, double now, double band) {
    if (last == now) return 0;
    int last_is_nan = last != last, now_is_nan = now != now;
    if (last_is_nan || now_is_nan) return last_is_nan != now_is_nan;
    return __builtin_fabs(now - last) > band;
}

/* Integers are subtracted as integers: two neighbours beyond 2^53 are one and the same double. */
static int strays(const memory *last, const tg_record *now) {
    switch (now->kind) {
        case TG_F64: return strays_f64(last->value.f64, now->value.f64, last->band);
        case TG_I64: {
            uint64_t a = last->value.u64, b = now->value.u64;
            return (double)(now->value.i64 < last->value.i64 ? a - b : b - a) > last->band;
        }
        case TG_U64: {
            uint64_t a = last->value.u64, b = now->value.u64;
            return (double)(b < a ? a - b : b - a) > last->band;
        }
        case TG_BOOL: return last->value.u64 != now->value.u64;
        default: return 1;
    }
}

static int tells_something(const memory *last, const tg_record *now) {
    if (!last->seen || last->status != now->status || last->kind != now->kind) return 1;
    if (now->flags & TG_LOST_BEFORE) return 1;
    /* A clock that stepped back must not silence a point until it has caught up. */
    if (now->ts_ns < last->ts_ns) return 1;
    if ((uint64_t)now->ts_ns - (uint64_t)last->ts_ns >= last->silence_ns) return 1;
    return strays(last, now);
}

TG_EXPORT(tg_process) int32_t tg_process(uint32_t at, uint32_t count, uint32_t heap_bytes) {
    tg_record *records = (tg_record *)(uintptr_t)at;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        const tg_record *record = &records[i];
        uint32_t row = tg_find(&index_, record->point);
        if (row != TG_NOT_MINE) {
            memory *last = &memories[row];
            if (!tells_something(last, record)) continue;
            last->ts_ns = record->ts_ns;
            last->value = record->value;
            last->status = record->status;
            last->kind = record->kind;
            last->seen = 1;
        }
        if (kept != i) records[kept] = *record;
        kept++;
    }
    if (kept == count) return TG_UNCHANGED;
    return tg_answer_with(records, kept, records + count, heap_bytes);
}
