//! Tidegate module SDK for Zig, ABI 1: what tidegate.h is for C. The ABI itself is described in modules/README.md.
//!
//!     const tg = @import("tidegate");
//!
//!     const Filter = struct {
//!         pub const params = 1; // their number, in the manifest's order
//!         pub const outputs = 1;
//!         pub const Config = struct { lowest: f64 }; // what you make of a point's parameters
//!         pub const Memory = extern struct { left_out: u64 = 0 }; // what you remember of a point
//!         pub const saves = true; // whether it outlives the instance
//!
//!         pub fn configure(param: []const f64) tg.Refused!Config { ... }
//!         pub fn reading(c: *const Config, m: *Memory, now: *tg.Record) void { ... tg.pass(now); }
//!     };
//!
//!     comptime { tg.module(Filter); }

const std = @import("std");

pub const Kind = enum(u8) { bool = 1, i64 = 2, u64 = 3, f64 = 4, str = 5, bytes = 6, _ };

pub const lost_before: u8 = 1; // the source lost readings of this point right before this one
pub const gateway_time: u8 = 2; // ts_ns is on the gateway's clock, not the source's
pub const derived: u8 = 4; // a module computed this reading

pub const good: u16 = 0x0000;
pub const uncertain: u16 = 0x4000;
pub const bad: u16 = 0x8000;

/// What a reading of bad quality carries instead of a value, with kind f64.
pub const no_value_bits: u64 = 0x7FF8000000000000;

pub const Span = extern struct { offset: u32, length: u32 };

pub const Value = extern union { f64: f64, i64: i64, u64: u64, span: Span };

pub const Record = extern struct {
    ts_ns: i64, // UTC nanoseconds since 1970
    value: Value,
    point: u32,
    status: u16, // upper half of the OPC UA StatusCode; the two top bits are the quality
    kind: Kind,
    flags: u8,

    pub fn isBad(self: *const Record) bool {
        return self.status >= bad;
    }

    /// The value as a double; null where the reading is bad or holds no number. A boolean is none.
    pub fn number(self: *const Record) ?f64 {
        if (self.isBad()) return null;
        return switch (self.kind) {
            .f64 => self.value.f64,
            .i64 => @floatFromInt(self.value.i64),
            .u64 => @floatFromInt(self.value.u64),
            else => null,
        };
    }

    pub fn setF64(self: *Record, value: f64) void {
        self.kind = .f64;
        self.value = .{ .f64 = value };
    }

    /// Makes it bad: it loses its value.
    pub fn setBad(self: *Record, status: u16) void {
        self.status = status;
        self.kind = .f64;
        self.value = .{ .u64 = no_value_bits };
    }
};

comptime {
    if (@sizeOf(Record) != 24) @compileError("a record is 24 bytes");
}

/// These parameters do not go together.
pub const Refused = error{Params};

const e_memory: i32 = -2;
const e_params: i32 = -3;

const Answer = extern struct { records_at: u32, count: u32, heap_at: u32, heap_bytes: u32 };
const State = extern struct { at: u32, bytes: u32 };

// ---- memory: one stack of blocks that are never given back, and what lies behind it for the length of a call ----------

extern var __heap_base: u8;
var top: u32 = 0;
var room_at: u32 = 0;
var room_end: u32 = 0;

fn topOf() u32 {
    if (top == 0) top = (@as(u32, @intCast(@intFromPtr(&__heap_base))) + 7) & ~@as(u32, 7);
    return top;
}

fn reach(end: u64) bool {
    const have = @as(u64, @wasmMemorySize(0)) << 16;
    if (end > std.math.maxInt(i32)) return false; // addresses travel as positive i32
    if (end <= have) return true;
    return @wasmMemoryGrow(0, @intCast((end - have + 65535) >> 16)) != -1;
}

fn take(bytes: u64) ?u32 {
    const at = topOf();
    const end = (@as(u64, at) + bytes + 7) & ~@as(u64, 7);
    if (!reach(end)) return null;
    top = @intCast(end);
    return at;
}

fn scratch(bytes: u64) ?u32 {
    const at = topOf();
    return if (reach(@as(u64, at) + bytes + 8)) at else null;
}

fn many(comptime T: type, at: u32, count: u32) []T {
    return @as([*]T, @ptrFromInt(at))[0..count];
}

/// Memory for that many; kept as long as the instance lives. Zeroed. For `tg_configure`.
fn takeMany(comptime T: type, count: u32) ?[]T {
    if (@sizeOf(T) == 0 or count == 0) return &[_]T{};
    const at = take(@as(u64, count) * @sizeOf(T)) orelse return null;
    return many(T, at, count);
}

// ---- answers: closed up in the input for as long as they fit there, then behind it ------------------------------------

var out_at: u32 = 0;
var out_next: u32 = 0;
var out_end: u32 = 0;
var moved = false;
var changed = false;
var failed = false;
var outputs_now: []const u32 = &.{};

fn moreRoom() bool {
    const used = out_next - out_at;
    const room = if (used < 6144) 12288 else 2 * @as(u64, used);
    const at = scratch(room) orelse {
        failed = true;
        return false;
    };
    if (!moved) @memcpy(many(u8, at, used), many(u8, out_at, used));
    moved = true;
    changed = true;
    out_at = at;
    out_next = at + used;
    out_end = @intCast(at + room);
    return true;
}

/// Lets a reading go on.
pub fn pass(record: *const Record) void {
    if (out_next == out_end and !moreRoom()) return;
    const was: *Record = @ptrFromInt(out_next);
    if (!changed) changed = !std.mem.eql(u8, std.mem.asBytes(was), std.mem.asBytes(record));
    was.* = record.*;
    out_next += @sizeOf(Record);
}

/// Adds a reading of an output of the point that is read now; nothing happens where nobody wants that output. `like` is
/// the reading that it was made of: time and quality are taken from it.
pub fn emit(output: usize, like: *const Record, kind: Kind, value: Value) void {
    const point = outputs_now[output];
    if (point == 0) return;
    var made = like.*;
    made.point = point;
    made.flags = (like.flags & gateway_time) | derived;
    made.kind = kind;
    made.value = value;
    if (made.isBad()) made.setBad(made.status);
    pass(&made);
}

pub fn emitF64(output: usize, like: *const Record, value: f64) void {
    emit(output, like, .f64, .{ .f64 = value });
}

pub fn emitU64(output: usize, like: *const Record, value: u64) void {
    emit(output, like, .u64, .{ .u64 = value });
}

pub fn emitBool(output: usize, like: *const Record, value: bool) void {
    emit(output, like, .bool, .{ .u64 = @intFromBool(value) });
}

/// Makes all exports of a module; what `Filter` has is written at the head of this file.
pub fn module(comptime Filter: type) void {
    const Exports = struct {
        var points: []u32 = &.{}; // by row
        var order: []Slot = &.{}; // by point
        var configs: []Filter.Config = &.{};
        var memories: []Filter.Memory = &.{};
        var outputs: []u32 = &.{};
        var next: usize = 0; // the row after the one that was found last
        var answer: Answer = undefined;
        var state: State = undefined;
        const cells = Filter.params + Filter.outputs;
        const saves = @hasDecl(Filter, "saves") and Filter.saves;
        const Kept = extern struct { point: u32, bytes: u32, memory: Filter.Memory };
        const Slot = struct { point: u32, row: u32 };

        fn isBefore(_: void, a: Slot, b: Slot) bool {
            return a.point < b.point;
        }

        // Devices are read in the table's order, so the next row is nearly always the right one.
        fn find(point: u32) ?usize {
            if (next >= points.len or points[next] != point) {
                var low: usize = 0;
                var high = order.len;
                while (low < high) {
                    const middle = low + (high - low) / 2;
                    if (order[middle].point < point) low = middle + 1 else high = middle;
                }
                if (low == order.len or order[low].point != point) return null;
                next = order[low].row;
            }
            next += 1;
            return next - 1;
        }

        fn abi() callconv(.c) i32 {
            return 1;
        }

        fn reserve(bytes: u32) callconv(.c) i32 {
            if (room_at != 0 and bytes <= room_end - room_at) return @intCast(room_at);
            const before = top;
            if (room_at != 0 and room_end == top) top = room_at;
            room_at = take(bytes) orelse {
                top = before;
                return e_memory;
            };
            room_end = top;
            return @intCast(room_at);
        }

        fn configure(table: u32, rows: u32, told: u32) callconv(.c) i32 {
            if (told != cells) return e_params;
            points = takeMany(u32, rows) orelse return e_memory;
            order = takeMany(Slot, rows) orelse return e_memory;
            configs = takeMany(Filter.Config, rows) orelse return e_memory;
            memories = takeMany(Filter.Memory, rows) orelse return e_memory;
            outputs = takeMany(u32, rows * Filter.outputs) orelse return e_memory;
            for (0..rows) |row| {
                const at: u32 = @intCast(table + row * (8 + 8 * cells));
                points[row] = many(u32, at, 1)[0];
                order[row] = .{ .point = points[row], .row = @intCast(row) };
                const param = many(f64, at + 8, Filter.params);
                configs[row] = Filter.configure(param) catch return e_params;
                memories[row] = .{};
                for (0..Filter.outputs) |output| {
                    const cell: u32 = @intCast(at + 8 + 8 * (Filter.params + output));
                    outputs[row * Filter.outputs + output] = many(u32, cell, 1)[0];
                }
            }
            std.sort.heap(Slot, order, {}, isBefore);
            for (order[@min(1, order.len)..], 0..) |slot, before| {
                if (order[before].point == slot.point) return e_params; // each point stands there once
            }
            return 0;
        }

        fn process(at: u32, count: u32, heap_bytes: u32) callconv(.c) i32 {
            const records = many(Record, at, count);
            out_at = at;
            out_next = at;
            moved = false;
            changed = false;
            failed = false;
            for (records, 1..) |*record, dealt| {
                if (!moved) out_end = @intCast(at + dealt * @sizeOf(Record));
                var now = record.*; // its place may be taken by an answer
                const row = find(now.point) orelse {
                    pass(&now);
                    continue;
                };
                outputs_now = outputs[row * Filter.outputs ..][0..Filter.outputs];
                Filter.reading(&configs[row], &memories[row], &now);
            }
            if (failed) return e_memory;
            const kept = (out_next - out_at) / @sizeOf(Record);
            if (kept == count and !changed) return 0;
            answer = .{
                .records_at = out_at,
                .count = kept,
                .heap_at = at + count * @sizeOf(Record),
                .heap_bytes = heap_bytes,
            };
            return @intCast(@intFromPtr(&answer));
        }

        fn save() callconv(.c) i32 {
            const bytes = points.len * @sizeOf(Kept);
            const at = scratch(bytes) orelse return e_memory;
            for (many(Kept, at, @intCast(points.len)), points, memories) |*to, point, memory|
                to.* = .{ .point = point, .bytes = @sizeOf(Filter.Memory), .memory = memory };
            state = .{ .at = at, .bytes = @intCast(bytes) };
            return @intCast(@intFromPtr(&state));
        }

        fn load(at: u32, bytes: u32) callconv(.c) i32 {
            if (bytes % @sizeOf(Kept) != 0) return e_params;
            for (many(Kept, at, bytes / @sizeOf(Kept))) |kept| {
                if (kept.bytes != @sizeOf(Filter.Memory)) return e_params;
                if (find(kept.point)) |row| memories[row] = kept.memory;
            }
            return 0;
        }
    };
    @export(&Exports.abi, .{ .name = "tg_abi" });
    @export(&Exports.reserve, .{ .name = "tg_reserve" });
    @export(&Exports.configure, .{ .name = "tg_configure" });
    @export(&Exports.process, .{ .name = "tg_process" });
    if (Exports.saves) {
        @export(&Exports.save, .{ .name = "tg_save" });
        @export(&Exports.load, .{ .name = "tg_load" });
    }
}
