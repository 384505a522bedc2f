/* clamp: keeps values between two limits. See README.md beside this file. */
#include "tidegate.h"
#include "tidegate_command.h"

TG_MODULE
TG_COMMAND

enum { LOW, HIGH, BEYOND, PARAMS };
enum { OUTPUTS };
enum { LIMIT, LIMIT_SILENTLY, BAD, LEAVE_OUT };

#define ENGINEERING_UNITS_EXCEEDED 0x4094u /* OPC 10000-6, A.2: uncertain */
#define OUT_OF_RANGE 0x803Cu               /* bad */

typedef struct {
    double low;
    double high;
    int beyond;
} config;

typedef struct {
} memory;

static int32_t configure(config *c, const double *param) {
    *c = (config){param[LOW], param[HIGH], (int)param[BEYOND]};
    return c->low < c->high ? TG_OK : TG_E_PARAMS;
}

static void reading(const config *c, memory *m, tg_record *now) {
    (void)m;
    double value;
    if (tg_number(now, &value)) {
        tg_set_f64(now, value);
        if (value < c->low || value > c->high) {
            if (c->beyond == LEAVE_OUT) return;
            if (c->beyond == BAD) {
                tg_set_bad(now, OUT_OF_RANGE);
            } else {
                now->value.f64 = value < c->low ? c->low : c->high;
                if (c->beyond == LIMIT) now->status = tg_worse(now->status, ENGINEERING_UNITS_EXCEEDED);
            }
        }
    }
    tg_pass(now);
}

TG_POINTS(config, memory)
