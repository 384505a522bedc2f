/* total: a counter that rolls over, as a total that does not. See README.md beside this file. */
#include "tidegate.h"
#include "tidegate_command.h"

TG_MODULE
TG_COMMAND

enum { MODULUS, MAX_STEP, FACTOR, KEEP_READINGS, PARAMS };
enum { TOTAL, OUTPUTS };

typedef struct {
    double modulus;
    double max_step;
    double factor;
    int keep_readings;
} config;

typedef struct {
    double last;
    double counts;
    uint32_t seen;
    uint32_t unused;
} memory;

static int32_t configure(config *c, const double *param) {
    if (!tg_is_size(param[MODULUS]) || !tg_is_size(param[MAX_STEP])) return TG_E_PARAMS;
    if (param[MODULUS] == 0 && param[MAX_STEP] > 0) return TG_E_PARAMS;
    double max_step = param[MAX_STEP] > 0 ? param[MAX_STEP] : param[MODULUS] / 2;
    *c = (config){param[MODULUS], max_step, param[FACTOR], param[KEEP_READINGS] != 0};
    return TG_OK;
}

/* How far it went on: straight on, over the end to 0 again, or from 0 where somebody has set it back. */
static double step(const config *c, double last, double now) {
    if (now >= last) return now - last;
    double over = now - last + c->modulus;
    if (over >= 0 && over <= c->max_step) return over;
    return now > 0 ? now : 0;
}

static void reading(const config *c, memory *m, tg_record *now) {
    double value;
    int is_number = tg_number(now, &value) && value - value == 0;
    if (!is_number || c->keep_readings) tg_pass(now);
    if (tg_is_bad(now)) {
        tg_emit_f64(TOTAL, now, 0);
        return;
    }
    if (!is_number) return;
    if (m->seen) m->counts += step(c, m->last, value);
    m->seen = 1;
    m->last = value;
    tg_emit_f64(TOTAL, now, m->counts * c->factor);
}

TG_POINTS(config, memory)
TG_SAVES(memory)
