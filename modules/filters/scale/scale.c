/* scale: raw counts into engineering units. See README.md beside this file. */
#include "tidegate.h"
#include "tidegate_command.h"

TG_MODULE
TG_COMMAND

enum { FACTOR, OFFSET, RAW_LOW, RAW_HIGH, LOW, HIGH, SQUARE_ROOT, PARAMS };
enum { OUTPUTS };

typedef struct {
    double factor;
    double offset;
    double raw_low;
    double raw_span; /* 0: no two points were given */
    double low;
    double span;
    int square_root;
} config;

typedef struct {
} memory;

static int32_t configure(config *c, const double *param) {
    double raw_span = param[RAW_HIGH] - param[RAW_LOW];
    int straight = param[FACTOR] == 1.0 && param[OFFSET] == 0.0;
    if (raw_span == 0 && (param[LOW] != 0 || param[HIGH] != 0)) return TG_E_PARAMS;
    if (raw_span != 0 && (!straight || param[LOW] == param[HIGH])) return TG_E_PARAMS;
    *c = (config){param[FACTOR],    param[OFFSET], param[RAW_LOW],          raw_span,
                  param[LOW], param[HIGH] - param[LOW], param[SQUARE_ROOT] != 0};
    return TG_OK;
}

/* A flow below zero is none: the root of what is left of the zero point is 0. */
static double root(double share) { return share > 0 ? __builtin_sqrt(share) : share < 0 ? 0.0 : share; }

static void reading(const config *c, memory *m, tg_record *now) {
    (void)m;
    double value;
    if (tg_number(now, &value)) {
        if (c->raw_span != 0) {
            double share = (value - c->raw_low) / c->raw_span;
            value = (c->square_root ? root(share) : share) * c->span + c->low;
        } else {
            value = (c->square_root ? root(value) : value) * c->factor + c->offset;
        }
        tg_set_f64(now, value);
    }
    tg_pass(now);
}

TG_POINTS(config, memory)
