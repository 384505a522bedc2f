/* deadband: lets a reading pass only when it tells something new. See README.md beside this file. */
#include "tidegate.h"
#include "tidegate_command.h"

TG_MODULE
TG_COMMAND

enum { ABSOLUTE, PERCENT, SPAN, MAX_SILENCE_S, MIN_INTERVAL_S, PARAMS };
enum { OUTPUTS };

typedef struct {
    double band;
    uint64_t silence_ns;
    uint64_t interval_ns;
} config;

/* What was sent last of a point. */
typedef struct {
    int64_t ts_ns;
    tg_value value;
    uint16_t status;
    uint8_t kind;
    uint8_t seen;
    uint32_t unused;
} memory;

static int32_t configure(config *c, const double *param) {
    for (int i = 0; i < PARAMS; i++)
        if (!tg_is_size(param[i])) return TG_E_PARAMS;
    if (param[PERCENT] > 0 && param[SPAN] == 0) return TG_E_PARAMS;
    double relative = param[PERCENT] / 100.0 * param[SPAN];
    c->band = relative > param[ABSOLUTE] ? relative : param[ABSOLUTE];
    c->silence_ns = tg_limit_ns(param[MAX_SILENCE_S]);
    c->interval_ns = param[MIN_INTERVAL_S] > 0 ? tg_limit_ns(param[MIN_INTERVAL_S]) : 0;
    return TG_OK;
}

static int strays_f64(double last, double now, double band) {
    if (last == now) return 0;
    int last_is_nan = last != last, now_is_nan = now != now;
    if (last_is_nan || now_is_nan) return last_is_nan != now_is_nan;
    return __builtin_fabs(now - last) > band;
}

/* Integers are subtracted as integers: two neighbours beyond 2^53 are one and the same double. */
static int strays(const memory *last, const tg_record *now, double band) {
    switch (now->kind) {
        case TG_F64: return strays_f64(last->value.f64, now->value.f64, band);
        case TG_I64: {
            uint64_t a = last->value.u64, b = now->value.u64;
            return (double)(now->value.i64 < last->value.i64 ? a - b : b - a) > band;
        }
        case TG_U64: {
            uint64_t a = last->value.u64, b = now->value.u64;
            return (double)(b < a ? a - b : b - a) > band;
        }
        case TG_BOOL: return last->value.u64 != now->value.u64;
        default: return 1;
    }
}

static int tells_something(const config *c, const memory *last, const tg_record *now) {
    if (!last->seen || last->status != now->status || last->kind != now->kind) return 1;
    if (now->flags & TG_LOST_BEFORE) return 1;
    /* A clock that stepped back must not silence a point until it has caught up. */
    if (now->ts_ns < last->ts_ns) return 1;
    uint64_t silent_ns = tg_since_ns(last->ts_ns, now->ts_ns);
    if (silent_ns >= c->silence_ns) return 1;
    return silent_ns >= c->interval_ns && strays(last, now, c->band);
}

static void reading(const config *c, memory *last, tg_record *now) {
    if (!tells_something(c, last, now)) return;
    last->ts_ns = now->ts_ns;
    last->value = now->value;
    last->status = now->status;
    last->kind = now->kind;
    last->seen = 1;
    tg_pass(now);
}

TG_POINTS(config, memory)
TG_SAVES(memory)
