//! Functions that formulas call where WGSL has no operator: divisions by PyTorch's rules, and 64-bit integers as two words, the
//! low one first.

/// Divisions of f32. `fmod` divides the significands bit by bit, which is exact whatever a device makes of `/` and `fma`.
pub const F32: &str = "
fn f32_fmod(a: f32, b: f32) -> f32 {
    let sign = bitcast<u32>(a) & 0x80000000u;
    let x = bitcast<u32>(a) & 0x7fffffffu;
    let y = bitcast<u32>(b) & 0x7fffffffu;
    if (y == 0u || y > 0x7f800000u || x >= 0x7f800000u) { return bitcast<f32>(sign | 0x7fc00000u); }
    if (x < y) { return a; }
    var ex = i32(x >> 23u);
    var ey = i32(y >> 23u);
    var mx = (x & 0x7fffffu) | 0x800000u;
    var my = (y & 0x7fffffu) | 0x800000u;
    if (ex == 0) { let up = countLeadingZeros(x) - 8u; mx = x << up; ex = 1 - i32(up); }
    if (ey == 0) { let up = countLeadingZeros(y) - 8u; my = y << up; ey = 1 - i32(up); }
    for (; ex > ey; ex--) {
        if (mx >= my) { mx -= my; }
        mx <<= 1u;
    }
    if (mx >= my) { mx -= my; }
    if (mx == 0u) { return bitcast<f32>(sign); }
    let up = countLeadingZeros(mx) - 8u;
    mx <<= up;
    ex -= i32(up);
    if (ex > 0) { return bitcast<f32>(sign | (u32(ex) << 23u) | (mx & 0x7fffffu)); }
    return bitcast<f32>(sign | (mx >> u32(1 - ex)));
}
fn f32_remainder(a: f32, b: f32) -> f32 {
    let r = f32_fmod(a, b);
    if (r != 0.0 && ((b < 0.0) != (r < 0.0))) { return r + b; }
    return r;
}
fn f32_trunc_div(a: f32, b: f32) -> f32 { return trunc(a / b); }
fn f32_floor_div(a: f32, b: f32) -> f32 {
    if (b == 0.0) { return a / b; }
    let r = f32_fmod(a, b);
    var q = (a - r) / b;
    if (r != 0.0 && ((b < 0.0) != (r < 0.0))) { q = q - 1.0; }
    if (q == 0.0) { return bitcast<f32>(bitcast<u32>(a / b) & 0x80000000u); }
    let f = floor(q);
    return select(f, f + 1.0, q - f > 0.5);
}
";

/// Divisions and shifts of i32; by 0 the quotient is 0, as on the CPU.
pub const I32: &str = "
fn i32_trunc_div(a: i32, b: i32) -> i32 {
    if (b == 0) { return 0; }
    if (b == -1) { return -a; }
    return a / b;
}
// Toward zero; out of range and NaN become the least number, as on the CPU.
fn i32_from_f32(f: f32) -> i32 {
    if (((bitcast<u32>(f) >> 23u) & 255u) >= 158u) { return bitcast<i32>(0x80000000u); }
    return i32(f);
}
fn i32_fmod(a: i32, b: i32) -> i32 {
    if (b == 0 || b == -1) { return 0; }
    return a % b;
}
fn i32_remainder(a: i32, b: i32) -> i32 {
    let r = i32_fmod(a, b);
    return select(r, r + b, r != 0 && ((r < 0) != (b < 0)));
}
fn i32_floor_div(a: i32, b: i32) -> i32 {
    let q = i32_trunc_div(a, b);
    let r = i32_fmod(a, b);
    return select(q, q - 1, r != 0 && ((r < 0) != (b < 0)));
}
fn i32_shl(a: i32, b: i32, width: i32) -> i32 {
    if (b < 0 || b >= width) { return 0; }
    return a << u32(b);
}
fn i32_shr(a: i32, b: i32, width: i32) -> i32 {
    let by = select(b, 31, b < 0 || b >= width);
    return a >> u32(by);
}
";

pub const I64: &str = "
fn i64_of(a: i32) -> vec2<u32> { return vec2<u32>(bitcast<u32>(a), bitcast<u32>(a >> 31u)); }
fn i64_negative(a: vec2<u32>) -> bool { return (a.y >> 31u) == 1u; }
fn i64_add(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let low = a.x + b.x;
    return vec2<u32>(low, a.y + b.y + select(0u, 1u, low < a.x));
}
fn i64_neg(a: vec2<u32>) -> vec2<u32> { return i64_add(~a, vec2<u32>(1u, 0u)); }
fn i64_sub(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return vec2<u32>(a.x - b.x, a.y - b.y - select(0u, 1u, a.x < b.x));
}
fn i64_wide(a: u32, b: u32) -> vec2<u32> {
    let p0 = (a & 0xffffu) * (b & 0xffffu);
    let p1 = (a >> 16u) * (b & 0xffffu);
    let p2 = (a & 0xffffu) * (b >> 16u);
    let p3 = (a >> 16u) * (b >> 16u);
    let mid = (p0 >> 16u) + (p1 & 0xffffu) + (p2 & 0xffffu);
    return vec2<u32>((p0 & 0xffffu) | (mid << 16u), p3 + (p1 >> 16u) + (p2 >> 16u) + (mid >> 16u));
}
fn i64_mul(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let w = i64_wide(a.x, b.x);
    return vec2<u32>(w.x, w.y + a.x * b.y + a.y * b.x);
}
fn i64_below(a: vec2<u32>, b: vec2<u32>) -> bool { return a.y < b.y || (a.y == b.y && a.x < b.x); }
fn i64_lt(a: vec2<u32>, b: vec2<u32>) -> bool {
    let ah = bitcast<i32>(a.y);
    let bh = bitcast<i32>(b.y);
    return ah < bh || (ah == bh && a.x < b.x);
}
fn i64_le(a: vec2<u32>, b: vec2<u32>) -> bool { return !i64_lt(b, a); }
fn i64_abs(a: vec2<u32>) -> vec2<u32> { return select(a, i64_neg(a), i64_negative(a)); }
fn i64_sign(a: vec2<u32>) -> vec2<u32> {
    if (i64_negative(a)) { return vec2<u32>(0xffffffffu, 0xffffffffu); }
    return vec2<u32>(select(0u, 1u, any(a != vec2<u32>(0u, 0u))), 0u);
}
// Quotient and remainder of magnitudes, bit by bit.
fn i64_divide(a: vec2<u32>, b: vec2<u32>) -> vec4<u32> {
    if (a.y == 0u && b.y == 0u) { return vec4<u32>(a.x / b.x, 0u, a.x % b.x, 0u); }
    var q = vec2<u32>(0u, 0u);
    var r = vec2<u32>(0u, 0u);
    for (var k = 63; k >= 0; k--) {
        let bit = (select(a.x, a.y, k >= 32) >> (u32(k) & 31u)) & 1u;
        let over = (r.y >> 31u) == 1u;
        r = vec2<u32>((r.x << 1u) | bit, (r.y << 1u) | (r.x >> 31u));
        if (over || !i64_below(r, b)) {
            r = i64_sub(r, b);
            if (k >= 32) { q.y |= 1u << (u32(k) - 32u); } else { q.x |= 1u << u32(k); }
        }
    }
    return vec4<u32>(q, r);
}
fn i64_zero(a: vec2<u32>) -> bool { return all(a == vec2<u32>(0u, 0u)); }
fn i64_trunc_div(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    if (i64_zero(b)) { return b; }
    let q = i64_divide(i64_abs(a), i64_abs(b)).xy;
    return select(q, i64_neg(q), i64_negative(a) != i64_negative(b));
}
fn i64_fmod(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    if (i64_zero(b)) { return b; }
    let r = i64_divide(i64_abs(a), i64_abs(b)).zw;
    return select(r, i64_neg(r), i64_negative(a));
}
fn i64_remainder(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let r = i64_fmod(a, b);
    if (!i64_zero(r) && i64_negative(r) != i64_negative(b)) { return i64_add(r, b); }
    return r;
}
fn i64_floor_div(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let q = i64_trunc_div(a, b);
    if (!i64_zero(i64_fmod(a, b)) && i64_negative(a) != i64_negative(b)) { return i64_sub(q, vec2<u32>(1u, 0u)); }
    return q;
}
fn i64_shl(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    if (b.y != 0u || b.x >= 64u) { return vec2<u32>(0u, 0u); }
    let s = b.x & 31u;
    if (b.x >= 32u) { return vec2<u32>(0u, a.x << s); }
    if (s == 0u) { return a; }
    return vec2<u32>(a.x << s, (a.y << s) | (a.x >> (32u - s)));
}
fn i64_shr(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let high = bitcast<i32>(a.y);
    let fill = bitcast<u32>(high >> 31u);
    if (b.y != 0u || b.x >= 64u) { return vec2<u32>(fill, fill); }
    let s = b.x & 31u;
    if (b.x >= 32u) { return vec2<u32>(bitcast<u32>(high >> s), fill); }
    if (s == 0u) { return a; }
    return vec2<u32>((a.x >> s) | (a.y << (32u - s)), bitcast<u32>(high >> s));
}
// The nearest f32, ties to even.
fn i64_to_f32(a: vec2<u32>) -> f32 {
    let f = u64_to_f32(i64_abs(a));
    return select(f, -f, i64_negative(a));
}
fn u64_to_f32(m: vec2<u32>) -> f32 {
    if (m.y == 0u && m.x < 0x1000000u) { return f32(m.x); }
    // 24 bits and what is below, as a sticky bit.
    let lead = select(31u - countLeadingZeros(m.x), 63u - countLeadingZeros(m.y), m.y != 0u);
    let shift = lead - 23u;
    let kept = i64_shr_plain(m, shift).x;
    let low = i64_sub(m, i64_shl(vec2<u32>(kept, 0u), vec2<u32>(shift, 0u)));
    let half = i64_shl(vec2<u32>(1u, 0u), vec2<u32>(shift - 1u, 0u));
    let up = shift > 0u && (i64_below(half, low) || (all(half == low) && (kept & 1u) == 1u));
    return bitcast<f32>(((lead + 127u) << 23u) + (kept & 0x7fffffu) + select(0u, 1u, up));
}
fn i64_shr_plain(a: vec2<u32>, b: u32) -> vec2<u32> {
    let s = b & 31u;
    if (b >= 32u) { return vec2<u32>(a.y >> s, 0u); }
    if (s == 0u) { return a; }
    return vec2<u32>((a.x >> s) | (a.y << (32u - s)), a.y >> s);
}
// Toward zero; out of range and NaN become the least number, as the CPU's conversion does.
fn i64_from_f32(f: f32) -> vec2<u32> {
    let b = bitcast<u32>(f);
    let e = i32((b >> 23u) & 255u) - 127;
    if (e < 0) { return vec2<u32>(0u, 0u); }
    if (e >= 63) { return vec2<u32>(0u, 0x80000000u); }
    let m = vec2<u32>((b & 0x7fffffu) | 0x800000u, 0u);
    let shift = e - 23;
    var r = i64_shr_plain(m, u32(max(-shift, 0)));
    if (shift > 0) { r = i64_shl(m, vec2<u32>(u32(shift), 0u)); }
    return select(r, i64_neg(r), (b >> 31u) == 1u);
}
";
