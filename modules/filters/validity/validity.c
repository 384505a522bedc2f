/* validity: marks values that cannot be right. See README.md beside this file. */
#include "tidegate.h"
#include "tidegate_command.h"

TG_MODULE
TG_COMMAND

enum { LOW, HIGH, STUCK_S, STUCK_BAND, HOLD_OFF_S, PARAMS };
enum { OUTPUTS };

#define OUT_OF_RANGE 0x803Cu        /* OPC 10000-6, A.2: bad */
#define SENSOR_NOT_ACCURATE 0x4093u /* uncertain */

typedef struct {
    double low;
    double high;
    double band;
    uint64_t stuck_ns;
    uint64_t hold_off_ns;
} config;

typedef struct {
    double value;         /* that it may be stuck at */
    int64_t since_ns;     /* since when */
    int64_t good_from_ns; /* when it became good after it was bad */
    uint8_t has_value;
    uint8_t was_bad;
    uint8_t recovers;
    uint8_t unused[5];
} memory;

static int32_t configure(config *c, const double *param) {
    if (!tg_is_size(param[STUCK_S]) || !tg_is_size(param[STUCK_BAND]) || !tg_is_size(param[HOLD_OFF_S])) return TG_E_PARAMS;
    if (!(param[LOW] < param[HIGH])) return TG_E_PARAMS;
    *c = (config){param[LOW], param[HIGH], param[STUCK_BAND], tg_limit_ns(param[STUCK_S]),
                  param[HOLD_OFF_S] > 0 ? tg_limit_ns(param[HOLD_OFF_S]) : 0};
    return TG_OK;
}

static int is_stuck(const config *c, memory *m, const tg_record *now, double value) {
    int moved = !m->has_value || now->ts_ns < m->since_ns || !(__builtin_fabs(value - m->value) <= c->band);
    if (moved) {
        m->has_value = 1;
        m->value = value;
        m->since_ns = now->ts_ns;
        return 0;
    }
    return tg_since_ns(m->since_ns, now->ts_ns) >= c->stuck_ns;
}

/* Whether it became good too lately to be believed. */
static int is_held_off(const config *c, memory *m, const tg_record *now) {
    if (m->was_bad) {
        m->was_bad = 0;
        m->recovers = 1;
        m->good_from_ns = now->ts_ns;
    }
    if (!m->recovers) return 0;
    m->recovers = now->ts_ns >= m->good_from_ns && tg_since_ns(m->good_from_ns, now->ts_ns) < c->hold_off_ns;
    return m->recovers;
}

static void reading(const config *c, memory *m, tg_record *now) {
    double value;
    if (tg_number(now, &value)) {
        int stuck = is_stuck(c, m, now, value);
        if (value < c->low || value > c->high || value != value) {
            tg_set_bad(now, OUT_OF_RANGE);
        } else {
            if (stuck) now->status = tg_worse(now->status, SENSOR_NOT_ACCURATE);
        }
    }
    if (tg_is_bad(now)) {
        m->was_bad = 1;
        m->recovers = 0;
    } else if (is_held_off(c, m, now)) {
        now->status = tg_worse(now->status, TG_UNCERTAIN);
    }
    tg_pass(now);
}

TG_POINTS(config, memory)
TG_SAVES(memory)
