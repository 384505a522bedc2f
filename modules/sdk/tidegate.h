/* Tidegate module SDK, ABI 1.
 *
 * Everything a module in C needs: the record, the answer, the exports, memory, and an index from points to rows.
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

/* One row of the table that tg_configure is given: a point and its parameters, in the manifest's order. */
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

static inline const tg_row *tg_row_at(uint32_t table, uint32_t row, uint32_t params) {
    return (const tg_row *)(uintptr_t)(table + row * (uint32_t)(sizeof(tg_row) + params * sizeof(double)));
}

/* ---- memory: one stack of blocks that are never given back ----------------------------------------------------- */

extern unsigned char __heap_base;
static uint32_t tg_top_;
static uint32_t tg_room_at_;
static uint32_t tg_room_end_;
static tg_answer tg_answer_;

/* Takes `bytes` of zeroed memory, aligned to 8. NULL where the host's limit does not allow it. For tg_configure. */
static inline void *tg_take(uint32_t bytes) {
    if (!tg_top_) tg_top_ = ((uint32_t)(uintptr_t)&__heap_base + 7u) & ~7u;
    uint64_t end = ((uint64_t)tg_top_ + bytes + 7u) & ~7ull;
    uint64_t have = (uint64_t)__builtin_wasm_memory_size(0) << 16;
    if (end > INT32_MAX) return NULL; /* addresses travel as positive i32 */
    if (end > have && __builtin_wasm_memory_grow(0, (size_t)((end - have + 65535u) >> 16)) == (size_t)-1) return NULL;
    void *at = (void *)(uintptr_t)tg_top_;
    tg_top_ = (uint32_t)end;
    return at;
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
    int32_t tg_configure(uint32_t table, uint32_t rows, uint32_t params);                                             \
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
static inline int32_t tg_index_build(tg_index *index, uint32_t table, uint32_t rows, uint32_t params) {
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
        uint32_t point = tg_row_at(table, row, params)->point;
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

#endif
