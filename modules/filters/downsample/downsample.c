/* downsample: one reading for each span of time. See README.md beside this file. */
#include "tidegate.h"
#include "tidegate_command.h"

TG_MODULE
TG_COMMAND

enum { INTERVAL_S, METHOD, PARAMS };
enum { OUTPUTS };
enum { FIRST, LAST, MIN, MAX, MEAN };

typedef struct {
    int64_t interval_ns;
    int method;
} config;

typedef struct {
    tg_record chosen;
    int64_t window;
    double value;
    double sum;
    uint64_t count; /* numbers of this window so far; 0: there is no window */
} memory;

static int32_t configure(config *c, const double *param) {
    double interval_ns = param[INTERVAL_S] * 1e9;
    if (!(interval_ns >= 1.0 && interval_ns <= 9e18)) return TG_E_PARAMS;
    *c = (config){(int64_t)interval_ns, (int)param[METHOD]};
    return TG_OK;
}

static void end_window(const config *c, memory *m) {
    if (m->count && c->method != FIRST) {
        if (c->method == MEAN) {
            m->chosen.ts_ns = tg_window_end(m->window, c->interval_ns);
            m->chosen.flags = (uint8_t)((m->chosen.flags & TG_GATEWAY_TIME) | TG_DERIVED);
            tg_set_f64(&m->chosen, m->sum / (double)m->count);
        }
        tg_pass(&m->chosen);
    }
    m->count = 0;
}

static void reading(const config *c, memory *m, tg_record *now) {
    double value;
    int64_t window = tg_window_of(now->ts_ns, c->interval_ns);
    int is_number = tg_number(now, &value) && value == value;
    int goes_on = m->count && is_number && window == m->window && now->status == m->chosen.status &&
                  now->kind == m->chosen.kind && !(now->flags & TG_LOST_BEFORE);
    if (!goes_on) end_window(c, m);
    if (!is_number) {
        tg_pass(now);
        return;
    }
    if (!m->count) {
        *m = (memory){*now, window, value, value, 1};
        if (c->method == FIRST) tg_pass(now);
        return;
    }
    m->count++;
    m->sum += value;
    if (c->method == LAST || c->method == MEAN || (c->method == MIN && value < m->value) ||
        (c->method == MAX && value > m->value)) {
        m->chosen = *now;
        m->value = value;
    }
}

TG_POINTS(config, memory)
TG_SAVES(memory)
