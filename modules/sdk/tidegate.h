/* Tidegate module SDK, ABI 1.
 *
 * Everything a module in C needs: the record, the answer, the exports, memory, an index from points to rows, and, at the
 * end, the short way (TG_POINTS): you write what happens to one reading, and all else is done for you.
 * The record stands here and in gateway/batch.py, nowhere else; tests/modules/test_sdk.py holds the two together.
 * The ABI itself is described in modules/README.md. No libc is needed.
 */
#ifndef TIDEGATE_H
#define TIDEGATE_H

#include <stddef.h>
#include <stdint.h>

#define TG_ABI 1

/* ---- records ------------------------------------------------------------------------------------------------- */

enum tg_kind { TG_BOOL = 1, TG_I64 = 2, TG_U64 = 3, TG_F64 = 4, TG_STR = 5, TG_BYTES = 6 };

enum tg_flag {
    TG_LOST_BEFORE = 1,  /* the source lost readings of this point right before this one */
    TG_GATEWAY_TIME = 2, /* ts_ns is on the gateway's clock, not the source's */
    TG_DERIVED = 4,      /* a module computed this reading; set it on every reading you add */
};

#define TG_GOOD 0x0000u
#define TG_UNCERTAIN 0x4000u
#define TG_BAD 0x8000u

/* What a reading of bad quality carries instead of a value, with kind TG_F64. */
#define TG_NO_VALUE_BITS 0x7FF8000000000000ull

typedef union {
    double f64;
    int64_t i64;
    uint64_t u64; /* TG_BOOL: 0 or 1 */
    struct {
        uint32_t offset; /* from the start of the heap */
        uint32_t length;
    } span; /* TG_STR (UTF-8), TG_BYTES */
} tg_value;

typedef struct {
    int64_t ts_ns; /* UTC nanoseconds since 1970 */
    tg_value value;
    uint32_t point;
    uint16_t status; /* upper half of the OPC UA StatusCode; the two top bits are the quality */
    uint8_t kind;
    uint8_t flags;
} tg_record;

_Static_assert(sizeof(tg_record) == 24, "a record is 24 bytes");

static inline int tg_is_bad(const tg_record *record) { return record->status >= TG_BAD; }

/* ---- what passes between host and module ---------------------------------------------------------------------- */

/* Where the readings that go on stand. Any part of memory will do, the input included. */
typedef struct {
    uint32_t records_at;
    uint32_t count;
    uint32_t heap_at;
    uint32_t heap_bytes;
} tg_answer;

/* One row of the table that tg_configure is given, in cells of 8 bytes: a point, its parameters in the manifest's order,
 * and, for each output of the manifest, the point that is to be made of this one (0: none). */
typedef struct {
    uint32_t point;
    uint32_t reserved; /* 0 in ABI 1 */
    double param[];
} tg_row;

enum tg_error {
    TG_OK = 0,
    TG_UNCHANGED = 0, /* tg_process: all readings go on exactly as they came; what stands in memory is not read */
    TG_E_FAILED = -1,
    TG_E_MEMORY = -2,
    TG_E_PARAMS = -3,
};

#define TG_EXPORT(name) __attribute__((export_name(#name), used))

static inline const tg_row *tg_row_at(uint32_t table, uint32_t row, uint32_t cells) {
    return (const tg_row *)(uintptr_t)(table + row * (uint32_t)(sizeof(tg_row) + cells * sizeof(double)));
}

/* The point of an output, in a module that has `params` parameters. */
static inline uint32_t tg_row_output(const tg_row *row, uint32_t params, uint32_t output) {
    return *(const uint32_t *)(const void *)&row->param[params + output];
}

/* ---- what a module may ask of the host ---------------------------------------------------------------------------
 *
 * Both are optional: nothing is imported where neither is called. A module that calls one is no WASI command any more.
 */

enum tg_level { TG_DEBUG, TG_INFO, TG_WARNING, TG_ERROR };

#define TG_HOST_(name) __attribute__((import_module("tidegate"), import_name(#name)))

/* A line in the gateway's log, UTF-8; ten a call, of 400 bytes. */
TG_HOST_(log) void tg_log_(int32_t level, const char *text, uint32_t bytes);
/* When the gateway got this batch, UTC nanoseconds since 1970. */
TG_HOST_(batch_ns) int64_t tg_batch_ns(void);

static inline void tg_log(enum tg_level level, const char *text) {
    uint32_t bytes = 0;
    while (text[bytes]) bytes++;
    tg_log_((int32_t)level, text, bytes);
}

/* ---- memory: one stack of blocks that are never given back ----------------------------------------------------- */

extern unsigned char __heap_base;
static uint32_t tg_top_;
static uint32_t tg_room_at_;
static uint32_t tg_room_end_;
static tg_answer tg_answer_;

/* Whether memory reaches up to `end`, grown where it must be. */
static inline int tg_reach_(uint64_t end) {
    uint64_t have = (uint64_t)__builtin_wasm_memory_size(0) << 16;
    if (end > INT32_MAX) return 0; /* addresses travel as positive i32 */
    return end <= have || __builtin_wasm_memory_grow(0, (size_t)((end - have + 65535u) >> 16)) != (size_t)-1;
}

static inline uint32_t tg_top_of_(void) {
    if (!tg_top_) tg_top_ = ((uint32_t)(uintptr_t)&__heap_base + 7u) & ~7u;
    return tg_top_;
}

/* Takes `bytes` of memory, aligned to 8. NULL where the host's limit does not allow it. It is zeroed as long as nothing
 * was written to tg_scratch before: take what you need in tg_configure. */
static inline void *tg_take(uint32_t bytes) {
    uint64_t end = ((uint64_t)tg_top_of_() + bytes + 7u) & ~7ull;
    if (!tg_reach_(end)) return NULL;
    void *at = (void *)(uintptr_t)tg_top_;
    tg_top_ = (uint32_t)end;
    return at;
}

/* `bytes` of memory behind all that is taken, for the length of one call. NULL where there is no room. A larger one
 * begins at the same address and keeps what stands in the smaller. */
static inline void *tg_scratch(uint64_t bytes) {
    return tg_reach_(((uint64_t)tg_top_of_() + bytes + 7u) & ~7ull) ? (void *)(uintptr_t)tg_top_ : NULL;
}

/* The input block grows in place as long as nothing was taken after it, and never shrinks. */
static inline int32_t tg_reserve_(uint32_t bytes) {
    if (tg_room_at_ && bytes <= tg_room_end_ - tg_room_at_) return (int32_t)tg_room_at_;
    uint32_t top = tg_top_;
    if (tg_room_at_ && tg_room_end_ == top) tg_top_ = tg_room_at_;
    void *at = tg_take(bytes);
    if (!at) {
        tg_top_ = top;
        return TG_E_MEMORY;
    }
    tg_room_at_ = (uint32_t)(uintptr_t)at;
    tg_room_end_ = tg_top_;
    return (int32_t)tg_room_at_;
}

/* The value to return from tg_process: `count` records at `records`, spans pointing into `heap`. */
static inline int32_t tg_answer_with(const tg_record *records, uint32_t count, const void *heap, uint32_t heap_bytes) {
    tg_answer_.records_at = (uint32_t)(uintptr_t)records;
    tg_answer_.count = count;
    tg_answer_.heap_at = (uint32_t)(uintptr_t)heap;
    tg_answer_.heap_bytes = heap_bytes;
    return (int32_t)(uintptr_t)&tg_answer_;
}

/* Put this once into the module's source. The module itself writes tg_configure and tg_process. */
#define TG_MODULE                                                                                                     \
    TG_EXPORT(tg_abi) int32_t tg_abi(void) { return TG_ABI; }                                                         \
    TG_EXPORT(tg_reserve) int32_t tg_reserve(uint32_t bytes) { return tg_reserve_(bytes); }                           \
    int32_t tg_configure(uint32_t table, uint32_t rows, uint32_t cells);                                              \
    int32_t tg_process(uint32_t at, uint32_t count, uint32_t heap_bytes);

/* ---- an index from points to rows of the table ----------------------------------------------------------------- */

#define TG_NOT_MINE UINT32_MAX

typedef struct {
    uint32_t point;
    uint32_t row_plus_1; /* 0: free */
} tg_slot;

typedef struct {
    tg_slot *slots;
    uint32_t mask;
    uint32_t shift;
    uint32_t *points; /* by row */
    uint32_t rows;
    uint32_t next; /* the row after the one that was found last */
} tg_index;

/* Multiplying spreads any even spacing of point numbers (Knuth, vol. 3, 6.4). */
static inline uint32_t tg_home_(const tg_index *index, uint32_t point) { return (point * 2654435769u) >> index->shift; }

/* The row of this point, or TG_NOT_MINE: then the reading must go on untouched. */
static inline uint32_t tg_find(tg_index *index, uint32_t point) {
    /* Devices are read in the table's order, so the next row is nearly always the right one. */
    uint32_t row = index->next;
    if (row >= index->rows || index->points[row] != point) {
        uint32_t at = tg_home_(index, point);
        while (index->slots[at].row_plus_1 && index->slots[at].point != point) at = (at + 1) & index->mask;
        if (!index->slots[at].row_plus_1) return TG_NOT_MINE;
        row = index->slots[at].row_plus_1 - 1;
    }
    index->next = row + 1;
    return row;
}

/* Builds the index of a table; at most half full, so that a search always ends. */
static inline int32_t tg_index_build(tg_index *index, uint32_t table, uint32_t rows, uint32_t cells) {
    uint32_t bits = 1;
    while (bits < 26 && (1u << bits) < 2 * rows) bits++;
    if (rows > 1u << 25) return TG_E_MEMORY;
    index->mask = (1u << bits) - 1;
    index->shift = 32 - bits;
    index->slots = tg_take((uint32_t)sizeof(tg_slot) << bits);
    index->points = tg_take((uint32_t)sizeof(uint32_t) * rows);
    index->rows = rows;
    index->next = 0;
    if (!index->slots || !index->points) return TG_E_MEMORY;
    for (uint32_t row = 0; row < rows; row++) {
        uint32_t point = tg_row_at(table, row, cells)->point;
        uint32_t at = tg_home_(index, point);
        while (index->slots[at].row_plus_1) {
            if (index->slots[at].point == point) return TG_E_PARAMS; /* and not slower and slower with each of its kind */
            at = (at + 1) & index->mask;
        }
        index->slots[at] = (tg_slot){point, row + 1};
        index->points[row] = point;
    }
    return TG_OK;
}

/* ---- the short way: one reading at a time ----------------------------------------------------------------------
 *
 *     enum { FACTOR, PARAMS };             parameters, in the manifest's order; PARAMS is their number
 *     enum { OUTPUTS };                    outputs, in the manifest's order; OUTPUTS is their number
 *     typedef struct { ... } config;       what you make of a point's parameters
 *     typedef struct { ... } memory;       what you remember of a point; zeroed before its first reading
 *
 *     static int32_t configure(config *c, const double *param) { ... return TG_OK; }
 *     static void reading(const config *c, memory *m, tg_record *now) { ... tg_pass(now); }
 *
 *     TG_POINTS(config, memory)            makes tg_configure and tg_process of that
 *     TG_SAVES(memory)                     where the memory is to outlive the instance: makes tg_save and tg_load
 *
 * `reading` is called for each reading of your points, in order, with a copy of the record. It calls tg_pass to let it
 * go on, changed or not; what is not passed is left out. It may call tg_emit for outputs, as often as it likes.
 */

static tg_record *tg_out_;        /* where answers begin */
static tg_record *tg_out_next_;   /* where the next one goes */
static tg_record *tg_out_end_;    /* how far they may go now */
static int tg_out_moved_;         /* they stand behind the input, no longer in it */
static int tg_out_changed_;
static int32_t tg_failed_;
static const unsigned char *tg_heap_now_; /* what texts and bytes of this batch point into */
static const uint32_t *tg_outputs_now_; /* points of the outputs of the point that is read now */

/* Answers are closed up in the input for as long as they fit behind the readings that are dealt with already. */
static inline int tg_make_room_(void) {
    uint64_t count = (uint64_t)(tg_out_next_ - tg_out_), room = count < 256 ? 512 : 2 * count;
    tg_record *at = tg_scratch(room * sizeof(tg_record));
    if (!at) {
        tg_failed_ = TG_E_MEMORY;
        return 0;
    }
    if (!tg_out_moved_)
        for (uint64_t i = 0; i < count; i++) at[i] = tg_out_[i];
    tg_out_moved_ = tg_out_changed_ = 1;
    tg_out_ = at;
    tg_out_next_ = at + count;
    tg_out_end_ = at + room;
    return 1;
}

/* Lets a reading go on. */
static inline void tg_pass(const tg_record *record) {
    if (tg_out_next_ == tg_out_end_ && !tg_make_room_()) return;
    const uint64_t *is = (const uint64_t *)(const void *)record, *was = (const uint64_t *)(const void *)tg_out_next_;
    if (!tg_out_changed_) tg_out_changed_ = is[0] != was[0] || is[1] != was[1] || is[2] != was[2];
    *tg_out_next_++ = *record;
}

/* Adds a reading of an output of the point that is read now. Nothing happens where nobody wants that output.
 * `like` is the reading that it was made of: time and quality are taken from it. */
static inline void tg_emit(uint32_t output, const tg_record *like, uint8_t kind, tg_value value) {
    uint32_t point = tg_outputs_now_[output];
    if (!point) return;
    tg_record made = *like;
    made.point = point;
    made.flags = (uint8_t)((like->flags & TG_GATEWAY_TIME) | TG_DERIVED);
    made.kind = kind;
    made.value = value;
    if (made.status >= TG_BAD) {
        made.kind = TG_F64;
        made.value.u64 = TG_NO_VALUE_BITS;
    }
    tg_pass(&made);
}

static inline void tg_emit_f64(uint32_t output, const tg_record *like, double value) {
    tg_emit(output, like, TG_F64, (tg_value){.f64 = value});
}

static inline void tg_emit_u64(uint32_t output, const tg_record *like, uint64_t value) {
    tg_emit(output, like, TG_U64, (tg_value){.u64 = value});
}

static inline void tg_emit_bool(uint32_t output, const tg_record *like, int value) {
    tg_emit(output, like, TG_BOOL, (tg_value){.u64 = value != 0});
}

/* The value as a double. 0 where the reading is bad or holds no number; a boolean is none. */
static inline int tg_number(const tg_record *record, double *value) {
    if (tg_is_bad(record)) return 0;
    switch (record->kind) {
        case TG_F64: *value = record->value.f64; return 1;
        case TG_I64: *value = (double)record->value.i64; return 1;
        case TG_U64: *value = (double)record->value.u64; return 1;
        default: return 0;
    }
}

static inline void tg_set_f64(tg_record *record, double value) {
    record->kind = TG_F64;
    record->value.f64 = value;
}

/* Where a time lies among windows of `length_ns` (at least 1) that are counted from 1970 on; the window's end too. */
static inline int64_t tg_window_of(int64_t ts_ns, int64_t length_ns) {
    int64_t window = ts_ns / length_ns;
    return ts_ns % length_ns < 0 ? window - 1 : window;
}

static inline int64_t tg_window_end(int64_t window, int64_t length_ns) {
    return window >= INT64_MAX / length_ns ? INT64_MAX : (window + 1) * length_ns;
}

/* The worse of two statuses: quality counts, and the first of two equal ones. */
static inline uint16_t tg_worse(uint16_t a, uint16_t b) { return (b >> 14) > (a >> 14) ? b : a; }

/* Makes a reading bad: it loses its value. */
static inline void tg_set_bad(tg_record *record, uint16_t status) {
    record->status = status;
    record->kind = TG_F64;
    record->value.u64 = TG_NO_VALUE_BITS;
}

/* Whether a parameter can be used as a size: not negative, not infinite, a number. */
static inline int tg_is_size(double param) { return param >= 0 && param <= 1.7976931348623157e308; }

/* Seconds as nanoseconds. UINT64_MAX for 0, which is no limit, and for what does not fit, 584 years. */
static inline uint64_t tg_limit_ns(double seconds) {
    double ns = seconds * 1e9;
    return ns >= 1.0 && ns < 18446744073709551615.0 ? (uint64_t)ns : UINT64_MAX;
}

/* From one time to a later one. Readings may be centuries apart: as u64 the difference is always right. */
static inline uint64_t tg_since_ns(int64_t then_ns, int64_t now_ns) { return (uint64_t)now_ns - (uint64_t)then_ns; }

#define TG_POINTS(config, memory)                                                                                     \
    static tg_index tg_index_all_;                                                                                    \
    static config *tg_configs_;                                                                                       \
    static memory *tg_memories_;                                                                                      \
    static uint32_t *tg_outputs_;                                                                                     \
    static void *tg_take_rows_(uint32_t rows, uint32_t bytes) {                                                       \
        return (uint64_t)rows * bytes > INT32_MAX ? NULL : tg_take(rows * bytes);                                     \
    }                                                                                                                 \
    TG_EXPORT(tg_configure) int32_t tg_configure(uint32_t table, uint32_t rows, uint32_t cells) {                     \
        if (cells != (uint32_t)PARAMS + (uint32_t)OUTPUTS) return TG_E_PARAMS;                                        \
        int32_t failed = tg_index_build(&tg_index_all_, table, rows, cells);                                          \
        if (failed) return failed;                                                                                    \
        tg_configs_ = tg_take_rows_(rows, (uint32_t)sizeof(config));                                                  \
        tg_memories_ = tg_take_rows_(rows, (uint32_t)sizeof(memory));                                                 \
        tg_outputs_ = tg_take_rows_(rows, (uint32_t)OUTPUTS * 4u);                                                    \
        if (!tg_configs_ || !tg_memories_ || !tg_outputs_) return TG_E_MEMORY;                                        \
        for (uint32_t row = 0; row < rows; row++) {                                                                   \
            const tg_row *from = tg_row_at(table, row, cells);                                                        \
            if ((failed = configure(&tg_configs_[row], from->param))) return failed;                                  \
            for (uint32_t n = 0; n < (uint32_t)OUTPUTS; n++)                                                          \
                tg_outputs_[row * (uint32_t)OUTPUTS + n] = tg_row_output(from, (uint32_t)PARAMS, n);                  \
        }                                                                                                             \
        return TG_OK;                                                                                                 \
    }                                                                                                                 \
    TG_EXPORT(tg_process) int32_t tg_process(uint32_t at, uint32_t count, uint32_t heap_bytes) {                      \
        const tg_record *records = (const tg_record *)(uintptr_t)at;                                                  \
        tg_heap_now_ = (const unsigned char *)(records + count);                                                      \
        tg_out_ = tg_out_next_ = (tg_record *)(uintptr_t)at;                                                          \
        tg_out_moved_ = tg_out_changed_ = 0;                                                                          \
        tg_failed_ = TG_OK;                                                                                           \
        for (uint32_t i = 0; i < count; i++) {                                                                        \
            tg_record now = records[i];                                                                               \
            if (!tg_out_moved_) tg_out_end_ = (tg_record *)(uintptr_t)(at + (i + 1) * (uint32_t)sizeof(tg_record));   \
            uint32_t row = tg_find(&tg_index_all_, now.point);                                                        \
            if (row == TG_NOT_MINE) {                                                                                 \
                tg_pass(&now);                                                                                        \
                continue;                                                                                             \
            }                                                                                                         \
            tg_outputs_now_ = &tg_outputs_[row * (uint32_t)OUTPUTS];                                                  \
            reading(&tg_configs_[row], &tg_memories_[row], &now);                                                     \
        }                                                                                                             \
        if (tg_failed_) return tg_failed_;                                                                            \
        uint32_t kept = (uint32_t)(tg_out_next_ - tg_out_);                                                           \
        if (kept == count && !tg_out_changed_) return TG_UNCHANGED;                                                   \
        return tg_answer_with(tg_out_, kept, records + count, heap_bytes);                                            \
    }

/* ---- a state that outlives the instance -------------------------------------------------------------------------
 *
 * What tg_save gives is kept by the host and handed to tg_load of a later instance: after a restart, or when this module
 * is replaced by one whose manifest has the same number under `state`. Change that number when `memory` changes.
 */

typedef struct {
    uint32_t at;
    uint32_t bytes;
} tg_state;

static tg_state tg_state_;

/* The memory of each point behind its number: a point that is no longer there is forgotten, a new one begins anew. */
#define TG_SAVES(memory)                                                                                              \
    typedef struct {                                                                                                  \
        uint32_t point;                                                                                               \
        uint32_t bytes; /* of the memory */                                                                           \
        memory kept;                                                                                                  \
    } tg_kept_;                                                                                                       \
    TG_EXPORT(tg_save) int32_t tg_save(void) {                                                                        \
        uint64_t bytes = (uint64_t)tg_index_all_.rows * sizeof(tg_kept_);                                             \
        tg_kept_ *to = tg_scratch(bytes);                                                                             \
        if (!to) return TG_E_MEMORY;                                                                                  \
        for (uint32_t row = 0; row < tg_index_all_.rows; row++) {                                                     \
            to[row].point = tg_index_all_.points[row];                                                                \
            to[row].bytes = (uint32_t)sizeof(memory);                                                                 \
            to[row].kept = tg_memories_[row];                                                                         \
        }                                                                                                             \
        tg_state_ = (tg_state){(uint32_t)(uintptr_t)to, (uint32_t)bytes};                                             \
        return (int32_t)(uintptr_t)&tg_state_;                                                                        \
    }                                                                                                                 \
    TG_EXPORT(tg_load) int32_t tg_load(uint32_t at, uint32_t bytes) {                                                 \
        const tg_kept_ *from = (const tg_kept_ *)(uintptr_t)at;                                                       \
        if (bytes % sizeof(tg_kept_)) return TG_E_PARAMS;                                                             \
        for (uint32_t n = 0; n < bytes / sizeof(tg_kept_); n++) {                                                     \
            if (from[n].bytes != sizeof(memory)) return TG_E_PARAMS;                                                  \
            uint32_t row = tg_find(&tg_index_all_, from[n].point);                                                    \
            if (row != TG_NOT_MINE) tg_memories_[row] = from[n].kept;                                                 \
        }                                                                                                             \
        return TG_OK;                                                                                                 \
    }

#endif
