/* window: lowest, highest, mean and count of each span of time, as derived points. See README.md beside this file. */
#include "tidegate.h"
#include "tidegate_command.h"

TG_MODULE
TG_COMMAND

enum { LENGTH_S, KEEP_READINGS, PARAMS };
enum { MIN, MAX, MEAN, COUNT, OUTPUTS };

typedef struct {
    int64_t length_ns;
    int keep_readings;
} config;

typedef struct {
    int64_t window;
    double min;
    double max;
    double sum;
    uint64_t count;
    uint16_t status;
    uint8_t flags;
    uint8_t unused[5];
} memory;

static int32_t configure(config *c, const double *param) {
    double length_ns = param[LENGTH_S] * 1e9;
    if (!(length_ns >= 1.0 && length_ns <= 9e18)) return TG_E_PARAMS;
    *c = (config){(int64_t)length_ns, param[KEEP_READINGS] != 0};
    return TG_OK;
}

static void tell(const config *c, memory *m) {
    tg_record whole = {.ts_ns = tg_window_end(m->window, c->length_ns), .status = m->status, .flags = m->flags};
    tg_emit_f64(MIN, &whole, m->min);
    tg_emit_f64(MAX, &whole, m->max);
    tg_emit_f64(MEAN, &whole, m->sum / (double)m->count);
    tg_emit_u64(COUNT, &whole, m->count);
    *m = (memory){0};
}

static void reading(const config *c, memory *m, tg_record *now) {
    int64_t window = tg_window_of(now->ts_ns, c->length_ns);
    if (m->count && m->window != window) tell(c, m);
    double value;
    if (tg_number(now, &value) && value == value) {
        if (!m->count || value < m->min) m->min = value;
        if (!m->count || value > m->max) m->max = value;
        if (!m->count) m->status = now->status;
        m->window = window;
        m->sum += value;
        m->count++;
        m->status = tg_worse(m->status, now->status);
        m->flags |= now->flags;
    }
    if (c->keep_readings) tg_pass(now);
}

TG_POINTS(config, memory)
TG_SAVES(memory)
