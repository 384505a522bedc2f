/* scale: value * factor + offset, as f64. See README.md beside this file. */
#include "tidegate.h"
#include "tidegate_command.h"

TG_MODULE
TG_COMMAND

enum { FACTOR, OFFSET, PARAMS };

typedef struct {
    double factor;
    double offset;
} line;

static tg_index index_;
static line *lines;

TG_EXPORT(tg_configure) int32_t tg_configure(uint32_t table, uint32_t rows, uint32_t params) {
    if (params != PARAMS) return TG_E_PARAMS;
    int32_t failed = tg_index_build(&index_, table, rows, params);
    if (failed) return failed;
    if (rows > UINT32_MAX / sizeof(line) || !(lines = tg_take(rows * (uint32_t)sizeof(line)))) return TG_E_MEMORY;
    for (uint32_t row = 0; row < rows; row++) {
        const double *param = tg_row_at(table, row, params)->param;
        lines[row] = (line){param[FACTOR], param[OFFSET]};
    }
    return TG_OK;
}

TG_EXPORT(tg_process) int32_t tg_process(uint32_t at, uint32_t count, uint32_t heap_bytes) {
    tg_record *records = (tg_record *)(uintptr_t)at;
    uint32_t changed = 0;
    for (uint32_t i = 0; i < count; i++) {
        tg_record *record = &records[i];
        uint32_t row = tg_find(&index_, record->point);
        if (row == TG_NOT_MINE || tg_is_bad(record)) continue;
        double value;
        switch (record->kind) {
            case TG_F64: value = record->value.f64; break;
            case TG_I64: value = (double)record->value.i64; break;
            case TG_U64: value = (double)record->value.u64; break;
            default: continue;
        }
        record->value.f64 = value * lines[row].factor + lines[row].offset;
        record->kind = TG_F64;
        changed++;
    }
    if (!changed) return TG_UNCHANGED;
    return tg_answer_with(records, count, records + count, heap_bytes);
}
