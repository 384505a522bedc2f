/* rate: how fast a value changes, as a derived point. See README.md beside this file. */
#include "tidegate.h"
#include "tidegate_command.h"

TG_MODULE
TG_COMMAND

enum { OVER_S, PARAMS };
enum { PER_SECOND, PER_MINUTE, PER_HOUR, OUTPUTS };

typedef struct {
    double over_ns;
} config;

/* The reading that the next one is held against. */
typedef struct {
    int64_t ts_ns;
    double value;
    uint32_t seen;
    uint16_t status;
    uint16_t unused;
} memory;

static int32_t configure(config *c, const double *param) {
    if (!tg_is_size(param[OVER_S])) return TG_E_PARAMS;
    c->over_ns = param[OVER_S] * 1e9;
    return TG_OK;
}

static void reading(const config *c, memory *m, tg_record *now) {
    tg_pass(now);
    double value;
    if (!tg_number(now, &value)) {
        m->seen = 0;
        return;
    }
    double elapsed_ns = (double)tg_since_ns(m->ts_ns, now->ts_ns);
    int usable = m->seen && now->ts_ns > m->ts_ns && !(now->flags & TG_LOST_BEFORE);
    if (usable && elapsed_ns < c->over_ns) return;
    if (m->seen && now->ts_ns == m->ts_ns) return;
    if (usable) {
        double per_second = (value - m->value) / (elapsed_ns / 1e9);
        tg_record like = *now;
        like.status = tg_worse(m->status, now->status);
        tg_emit_f64(PER_SECOND, &like, per_second);
        tg_emit_f64(PER_MINUTE, &like, per_second * 60.0);
        tg_emit_f64(PER_HOUR, &like, per_second * 3600.0);
    }
    *m = (memory){now->ts_ns, value, 1, now->status, 0};
}

TG_POINTS(config, memory)
TG_SAVES(memory)
