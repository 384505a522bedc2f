/* limit_alarm: says when a value is beyond a limit, as derived points. See README.md beside this file. */
#include "tidegate.h"
#include "tidegate_command.h"

TG_MODULE
TG_COMMAND

enum { ABOVE, BELOW, HYSTERESIS, DELAY_S, PARAMS };
enum { HIGH, LOW, OUTPUTS };

typedef struct {
    double above;
    double below;
    double hysteresis;
    double delay_ns;
} config;

/* One alarm: whether it stands, and since when its limit has been passed. */
typedef struct {
    int64_t since_ns;
    uint32_t stands;
    uint32_t passed;
} alarm;

typedef struct {
    alarm alarms[OUTPUTS];
    uint32_t told; /* 0: nothing yet, 1: whether it stands, 2: that it is not known */
    uint32_t status;
} memory;

static int32_t configure(config *c, const double *param) {
    const double most = 1.7976931348623157e308;
    if (!tg_is_size(param[HYSTERESIS]) || !tg_is_size(param[DELAY_S])) return TG_E_PARAMS;
    if (param[ABOVE] >= most && param[BELOW] <= -most) return TG_E_PARAMS;
    if (param[BELOW] >= param[ABOVE]) return TG_E_PARAMS;
    *c = (config){param[ABOVE], param[BELOW], param[HYSTERESIS], param[DELAY_S] * 1e9};
    return TG_OK;
}

/* Whether it changed. It comes after the delay, and goes at once. */
static int look(const config *c, alarm *a, int64_t ts_ns, int is_beyond, int is_back) {
    if (a->stands) {
        if (!is_back) return 0;
        a->stands = a->passed = 0;
        return 1;
    }
    if (!is_beyond) {
        a->passed = 0;
        return 0;
    }
    if (!a->passed || ts_ns < a->since_ns) a->since_ns = ts_ns; /* a clock that stepped back begins anew */
    a->passed = 1;
    if ((double)tg_since_ns(a->since_ns, ts_ns) < c->delay_ns) return 0;
    a->stands = 1;
    return 1;
}

static void reading(const config *c, memory *m, tg_record *now) {
    tg_pass(now);
    double value;
    if (!tg_number(now, &value) || value != value) {
        tg_record unknown = *now;
        if (!tg_is_bad(now)) unknown.status = TG_BAD;
        if (m->told != 2 || m->status != unknown.status)
            for (uint32_t n = 0; n < OUTPUTS; n++) tg_emit_bool(n, &unknown, 0);
        m->told = 2;
        m->status = unknown.status;
        for (uint32_t n = 0; n < OUTPUTS; n++) m->alarms[n].passed = 0;
        return;
    }
    int all = m->told != 1 || m->status != now->status;
    int high = look(c, &m->alarms[HIGH], now->ts_ns, value > c->above, value <= c->above - c->hysteresis);
    int low = look(c, &m->alarms[LOW], now->ts_ns, value < c->below, value >= c->below + c->hysteresis);
    if (all || high) tg_emit_bool(HIGH, now, (int)m->alarms[HIGH].stands);
    if (all || low) tg_emit_bool(LOW, now, (int)m->alarms[LOW].stands);
    m->told = 1;
    m->status = now->status;
}

TG_POINTS(config, memory)
TG_SAVES(memory)
