//! peak_hold: the highest value of the last while, as a derived point. A worked example of a module in Zig.
const tg = @import("tidegate");

const HOLD_S = 0; // the parameter
const PEAK = 0; // the output

const Filter = struct {
    pub const params = 1;
    pub const outputs = 1;
    pub const saves = true;
    pub const Config = struct { hold_ns: f64 };
    pub const Memory = extern struct { value: f64 = 0, ts_ns: i64 = 0, seen: u64 = 0 };

    pub fn configure(param: []const f64) tg.Refused!Config {
        if (!(param[HOLD_S] > 0)) return error.Params;
        return .{ .hold_ns = param[HOLD_S] * 1e9 };
    }

    pub fn reading(c: *const Config, m: *Memory, now: *tg.Record) void {
        tg.pass(now);
        const value = now.number() orelse return;
        const age_ns: f64 = @floatFromInt(@as(i128, now.ts_ns) - m.ts_ns);
        const holds = m.seen != 0 and age_ns >= 0 and age_ns < c.hold_ns;
        if (!holds or value > m.value) m.* = .{ .value = value, .ts_ns = now.ts_ns, .seen = 1 };
        tg.emitF64(PEAK, now, m.value);
    }
};

comptime {
    tg.module(Filter);
}
