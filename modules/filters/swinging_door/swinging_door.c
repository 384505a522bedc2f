/* swinging_door: keeps the corners of a curve, leaves out what lies on the lines between. See README.md beside this. */
#include "tidegate.h"
#include "tidegate_command.h"

TG_MODULE
TG_COMMAND

enum { DEVIATION, MAX_SILENCE_S, PARAMS };
enum { OUTPUTS };

typedef struct {
    double deviation;
    uint64_t silence_ns;
} config;

/* The corner sent last, the door between the slopes that are still possible, and the latest reading, which is held. */
typedef struct {
    tg_record corner;
    tg_record held;
    double corner_value;
    double lowest;
    double highest;
    uint32_t has_corner;
    uint32_t has_held;
} memory;

static int32_t configure(config *c, const double *param) {
    if (!tg_is_size(param[DEVIATION]) || !tg_is_size(param[MAX_SILENCE_S])) return TG_E_PARAMS;
    *c = (config){param[DEVIATION], tg_limit_ns(param[MAX_SILENCE_S])};
    return TG_OK;
}

static void let_go(memory *m) {
    if (m->has_held) tg_pass(&m->held);
    m->has_held = 0;
}

static void begin_at(memory *m, const tg_record *corner, double value) {
    m->corner = *corner;
    m->corner_value = value;
    m->lowest = -__builtin_inf();
    m->highest = __builtin_inf();
    m->has_corner = 1;
}

/* Whether a straight line from the corner to this reading is possible: it passes all readings between closely enough. */
static int is_straight(const config *c, memory *m, const tg_record *now, double value) {
    double elapsed_ns = (double)tg_since_ns(m->corner.ts_ns, now->ts_ns);
    double slope = (value - m->corner_value) / elapsed_ns;
    if (!(slope >= m->lowest && slope <= m->highest)) return 0;
    double lowest = (value - c->deviation - m->corner_value) / elapsed_ns;
    double highest = (value + c->deviation - m->corner_value) / elapsed_ns;
    if (lowest > m->lowest) m->lowest = lowest;
    if (highest < m->highest) m->highest = highest;
    return 1;
}

static void reading(const config *c, memory *m, tg_record *now) {
    double value, held_value;
    int is_number = tg_number(now, &value) && value - value == 0;
    const tg_record *last = m->has_held ? &m->held : &m->corner;
    if (!is_number || !m->has_corner || now->status != last->status || now->kind != last->kind ||
        now->flags & TG_LOST_BEFORE || now->ts_ns <= last->ts_ns) {
        let_go(m);
        tg_pass(now);
        if (is_number)
            begin_at(m, now, value);
        else
            m->has_corner = 0;
        return;
    }
    if (!is_straight(c, m, now, value)) {
        /* The held one is a corner. The door from there to the next reading is wide open. */
        tg_number(&m->held, &held_value);
        begin_at(m, &m->held, held_value);
        let_go(m);
        is_straight(c, m, now, value);
    }
    if (tg_since_ns(m->corner.ts_ns, now->ts_ns) >= c->silence_ns) {
        m->has_held = 0; /* it lies on the line that ends here */
        tg_pass(now);
        begin_at(m, now, value);
        return;
    }
    m->held = *now;
    m->has_held = 1;
}

TG_POINTS(config, memory)
TG_SAVES(memory)
