// median3: the median of the last three values, so that a single spike does not pass. A worked example of a module in
// AssemblyScript. There is no SDK for it: this is ABI 1 as it stands in modules/README.md, and little else.

const RECORD: usize = 24; // ts_ns i64, value 8 bytes, point u32, status u16, kind u8, flags u8
const BAD: u16 = 0x8000;
const F64: u8 = 4;

let room: usize = 0; // the input block, and its size
let roomBytes: usize = 0;
const answer: usize = heap.alloc(16);
const rows = new Map<u32, i32>(); // point to row
let last: usize = 0; // three values of each row: count, then the two before this one

export function tg_abi(): i32 {
  return 1;
}

export function tg_reserve(bytes: u32): i32 {
  if (<usize>bytes > roomBytes) {
    // Nothing is ever given back, so it grows by doubling.
    roomBytes = max<usize>(bytes, 2 * roomBytes);
    room = heap.alloc(roomBytes);
  }
  return <i32>room;
}

export function tg_configure(table: u32, count: u32, cells: u32): i32 {
  if (cells != 0) return -3; // the manifest has no parameters and no outputs
  last = heap.alloc(24 * <usize>count);
  memory.fill(last, 0, 24 * <usize>count);
  for (let row: u32 = 0; row < count; row++) {
    const point = load<u32>(<usize>table + 8 * <usize>row);
    if (rows.has(point)) return -3;
    rows.set(point, <i32>row);
  }
  return 0;
}

export function tg_process(at: u32, count: u32, heapBytes: u32): i32 {
  let changed = false;
  for (let n: u32 = 0; n < count; n++) {
    const record = <usize>at + RECORD * <usize>n;
    const point = load<u32>(record, 16);
    if (load<u16>(record, 20) >= BAD || load<u8>(record, 22) != F64 || !rows.has(point)) continue;
    const kept = last + 24 * <usize>rows.get(point);
    const seen = load<u64>(kept);
    const a = load<f64>(kept, 8);
    const b = load<f64>(kept, 16);
    const now = load<f64>(record, 8);
    store<u64>(kept, seen + 1);
    store<f64>(kept, b, 8);
    store<f64>(kept, now, 16);
    if (seen < 2) continue;
    store<f64>(record, max(min(a, b), min(max(a, b), now)), 8);
    changed = true;
  }
  if (!changed) return 0;
  store<u32>(answer, at);
  store<u32>(answer, count, 4);
  store<u32>(answer, at + <u32>RECORD * count, 8);
  store<u32>(answer, heapBytes, 12);
  return <i32>answer;
}
