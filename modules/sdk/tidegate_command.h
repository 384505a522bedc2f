/* Makes a module a WASI command too: records on standard input, records on standard output.
 *
 * One line of a module's source, TG_COMMAND, adds an export `_start` and imports three functions of WASI preview 1. The
 * gateway never calls the one and gives a trap for each of the others; any WASI runtime runs the same file by itself.
 * The stream is described in modules/README.md.
 *
 * Include it after tidegate.h. No libc is needed.
 */
#ifndef TIDEGATE_COMMAND_H
#define TIDEGATE_COMMAND_H

#include "tidegate.h"

#define TG_WASI_(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name)))

typedef struct {
    uint32_t at;
    uint32_t bytes;
} tg_span_; /* an iovec */

TG_WASI_(fd_read) int32_t tg_fd_read_(int32_t fd, const tg_span_ *into, uint32_t spans, uint32_t *done);
TG_WASI_(fd_write) int32_t tg_fd_write_(int32_t fd, const tg_span_ *from, uint32_t spans, uint32_t *done);
TG_WASI_(proc_exit) _Noreturn void tg_proc_exit_(int32_t status);

#define TG_STREAM_MAGIC 0x31534754u /* "TGS1" */

enum {
    TG_EXIT_MODULE = 1, /* the module refused its parameters or a batch */
    TG_EXIT_STREAM = 2, /* what came in is no stream of ours, or was cut short */
    TG_EXIT_OUTPUT = 3, /* nobody takes what goes out */
};

typedef struct {
    uint32_t magic;
    uint32_t rows;
    uint32_t params;
    uint32_t outputs;
} tg_stream_head;

typedef struct {
    uint32_t count;
    uint32_t heap_bytes;
} tg_frame_head;

/* Reads `bytes`, however many pieces they come in. 0 at the end of the stream; an end in their midst is an error. */
static inline int tg_get_(void *into, uint32_t bytes) {
    tg_span_ span = {(uint32_t)(uintptr_t)into, bytes};
    while (span.bytes) {
        uint32_t done = 0;
        if (tg_fd_read_(0, &span, 1, &done) || done > span.bytes) tg_proc_exit_(TG_EXIT_STREAM);
        if (!done) {
            if (span.bytes == bytes) return 0;
            tg_proc_exit_(TG_EXIT_STREAM);
        }
        span.at += done;
        span.bytes -= done;
    }
    return 1;
}

static inline void tg_put_(const void *from, uint32_t bytes) {
    tg_span_ span = {(uint32_t)(uintptr_t)from, bytes};
    while (span.bytes) {
        uint32_t done = 0;
        if (tg_fd_write_(1, &span, 1, &done) || !done || done > span.bytes) tg_proc_exit_(TG_EXIT_OUTPUT);
        span.at += done;
        span.bytes -= done;
    }
}

/* Room for that many bytes, filled from the stream; what was there before is void. */
static inline uint32_t tg_fill_(uint64_t bytes) {
    if (bytes > INT32_MAX) tg_proc_exit_(TG_EXIT_STREAM);
    int32_t at = tg_reserve_((uint32_t)bytes);
    if (at < 0) tg_proc_exit_(TG_EXIT_MODULE);
    if (bytes && !tg_get_((void *)(uintptr_t)at, (uint32_t)bytes)) tg_proc_exit_(TG_EXIT_STREAM);
    return (uint32_t)at;
}

int32_t tg_configure(uint32_t table, uint32_t rows, uint32_t cells);
int32_t tg_process(uint32_t at, uint32_t count, uint32_t heap_bytes);

static inline void tg_run_(void) {
    tg_stream_head head;
    if (!tg_get_(&head, sizeof head)) return; /* nothing to do is no mistake: it shows that the runtime works */
    if (head.magic != TG_STREAM_MAGIC || head.params > 64 || head.outputs > 64) tg_proc_exit_(TG_EXIT_STREAM);
    uint32_t cells = head.params + head.outputs;
    uint32_t table = tg_fill_((uint64_t)head.rows * (sizeof(tg_row) + cells * sizeof(double)));
    if (tg_configure(table, head.rows, cells) < 0) tg_proc_exit_(TG_EXIT_MODULE);
    tg_frame_head frame;
    while (tg_get_(&frame, sizeof frame)) {
        uint64_t records_bytes = (uint64_t)frame.count * sizeof(tg_record);
        uint32_t at = tg_fill_(records_bytes + frame.heap_bytes);
        int32_t told = tg_process(at, frame.count, frame.heap_bytes);
        if (told < 0) tg_proc_exit_(TG_EXIT_MODULE);
        tg_answer whole = {at, frame.count, at + (uint32_t)records_bytes, frame.heap_bytes};
        const tg_answer *answer = told == TG_UNCHANGED ? &whole : (const tg_answer *)(uintptr_t)told;
        frame = (tg_frame_head){answer->count, answer->heap_bytes};
        tg_put_(&frame, sizeof frame);
        tg_put_((const void *)(uintptr_t)answer->records_at, answer->count * (uint32_t)sizeof(tg_record));
        tg_put_((const void *)(uintptr_t)answer->heap_at, answer->heap_bytes);
    }
}

/* Put this once into the module's source, beside TG_MODULE. */
#define TG_COMMAND                                                                                                    \
    TG_EXPORT(_start) void tg_start_(void) { tg_run_(); }

#endif
