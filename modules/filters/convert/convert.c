/* convert: from one unit to another. See README.md beside this file. */
#include "tidegate.h"
#include "tidegate_command.h"

TG_MODULE
TG_COMMAND

enum { FROM, TO, PARAMS };
enum { OUTPUTS };

/* (value + zero) * numerator / denominator is the value in the SI unit; in the order of the manifest. */
static const struct {
    double numerator;
    double denominator;
    double zero;
} units[] = {
    {1.0, 1.0, 0.0}, /* Pa */
    {100.0, 1.0, 0.0}, /* hPa */
    {1000.0, 1.0, 0.0}, /* kPa */
    {1000000.0, 1.0, 0.0}, /* MPa */
    {100.0, 1.0, 0.0}, /* mbar */
    {100000.0, 1.0, 0.0}, /* bar */
    {6894.757293168361, 1.0, 0.0}, /* psi */
    {101325.0, 1.0, 0.0}, /* atm */
    {133.322387415, 1.0, 0.0}, /* mmHg */
    {249.08891, 1.0, 0.0}, /* inH2O */
    {1.0, 1.0, 0.0}, /* K */
    {1.0, 1.0, 273.15}, /* degC */
    {5.0, 9.0, 459.67}, /* degF */
    {5.0, 9.0, 0.0}, /* degR */
    {1.0, 1000.0, 0.0}, /* mm */
    {1.0, 100.0, 0.0}, /* cm */
    {1.0, 1.0, 0.0}, /* m */
    {1000.0, 1.0, 0.0}, /* km */
    {0.0254, 1.0, 0.0}, /* in */
    {0.3048, 1.0, 0.0}, /* ft */
    {1.0, 1000.0, 0.0}, /* g */
    {1.0, 1.0, 0.0}, /* kg */
    {1000.0, 1.0, 0.0}, /* t */
    {0.45359237, 1.0, 0.0}, /* lb */
    {0.028349523125, 1.0, 0.0}, /* oz */
    {1.0, 1000000.0, 0.0}, /* ml */
    {1.0, 1000.0, 0.0}, /* l */
    {1.0, 1.0, 0.0}, /* m3 */
    {0.003785411784, 1.0, 0.0}, /* gal_us */
    {1.0, 1.0, 0.0}, /* m3/s */
    {1.0, 3600.0, 0.0}, /* m3/h */
    {1.0, 1000.0, 0.0}, /* l/s */
    {1.0, 60000.0, 0.0}, /* l/min */
    {0.003785411784, 60.0, 0.0}, /* gpm_us */
    {1.0, 1.0, 0.0}, /* m/s */
    {1.0, 60.0, 0.0}, /* m/min */
    {10.0, 36.0, 0.0}, /* km/h */
    {0.3048, 60.0, 0.0}, /* ft/min */
    {1.0, 1.0, 0.0}, /* Hz */
    {1.0, 60.0, 0.0}, /* rpm */
    {1.0, 1.0, 0.0}, /* W */
    {1000.0, 1.0, 0.0}, /* kW */
    {1000000.0, 1.0, 0.0}, /* MW */
    {745.6998715822702, 1.0, 0.0}, /* hp */
    {1.0, 1.0, 0.0}, /* J */
    {1000.0, 1.0, 0.0}, /* kJ */
    {1000000.0, 1.0, 0.0}, /* MJ */
    {3600.0, 1.0, 0.0}, /* Wh */
    {3600000.0, 1.0, 0.0}, /* kWh */
    {3600000000.0, 1.0, 0.0}, /* MWh */
    {1.0, 1.0, 0.0}, /* N */
    {1000.0, 1.0, 0.0}, /* kN */
    {4.4482216152605, 1.0, 0.0}, /* lbf */
    {9.80665, 1.0, 0.0}, /* kgf */
    {1.0, 1000.0, 0.0}, /* ms */
    {1.0, 1.0, 0.0}, /* s */
    {60.0, 1.0, 0.0}, /* min */
    {3600.0, 1.0, 0.0}, /* h */
    {1.0, 1.0, 0.0}, /* 1 */
    {1.0, 100.0, 0.0}, /* % */
    {1.0, 1000000.0, 0.0}, /* ppm */
};

typedef struct {
    double numerator;
    double denominator;
    double from_zero;
    double to_zero;
} config;

typedef struct {
} memory;

/* Whether the two measure the same thing is the host's to check: the manifest has the groups. */
static int32_t configure(config *c, const double *param) {
    const uint32_t from = (uint32_t)param[FROM], to = (uint32_t)param[TO], count = sizeof units / sizeof *units;
    if (from >= count || to >= count) return TG_E_PARAMS;
    /* One product and one quotient of whole numbers, where they are whole: 6 m3/h are 100 l/min, and not nearly so. */
    *c = (config){units[from].numerator * units[to].denominator, units[from].denominator * units[to].numerator,
                  units[from].zero, units[to].zero};
    return TG_OK;
}

static void reading(const config *c, memory *m, tg_record *now) {
    (void)m;
    double value;
    if (tg_number(now, &value))
        tg_set_f64(now, (value + c->from_zero) * c->numerator / c->denominator - c->to_zero);
    tg_pass(now);
}

TG_POINTS(config, memory)
